"""What a run reports of a method, computed from the regret of its decisions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, final

if TYPE_CHECKING:
    from dfl_solvers.oracle import Array


@dataclass(frozen=True)
class Outcome:
    """What the decisions of one method brought.

    Attributes
    ----------
    regret : ndarray of shape (n,)
    optimal : ndarray of shape (n,)
        Objective of the best decision in hindsight, in the user's sense.
    sign : int
        -1 if the objective is maximized, else 1.
    per_year : int or None
        Decisions a year, for returns.
    """

    regret: Array
    optimal: Array
    sign: int
    per_year: int | None

    @property
    def earned(self) -> Array:
        """What the decisions made brought, (n,): their value, or minus their cost."""
        return -self.sign * self.optimal - self.regret


class Estimate(NamedTuple):
    """A number with its 95 % interval.

    Attributes
    ----------
    value : float
    low, high : float
        Ends of the interval.
    """

    value: float
    low: float
    high: float


@final
@dataclass(frozen=True)
class Measure:
    """A ratio of sums over instances, or the standard deviation over them.

    Attributes
    ----------
    label : str
    terms : callable
        Takes an outcome and returns numerators (n,) and weights (n,): the value is the ratio of
        their sums. The weights depend on the instances only.
    deviation : bool
        The value is the standard deviation of the numerators instead.
    needs_returns : bool
        The measure means something for dated returns only.
    """

    label: str
    terms: Callable[[Outcome], tuple[Array, Array]]
    deviation: bool = False
    needs_returns: bool = False

    def value(self, outcome: Outcome) -> float:
        """Compute the measure."""
        numerators, weights = self.terms(outcome)
        if self.deviation:
            return float(numerators.std(ddof=1))
        return float(numerators.sum() / weights.sum())

    def bootstrap(self, outcome: Outcome, other: Outcome | None = None) -> Estimate:
        """Estimate the measure, or its difference to another outcome on the same instances.

        The interval is the bootstrap over instances, resampled jointly for the two.
        """
        import numpy as np
        from scipy.stats import bootstrap

        from dfl import metrics

        first, weights = self.terms(outcome)
        second = np.zeros_like(first) if other is None else self.terms(other)[0]
        if not self.deviation:
            found = metrics.paired_bootstrap(first, second, weights=weights, random_state=0)
            return Estimate(found.difference, found.low, found.high)

        def difference(a: Array, b: Array, axis: int = -1) -> Array:
            return a.std(ddof=1, axis=axis) - b.std(ddof=1, axis=axis)

        interval = bootstrap(
            (first, second),
            difference,
            paired=True,
            vectorized=True,
            batch=200,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
        return Estimate(float(difference(first, second)), interval.low, interval.high)


def _of_sums(outcome: Outcome) -> tuple[Array, Array]:
    return outcome.regret, abs(outcome.optimal)


def _of_ratios(outcome: Outcome) -> tuple[Array, Array]:
    return outcome.regret / abs(outcome.optimal), outcome.regret * 0 + 1


def _perfect(outcome: Outcome) -> tuple[Array, Array]:
    return 1.0 * (outcome.regret <= 1e-9 * abs(outcome.optimal)), outcome.regret * 0 + 1


def _annual(outcome: Outcome) -> tuple[Array, Array]:
    return outcome.earned * (outcome.per_year or 1), outcome.regret * 0 + 1


def _annual_deviation(outcome: Outcome) -> tuple[Array, Array]:
    return outcome.earned * math.sqrt(outcome.per_year or 1), outcome.regret * 0 + 1


MEASURES = {
    "normalized-regret": Measure("regret, Σ regret / Σ |z*|", _of_sums),
    "normalized-regret-mean": Measure("regret, mean of regret / |z*|", _of_ratios),
    "perfect-decisions": Measure("share of decisions without regret", _perfect),
    "annual-return": Measure("return a year", _annual, needs_returns=True),
    "volatility": Measure("volatility a year", _annual_deviation, True, needs_returns=True),
}
