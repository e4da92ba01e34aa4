"""How much of the gain of decision-focused training is left beside tuned two-stage models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from dfl import metrics
from dfl.metrics import Interval
from dfl_experiments.methods import MINIMUM
from dfl_experiments.reports.estimates import Metric, Numbers
from dfl_experiments.standings import NOTHING

# losses that ask how far predicted costs are from true ones, and nothing about decisions
PREDICTION = ("squared", "absolute", "huber")
_TWO_STAGE = ("two-stage", "two-stage-constraints")
_FOCUSED = ("decision-focused", "constraints", "published-training", "held-out-lasso")

Seeds = Mapping[int, float]


@final
@dataclass(frozen=True)
class Verdict:
    """The best of either kind on one problem, with one class of predictors or with all.

    Attributes
    ----------
    problem : str
    predictor : str or None
        None: with whichever predictor.
    baseline, focused, two_stage : str
        Plain least squares; the best decision-focused method; the best other two-stage one, or
        the baseline where there is no other.
    gain : Interval
        Baseline minus the best decision-focused method.
    left : Interval
        What is left of the gain beside the best two-stage method, the baseline among them.
    closable : tuple of two floats, or None
        Shares of the closable regret that the best decision-focused and two-stage methods leave.
    n_two_stage : int
        Two-stage methods beside the baseline.
    """

    problem: str
    predictor: str | None
    baseline: str
    focused: str
    two_stage: str
    gain: Interval
    left: Interval
    closable: tuple[float, float] | None
    n_two_stage: int


def verdicts(table: Any, numbers: Numbers, metric: Metric) -> list[Verdict]:
    """Judge each problem, over all predictors and, where there are several classes, for each.

    Which method is the best is itself chosen by results, and the best of many looks better than
    it is. So on each seed the method counts that is best on the other seeds.

    Parameters
    ----------
    table : DataFrame
        The results, with the parameters of the methods.
    numbers : Numbers
        Means and differences of the same results.
    metric : Metric
        One of which less is better.

    Returns
    -------
    list of Verdict
        None for problems without a baseline, or without a decision-focused method.
    """
    kinds = kinds_of(table)
    crossed = "predictor" in table.columns and table["predictor"].nunique() > 1
    predictors = _by_method(table, "predictor") if crossed else {}
    families = _by_method(table, "family") if crossed else {}
    found = []
    for problem, name in numbers.values:
        if name != metric.name:
            continue
        methods = numbers.values[problem, name]
        for predictor in (None, *dict.fromkeys(predictors.values())):
            own = [m for m in methods if predictor is None or predictors.get(m) == predictor]
            base = numbers.baseline
            if predictor is not None:
                plain = families.get(base or "")
                # least squares itself has no class of predictors to choose
                base = next((m for m in own if plain and families.get(m) == plain), base)
            if base is not None and base in methods:
                named = {kind: [m for m in own if kinds.get(m) == kind] for kind in kinds.values()}
                found += _verdict(problem, predictor, base, methods, named, metric.has_minimum)
    return found


def kinds_of(table: Any) -> dict[str, str]:
    """Say which methods are "two-stage" and which "focused"; others, such as a choice, neither."""
    found = {}
    estimators, losses = _by_method(table, "method.estimator"), _by_method(table, "method.loss")
    for name, estimator in estimators.items():
        if estimator in _TWO_STAGE or losses.get(name) in PREDICTION:
            found[name] = "two-stage"
        elif estimator in _FOCUSED:
            found[name] = "focused"
    return found


def _by_method(table: Any, column: str) -> dict[str, Any]:
    if column not in table.columns:
        return {}
    known = table[["method", column]].dropna()
    return dict(zip(known["method"], known[column], strict=True))


def _verdict(
    problem: str,
    predictor: str | None,
    base: str,
    methods: Mapping[str, Seeds],
    named: Mapping[str, Sequence[str]],
    has_minimum: bool,
) -> list[Verdict]:
    seeds = list(methods[base])
    whole = [name for name in methods if set(methods[name]) >= set(seeds)]
    focused = [name for name in named.get("focused", ()) if name in whole]
    others = [name for name in named.get("two-stage", ()) if name in whole and name != base]
    if not focused:
        return []
    plain = [methods[base][seed] for seed in seeds]
    best, best_name = best_elsewhere({name: methods[name] for name in focused}, seeds)
    tuned, tuned_name = best_elsewhere({name: methods[name] for name in (base, *others)}, seeds)
    gain = metrics.mean_interval([a - b for a, b in zip(plain, best, strict=True)])
    left = metrics.mean_interval([a - b for a, b in zip(tuned, best, strict=True)])
    shares = None
    if has_minimum and set(methods.get(MINIMUM, ())) >= set(seeds):
        least = sum(methods[MINIMUM][seed] for seed in seeds) / len(seeds)
        mean = sum(plain) / len(plain)
        if mean - least > NOTHING:
            both = [sum(best) / len(best), sum(tuned) / len(tuned)]
            a, b = metrics.closable_regret(both, mean, least).tolist()
            shares = a, b
    return [
        Verdict(problem, predictor, base, best_name, tuned_name, gain, left, shares, len(others))
    ]


def best_elsewhere(methods: Mapping[str, Seeds], seeds: Sequence[int]) -> tuple[list[float], str]:
    """Return on each seed the value of the method that is best on the others.

    Parameters
    ----------
    methods : mapping of str to mapping of int to float
        By method and seed; less is better.
    seeds : sequence of int
        On which every method has a value.

    Returns
    -------
    values : list of float
        In the order of the seeds.
    name : str
        The best on all seeds together.
    """
    import numpy as np

    names = list(methods)
    table = np.array([[methods[name][seed] for seed in seeds] for name in names])
    total = table.sum(axis=1, keepdims=True)
    chosen = (total - table if len(seeds) > 1 else table).argmin(axis=0)
    return table[chosen, np.arange(len(seeds))].tolist(), names[int(total.argmin())]
