"""How sure a mean or a difference is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from dfl._validation import check_at_least
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array

# resamples drawn at once, so that memory stays bounded
_BLOCK = 1_000_000


@final
@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes
    ----------
    mean, low, high : float
    """

    mean: float
    low: float
    high: float


@final
@dataclass(frozen=True)
class PairedComparison:
    """The difference of two methods judged on the same instances or seeds.

    Attributes
    ----------
    difference : float
        First minus second: negative regret differences favor the first.
    low, high : float
        Confidence interval.
    probability : float
        Share of the resamples in which the first is smaller.
    """

    difference: float
    low: float
    high: float
    probability: float

    def __str__(self) -> str:
        return (
            f"{100 * self.difference:+.2f} points [{100 * self.low:+.2f}, {100 * self.high:+.2f}], "
            f"first smaller in {100 * self.probability:.0f} % of resamples"
        )


def mean_interval(values: npt.ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Return the mean of independent numbers with Student's interval; for results over seeds.

    Parameters
    ----------
    values : array-like of shape (k,)
        One number a seed.
    confidence : float, default=0.95
        Share of the intervals that hold the true value.

    Returns
    -------
    Interval
        With NaN bounds for a single number.

    Raises
    ------
    InvalidInputError
        If there is no number, one is not finite, or the confidence is not between 0 and 1.

    Notes
    -----
    ``mean +- t * s / sqrt(k)`` with the quantile of Student's distribution at k - 1 degrees.

    Examples
    --------
    >>> from dfl.metrics import mean_interval
    >>> interval = mean_interval([1.0, 2.0, 3.0])
    >>> round(interval.low, 3), interval.mean, round(interval.high, 3)
    (-0.484, 2.0, 4.484)
    """
    from scipy.special import stdtrit

    numbers = _vector(values, "values")
    _check_confidence(confidence)
    mean = float(numbers.mean())
    if len(numbers) == 1:
        return Interval(mean, np.nan, np.nan)
    quantile = float(stdtrit(len(numbers) - 1, 0.5 + confidence / 2))
    half = quantile * float(numbers.std(ddof=1)) / len(numbers) ** 0.5
    return Interval(mean, mean - half, mean + half)


def paired_bootstrap(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 10_000,
    random_state: Any = None,
) -> PairedComparison:
    """Compare two methods on the same instances (or seeds) by resampling them together.

    Pairing removes what both methods have in common, which is most of the spread.

    Parameters
    ----------
    first, second : array-like of shape (n,)
        A number per instance, such as regret, of either method.
    weights : array-like of shape (n,), optional
        ``|z*|`` per instance: the statistic is then the difference of normalized regrets,
        ``sum(first - second) / sum(weights)``. Default: the difference of means.
    confidence : float, default=0.95
        Share of the intervals that hold the true value.
    n_resamples : int, default=10_000
        Times that instances are drawn anew.
    random_state : int, Generator or None
        Seeds the draws.

    Returns
    -------
    PairedComparison
        With the percentile interval of the bootstrap.

    Raises
    ------
    InvalidInputError
        If lengths differ, a number is not finite, or the weights sum to zero.

    References
    ----------
    Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Examples
    --------
    >>> from dfl.metrics import paired_bootstrap
    >>> print(paired_bootstrap([0.1, 0.2, 0.1], [0.3, 0.4, 0.3], random_state=0))
    -20.00 points [-20.00, -20.00], first smaller in 100 % of resamples
    """
    a, b = _vector(first, "first"), _vector(second, "second")
    norm = np.ones(len(a)) if weights is None else np.abs(_vector(weights, "weights"))
    if not len(a) == len(b) == len(norm):
        raise InvalidInputError(
            f"got {len(a)} and {len(b)} paired numbers and {len(norm)} weights, "
            "expected the same number of each"
        )
    if not norm.sum() > 0:
        raise InvalidInputError("paired_bootstrap: the weights sum to zero")
    check_resampling(confidence, n_resamples)
    gap = a - b
    rng = np.random.default_rng(random_state)
    draws = np.empty(n_resamples)
    block = max(1, _BLOCK // len(gap))
    for lo in range(0, n_resamples, block):
        rows = rng.integers(len(gap), size=(min(block, n_resamples - lo), len(gap)))
        # a resample of instances whose optimum is zero has no ratio
        with np.errstate(divide="ignore", invalid="ignore"):
            draws[lo : lo + block] = gap[rows].sum(1) / norm[rows].sum(1)
    draws = draws[np.isfinite(draws)]
    low, high = percentiles(draws, confidence)
    return PairedComparison(float(gap.sum() / norm.sum()), low, high, float((draws < 0).mean()))


def percentiles(draws: Array, confidence: float) -> tuple[float, float]:
    """Return the ends of the percentile interval of bootstrap draws."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def check_resampling(confidence: float, n_resamples: int) -> None:
    """Refuse a confidence or a number of resamples that is out of range."""
    _check_confidence(confidence)
    check_at_least(1, "", n_resamples=n_resamples)


def _vector(values: npt.ArrayLike, name: str) -> Array:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not len(array):
        raise InvalidInputError(f"got {name} of shape {array.shape}, expected (n,) with n >= 1")
    if not np.isfinite(array).all():
        i = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InvalidInputError(f"{name} is {array[i]} at {i}, expected finite numbers")
    return array


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InvalidInputError(f"got confidence={confidence}, expected a number between 0 and 1")
