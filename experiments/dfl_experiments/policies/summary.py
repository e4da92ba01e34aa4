"""From the cells of a study of policies to numbers with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from dfl.metrics import (
    Interval,
    interquartile_mean,
    mean_interval,
    probability_of_improvement,
)
from dfl_experiments.config import PolicyConfig
from dfl_experiments.policies.study import Score
from dfl_experiments.policies.tuning import Trial
from dfl_experiments.summary import Results


@final
@dataclass(frozen=True)
class ScoreRow:
    """One score of one method over its seeds.

    Attributes
    ----------
    method, score : str
    mean : Interval
        With Student's 95 % interval.
    middle : Interval
        Interquartile mean, with a bootstrap interval.
    n_seeds : int
    """

    method: str
    score: str
    mean: Interval
    middle: Interval
    n_seeds: int


@final
@dataclass(frozen=True)
class Comparison:
    """One score of a method beside that of a baseline, on the seeds that both have.

    Attributes
    ----------
    method, score, baseline : str
    difference : Interval
        Method minus baseline, paired over seeds, with Student's 95 % interval.
    improvement : Interval or None
        How probable it is that a run of the method is better than one of the baseline; None where
        neither direction is.
    """

    method: str
    score: str
    baseline: str
    difference: Interval
    improvement: Interval | None


@final
@dataclass(frozen=True)
class PolicySummary:
    """What a study of policies came to.

    Attributes
    ----------
    title : str
    scores : mapping of str to Score
        Those that any method has.
    rows : list of ScoreRow
    comparisons : list of Comparison
    seconds : dict of str to float
        Mean seconds of learning, by method.
    spent : dict of str to dict of str to float
        Mean of each kind, by method.
    trials : list of Trial
    """

    title: str
    scores: Mapping[str, Score]
    rows: list[ScoreRow]
    comparisons: list[Comparison]
    seconds: dict[str, float]
    spent: dict[str, dict[str, float]]
    trials: Sequence[Trial]


def summarize(config: PolicyConfig, results: Results, trials: Sequence[Trial]) -> PolicySummary:
    """Compute means, intervals, paired differences and probabilities of improvement."""
    by_method: dict[str, dict[int, Mapping[str, float]]] = {}
    seconds: dict[str, list[float]] = {}
    spent: dict[str, list[Mapping[str, float]]] = {}
    for cell, content in results:
        name = cell.method.name
        by_method.setdefault(name, {})[cell.seed] = content["scores"]
        seconds.setdefault(name, []).append(content["seconds"])
        spent.setdefault(name, []).append(content["spent"])
    names = [method.name for method in config.methods if method.name in by_method]
    rows, comparisons = [], []
    for score, about in config.problem.scores.items():
        values = {name: _values(by_method[name], score) for name in names}
        for name in names:
            own = values[name]
            if not own:
                continue
            rows.append(_row(name, score, list(own.values())))
            for baseline in config.baselines:
                if baseline != name:
                    other = values.get(baseline, {})
                    comparisons += _compared(name, score, about, own, baseline, other)
    known = {row.score for row in rows}
    n_seeds = max((row.n_seeds for row in rows), default=0)
    return PolicySummary(
        f"{config.name}: {n_seeds} seed{'s' * (n_seeds != 1)}",
        {name: about for name, about in config.problem.scores.items() if name in known},
        rows,
        comparisons,
        {name: sum(seconds[name]) / len(seconds[name]) for name in names},
        {name: _means(spent[name]) for name in names},
        trials,
    )


def _values(scores: Mapping[int, Mapping[str, float]], name: str) -> dict[int, float]:
    return {seed: found[name] for seed, found in scores.items() if name in found}


def _row(method: str, score: str, values: Sequence[float]) -> ScoreRow:
    column = [[value] for value in values]
    middle = interquartile_mean(column, random_state=0)
    return ScoreRow(method, score, mean_interval(values), middle, len(values))


def _compared(
    method: str,
    score: str,
    about: Score,
    own: Mapping[int, float],
    baseline: str,
    other: Mapping[int, float],
) -> list[Comparison]:
    seeds = [seed for seed in own if seed in other]
    if not seeds:
        return []
    difference = mean_interval([own[seed] - other[seed] for seed in seeds])
    improvement = None
    if about.better is not None:
        sign = -1.0 if about.better == "lower" else 1.0
        improvement = probability_of_improvement(
            [[sign * own[seed]] for seed in seeds],
            [[sign * other[seed]] for seed in seeds],
            random_state=0,
        )
    return [Comparison(method, score, baseline, difference, improvement)]


def _means(spent: Sequence[Mapping[str, float]]) -> dict[str, float]:
    kinds = dict.fromkeys(kind for each in spent for kind in each)
    return {kind: sum(each.get(kind, 0.0) for each in spent) / len(spent) for kind in kinds}
