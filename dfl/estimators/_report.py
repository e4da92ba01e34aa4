"""From a finished race to a leaderboard and a verdict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dfl.estimators._candidates import AVERAGE
from dfl.estimators._race import Race, Runner
from dfl.estimators._stacking import Stack
from dfl.estimators._verdict import Trial, compare_kinds, difference, estimate, mean_regret
from dfl.estimators.leaderboard import LeaderboardRow, Verdict


def leaderboard(
    race: Race,
    runners: Sequence[Runner],
    chosen: Runner | None,
    stack: Stack | None,
    best: Sequence[Trial],
) -> list[LeaderboardRow]:
    """Return a row for everyone who was judged at least once.

    Parameters
    ----------
    race : Race
    runners : sequence of Runner
    chosen : Runner or None
        None stands for the average.
    stack : Stack or None
    best : sequence of Trial
        Of the chosen one.
    """
    weights = dict(stack.shares) if stack and not chosen else {}
    rows = [
        _row(
            race,
            runner.candidate.name,
            runner is chosen,
            runner.candidate.decision_focused,
            runner.trials,
            best,
            1.0 if runner is chosen else weights.get(runner, 0.0),
        )
        for runner in runners
        if runner.trials
    ]
    if stack:
        focused = any(runner.candidate.decision_focused for runner, _ in stack.shares)
        rows.append(_row(race, AVERAGE, chosen is None, focused, stack.trials, best, 0.0))
    return sorted(rows, key=lambda row: (not row.chosen, -row.n_folds, row.regret))


def verdict(race: Race, last: Sequence[Runner], count: int) -> Verdict | None:
    """Compare the best of either kind on the folds that had no say in who dropped out.

    Parameters
    ----------
    race : Race
    last : sequence of Runner
        Those that can be chosen.
    count : int
        Folds on which all of them were judged.

    Returns
    -------
    Verdict or None
        None if one kind is missing, or there is no fold to compare them on.
    """
    kinds = [[r for r in last if r.candidate.decision_focused is kind] for kind in (True, False)]
    clean = range(race.n_dropping, count)
    if count < 2 or not all(kinds) or not clean:
        return None
    first, second = ([runner.trials for runner in kind] for kind in kinds)
    found, p_value = compare_kinds(race.judged, first, second, count, clean)
    best = [min(own, key=lambda r: mean_regret(race.judged, r.trials, count)) for own in kinds]
    low, high = found.interval()
    return Verdict(
        p_value=p_value,
        difference=found.value,
        low=low,
        high=high,
        decision_focused=best[0].candidate.name,
        two_stage=best[1].candidate.name,
        n_instances=sum(len(race.folds[k][1]) for k in clean),
    )


def _row(
    race: Race,
    name: str,
    chosen: bool,
    focused: bool,
    trials: Sequence[Trial],
    best: Sequence[Trial],
    weight: float,
) -> LeaderboardRow:
    n, common = len(trials), range(min(len(trials), len(best)))
    own = estimate([trial.regret for trial in trials], race.judged, range(n))
    gap = difference(race.judged, trials, best, common)
    (low, high), (gap_low, gap_high) = own.interval(), gap.interval()
    return LeaderboardRow(
        name=name,
        chosen=chosen,
        decision_focused=focused,
        regret=own.value,
        low=low,
        high=high,
        difference=gap.value,
        difference_low=gap_low,
        difference_high=gap_high,
        n_folds=n,
        fit_seconds=float(np.mean([trial.seconds for trial in trials])),
        solves=round(float(np.mean([trial.budget.instances for trial in trials]))),
        weight=weight,
    )
