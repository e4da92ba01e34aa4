"""The mean of the worst outcomes: of numbers, and of a normal distribution."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from dfl.exceptions import InvalidInputError
from dfl.risk.decision import RiskDecision
from dfl_solvers.oracle import Array


def cvar(values: npt.ArrayLike, alpha: float, *, weights: npt.ArrayLike | None = None) -> float:
    r"""Return the mean of the worst ``1 - alpha`` of some numbers, such as costs or regrets.

    Parameters
    ----------
    values : array-like of shape (n,)
        The larger, the worse.
    alpha : float
        0 gives the mean; close to 1, the largest.
    weights : array-like of shape (n,), optional
        How much each counts, in any unit. Default: all the same.

    Returns
    -------
    float
        The mean of the tail.

    Raises
    ------
    InvalidInputError
        If shapes differ, or alpha or a weight is out of its range.

    Notes
    -----
    .. math::

        \mathrm{CVaR}_\alpha(Z) = \min_t \; t + \frac{E (Z - t)_+}{1 - \alpha},

    where the minimum is at the alpha-quantile. A number at the border of the tail counts in part.

    References
    ----------
    R. T. Rockafellar, S. Uryasev. Optimization of conditional value-at-risk. Journal of Risk 2
    (2000). doi:10.21314/JOR.2000.038

    Examples
    --------
    >>> from dfl.risk import cvar
    >>> cvar([1.0, 2.0, 3.0, 4.0], alpha=0.5), cvar([1.0, 2.0, 3.0, 4.0], alpha=0.0)
    (3.5, 2.5)
    """
    numbers, shares = _weighted(values, weights)
    check_alpha("cvar", alpha)
    level = quantile(numbers, shares, alpha)
    return float(level + shares @ np.maximum(numbers - level, 0.0) / (1 - alpha))


def gaussian_cvar_factor(alpha: float) -> float:
    r"""Return how many standard deviations above the mean the CVaR of a normal number is.

    Parameters
    ----------
    alpha : float
        At least 0 and less than 1.

    Returns
    -------
    float
        The factor.

    Raises
    ------
    InvalidInputError
        If alpha is out of its range.

    Notes
    -----
    :math:`\kappa_\alpha = \varphi(\Phi^{-1}(\alpha)) / (1 - \alpha)`: for costs with mean
    :math:`\mu` and covariance :math:`\Sigma`, the CVaR of a decision is
    :math:`\mu^\top w + \kappa_\alpha \sqrt{w^\top \Sigma w}`.

    Examples
    --------
    >>> from dfl.risk import gaussian_cvar_factor
    >>> round(gaussian_cvar_factor(0.9), 6), round(gaussian_cvar_factor(0.95), 6)
    (1.754983, 2.062713)
    """
    check_alpha("gaussian_cvar_factor", alpha)
    density = math.exp(-(float(ndtri(alpha)) ** 2) / 2) / math.sqrt(2 * math.pi)
    return density / (1 - alpha)


def summarize(
    decisions: Array, outcomes: Array, weights: Array, alpha: float, confidence: float
) -> RiskDecision:
    """Describe decisions by their outcomes (n, K) with weights (n, K)."""
    cut = (1 - confidence) / 2
    low, high, tails = (np.empty(len(outcomes)) for _ in range(3))
    for i, (values, shares) in enumerate(zip(outcomes, weights, strict=True)):
        low[i], high[i] = (quantile(values, shares, level) for level in (cut, 1 - cut))
        tails[i] = cvar(values, alpha, weights=shares)
    return RiskDecision(decisions, np.vecdot(outcomes, weights), low, high, tails)


def quantile(values: Array, weights: Array, level: float) -> float:
    """Return the smallest number that numbers of weight ``level`` (of one) do not exceed."""
    order = np.argsort(values, kind="stable")
    order = order[weights[order] > 0]
    reached = np.cumsum(weights[order])
    place = np.searchsorted(reached, level * reached[-1] * (1 - 1e-12))
    return float(values[order[min(place, len(order) - 1)]])


def _weighted(values: npt.ArrayLike, weights: npt.ArrayLike | None) -> tuple[Array, Array]:
    numbers = np.asarray(values, dtype=float)
    shares = np.ones(numbers.shape) if weights is None else np.asarray(weights, dtype=float)
    if numbers.ndim != 1 or not len(numbers) or shares.shape != numbers.shape:
        raise InvalidInputError(
            f"cvar: got values of shape {numbers.shape} and weights of shape {shares.shape}, "
            "expected (n,) for both, n >= 1"
        )
    if not (np.isfinite(numbers).all() and (shares >= 0).all() and 0 < shares.sum() < np.inf):
        raise InvalidInputError(
            "cvar: expected finite values, and weights that are not negative and not all zero"
        )
    return numbers, shares / shares.sum()


def check_alpha(name: str, alpha: float) -> None:
    """Refuse a share of the outcomes that leaves none."""
    if not 0 <= alpha < 1:
        raise InvalidInputError(f"{name}: got alpha={alpha!r}, expected at least 0 and below 1")


def check_probability(name: str, value: float) -> None:
    """Refuse a probability that is out of its range, or certain."""
    if not 0 < value < 1:
        raise InvalidInputError(f"got {name}={value!r}, expected a number between 0 and 1")
