"""An average of predicted costs, with weights chosen by regret."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from dfl import metrics
from dfl.estimators._race import Race, Runner
from dfl.estimators._verdict import Trial
from dfl_solvers.oracle import Array, Oracle, minimizing
from dfl_solvers.wrappers import Counting, Counts

# members are added one by one, so that weights are multiples of its inverse
_STEPS = 6


class Stack(NamedTuple):
    """An average that competes with its members.

    Attributes
    ----------
    shares : list of (Runner, float)
        Members and their parts, which sum to one.
    members : list of (Runner, float)
        Members, and what their predictions are multiplied by: the part in common units.
    trials : list of Trial
        By fold, with weights chosen on the other folds.
    """

    shares: list[tuple[Runner, float]]
    members: list[tuple[Runner, float]]
    trials: list[Trial]


def stacked(race: Race, oracle: Counting, runners: Sequence[Runner], count: int) -> Stack | None:
    """Average the costs that the last in the race predict.

    Weights are chosen greedily: each step adds the member that makes the held-out regret of the
    average least, and it stops where none helps (Caruana et al. 2004). Where this would ask the
    oracle more often than the race itself has done, as it does if only least squares runs, or if
    time is over, there is no average.

    Parameters
    ----------
    race : Race
    oracle : Counting
        What it solves is counted.
    runners : sequence of Runner
        Judged on the first ``count`` folds at least.
    count : int
    """
    sizes = [len(held) for _, held in race.folds[:count]]
    solves = (count + 1) * _STEPS * len(runners) * sum(sizes)
    spent = sum(trial.budget.instances for runner in runners for trial in runner.trials)
    if len(runners) < 2 or count < 2 or solves > spent:
        return None
    # predictions for decisions have no scale of their own; others may not be multiplied
    units = [1.0] * len(runners)
    if getattr(minimizing(oracle)[0], "linear_objective", True):
        size = float(np.abs(race.table.truth).mean())
        means = [np.mean([np.abs(t.predicted).mean() for t in r.trials[:count]]) for r in runners]
        units = [size / float(mean) if mean > 0 and size > 0 else 1.0 for mean in means]
    predicted = [
        [unit * trial.predicted for trial in runner.trials[:count]]
        for runner, unit in zip(runners, units, strict=True)
    ]
    solved: dict[tuple[tuple[int, ...], int], Array] = {}

    def regret(counts: Array, k: int) -> Array:
        """Return the regret of an average on a fold; most are asked for many times."""
        key = tuple((counts // np.gcd.reduce(counts)).tolist()), k
        if key not in solved:
            costs = _average(counts / counts.sum(), [own[k] for own in predicted])
            solved[key] = _regret(race, oracle, costs, k)
        return solved[key]

    trials = []
    for k in range(count):
        if race.clock.left < 2 * sum(race.whole(runner) for runner in runners):
            return None
        counts = _chosen(regret, len(runners), race.judged.apart_from(k, count))
        trials.append(Trial(regret(counts, k), np.zeros(0), 0.0, Counts(), None))
    everywhere = [(k, np.ones(size, dtype=bool)) for k, size in enumerate(sizes)]
    counts = _chosen(regret, len(runners), everywhere)
    weights = counts / counts.sum()
    used = [i for i, weight in enumerate(weights) if weight > 0]
    return Stack(
        [(runners[i], float(weights[i])) for i in used],
        [(runners[i], float(weights[i] * units[i])) for i in used],
        [
            trial._replace(
                seconds=sum(runners[i].trials[k].seconds for i in used),
                budget=Counts(0, sum(runners[i].trials[k].budget.instances for i in used)),
            )
            for k, trial in enumerate(trials)
        ],
    )


def _chosen(
    regret: Callable[[Array, int], Array], n_members: int, parts: Sequence[tuple[int, Array]]
) -> Array:
    """Return how often each member is added, by the regret on some instances of some folds."""
    counts = np.zeros(n_members, dtype=int)
    least = np.inf
    for _ in range(_STEPS):
        tried = [counts + one for one in np.eye(n_members, dtype=int)]
        regrets = [sum(float(regret(own, k)[rows].sum()) for k, rows in parts) for own in tried]
        best = int(np.argmin(regrets))
        if not regrets[best] < least:
            break
        least, counts = regrets[best], tried[best]
    return counts


def _average(weights: Array, predicted: Sequence[Array]) -> Array:
    total = np.zeros_like(predicted[0])
    for weight, own in zip(weights, predicted, strict=True):
        if weight:
            total += weight * own
    return total


def _regret(race: Race, oracle: Oracle, costs: Array, fold: int) -> Array:
    held = race.folds[fold][1]
    table = race.table
    own = table.instance_of(held)
    regret = metrics.regret(
        oracle, costs, table.truth[held], instance=own, optimal=race.optimal[held]
    )
    return regret if table.weights is None else regret * table.weights[held]
