"""Calibration functions of SPO+ in closed form, for normal noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array

# where the integral of a mean length is evaluated; what is left out is below 1e-16 of it
_LOG_STEP = 0.25
_LOG_TIMES = np.arange(-75.0, 75.0 + _LOG_STEP, _LOG_STEP)


def interval_calibration(
    eps: npt.ArrayLike, mean_cost: float, sigma: float, *, width: float = 1.0
) -> Array:
    r"""Return the calibration function of SPO+ on an interval.

    Parameters
    ----------
    eps : array-like of shape (k,)
        Excess regret, in units of the objective; positive.
    mean_cost : float
        Expected cost; not zero.
    sigma : float
        Standard deviation of the normal noise.
    width : float, default=1.0
        Length of the interval of decisions.

    Returns
    -------
    ndarray of shape (k,)
        Infinite where no prediction has so much excess regret.

    Raises
    ------
    InvalidInputError
        If a number is out of its range.

    Notes
    -----
    For a width D and a mean :math:`\bar c`, and all :math:`0 < \varepsilon \le D |\bar c|`,

    .. math::

        \delta(\varepsilon) = D |\bar c| \, (2 \Phi(|\bar c| / \sigma) - 1).

    References
    ----------
    Liu & Grigas, "Risk Bounds and Calibration for a Smart Predict-then-Optimize Method", NeurIPS
    2021, arXiv 2108.08887; the formula is derived here, not quoted.

    Examples
    --------
    >>> interval_calibration([0.1, 1.0], 0.7, 1.3).round(7)
    array([0.2868191,       inf])
    """
    eps, sigma = _positive(eps, "eps"), float(_positive(sigma, "sigma"))
    size = float(width) * abs(float(mean_cost))
    value = size * float(_certainty(np.array(abs(float(mean_cost)) / sigma)))
    return np.where(eps <= size * (1 + 1e-12), value, np.inf)


def box_calibration(eps: npt.ArrayLike, mean_cost: npt.ArrayLike, sigma: npt.ArrayLike) -> Array:
    r"""Return the calibration function of SPO+ on the box ``[0, 1]^d``.

    Parameters
    ----------
    eps : array-like of shape (k,)
        Excess regret; positive.
    mean_cost : array-like of shape (d,)
        Expected costs.
    sigma : float or array-like of shape (d,)
        Standard deviations of the independent normal noise.

    Returns
    -------
    ndarray of shape (k,)
        Infinite where no prediction has so much excess regret.

    Raises
    ------
    InvalidInputError
        If a number is out of its range.

    Notes
    -----
    Deciding wrongly on the coordinates J costs :math:`\sum_J |\bar c_j|` of regret and
    :math:`\sum_J |\bar c_j| (2 \Phi(|\bar c_j| / \sigma_j) - 1)` of SPO+, so that the least of the
    second for at least :math:`\varepsilon` of the first is a knapsack problem, which is solved
    exactly.

    Examples
    --------
    >>> box_calibration([0.5, 1.5], [1.0, -0.5], 1.0).round(4)
    array([0.1915, 0.8742])
    """
    from dfl_solvers import Knapsack, Maximize

    eps = np.atleast_1d(_positive(eps, "eps"))
    sizes = np.abs(np.atleast_1d(np.asarray(mean_cost, dtype=float)))
    prices = sizes * _certainty(sizes / _positive(sigma, "sigma"))
    total = sizes.sum()
    values = np.full(len(eps), np.inf)
    for i, least in enumerate(eps):
        room = total * (1 + 1e-12) - least
        if room >= 0 and total > 0:
            # what is decided rightly: worth as much as possible, for at most the regret left over
            right = Maximize(Knapsack(sizes[None], np.array([room]))).solve(prices[None])
            values[i] = prices.sum() - right.objectives[0]
    return values.reshape(np.shape(eps))


def ball_calibration(
    eps: npt.ArrayLike, mean_cost: npt.ArrayLike, sigma: float, *, radius: float = 1.0
) -> Array:
    r"""Return the calibration function of SPO+ on a ball.

    Parameters
    ----------
    eps : array-like of shape (k,)
        Excess regret; positive.
    mean_cost : array-like of shape (d,)
        Expected costs; d at least two.
    sigma : float
        Standard deviation of the normal noise of each cost.
    radius : float, default=1.0
        Of the ball.

    Returns
    -------
    ndarray of shape (k,)
        Infinite where no prediction has so much excess regret.

    Raises
    ------
    InvalidInputError
        If a number is out of its range.

    See Also
    --------
    mean_resultant_length : The least ratio of this function to ``eps``.

    Notes
    -----
    With the radius :math:`\rho`, a prediction at an angle :math:`\theta` to :math:`\bar c` has the
    excess regret :math:`\rho \|\bar c\| (1 - \cos\theta)`. Its excess SPO+ risk,

    .. math::

        \rho \, \big( \mathbb{E} \|2 \hat c - \bar c + Z\| - \mathbb{E} \|\bar c + Z\|
        - 2 (\hat c - \bar c)^\top \bar c \, R / \|\bar c\| \big),

    has expectations in closed form (confluent hypergeometric functions), R among them; mean
    lengths are computed by an integral over one variable instead, which does not overflow. It
    falls with the cosine, and is convex in the length of :math:`\hat c`; the least over the length
    is found numerically.

    Examples
    --------
    >>> ball_calibration([0.001, 2.0], [1.0, 0.0], 1.0).round(5)
    array([0.00223, 1.11436])
    """
    from scipy.optimize import minimize_scalar

    eps, sigma = np.atleast_1d(_positive(eps, "eps")), float(_positive(sigma, "sigma"))
    mean = np.asarray(mean_cost, dtype=float)
    if mean.ndim != 1 or len(mean) < 2 or not mean.any():
        raise InvalidInputError(
            f"ball_calibration: got mean_cost of shape {mean.shape}, expected at least two costs "
            "that are not all zero"
        )
    d, size = len(mean), float(np.linalg.norm(mean)) / sigma
    resultant = float(mean_resultant_length(size, d))
    values = np.full(len(eps), np.inf)
    for i, least in enumerate(eps):
        cosine = 1 - float(least) / (radius * size * sigma)
        if cosine < -1 - 1e-12:
            continue
        cosine = max(cosine, -1.0)

        # in units of sigma, as a function of the length of the prediction
        def risk(length: float, cosine: float = cosine) -> float:
            apart = 4 * length**2 - 4 * length * size * cosine + size**2
            here = _mean_norm(np.array([np.sqrt(max(apart, 0.0)), size]), d)
            along = length * cosine - size
            return float(here[0] - here[1] - 2 * along * resultant)

        found = minimize_scalar(risk, bounds=(0, 2 * size), method="bounded",
                                options={"xatol": 1e-10 * size})  # fmt: skip
        values[i] = radius * sigma * min(float(found.fun), risk(0.0))
    return values


def mean_resultant_length(ratio: npt.ArrayLike, dimension: int) -> Array:
    r"""Return the mean cosine of the angle between normal costs and their mean.

    On a ball it is the least ratio of SPO+'s calibration function to its argument, attained by
    the prediction that points the wrong way.

    Parameters
    ----------
    ratio : array-like
        ``|mean| / sigma``; not negative.
    dimension : int
        Number of costs d; at least two.

    Returns
    -------
    ndarray of the shape of ``ratio``
        Lengths from 0 to 1.

    Raises
    ------
    InvalidInputError
        If a number is out of its range.

    Notes
    -----
    For a ratio s,

    .. math::

        \frac{s}{\sqrt 2} \, \frac{\Gamma((d + 1)/2)}{\Gamma(d/2 + 1)} \,
        {}_1F_1\Big(\tfrac12; \tfrac d2 + 1; -\tfrac{s^2}{2}\Big),

    which for d = 2 is :math:`\sqrt{\pi/8} \, s \, e^{-s^2/4} [I_0(s^2/4) + I_1(s^2/4)]`.

    Examples
    --------
    >>> mean_resultant_length([0.5, 1.0, 2.0], 2).round(5)
    array([0.30384, 0.55718, 0.84432])
    """
    from scipy.special import gammaln, hyp1f1

    s = np.asarray(ratio, dtype=float)
    if not (s >= 0).all() or dimension < 2:
        raise InvalidInputError(
            f"mean_resultant_length: got ratio={ratio!r} and dimension={dimension}, expected "
            "numbers of at least zero and a dimension of at least two"
        )
    factor = np.exp(gammaln((dimension + 1) / 2) - gammaln(dimension / 2 + 1)) / np.sqrt(2)
    return np.asarray(factor * s * hyp1f1(0.5, dimension / 2 + 1, -(s**2) / 2))


def _mean_norm(distance: Array, d: int) -> Array:
    """Return the mean length of a standard normal vector around a point at some distance.

    From the Laplace transform M of the squared length Q: ``E sqrt(Q)`` is the integral of
    ``(1 - M(t)) t^-1.5 / sqrt(4 pi)`` over positive t. The hypergeometric function would overflow.
    """
    size = d + distance[..., None] ** 2
    t = np.exp(_LOG_TIMES) / size
    exponent = d / 2 * np.log1p(2 * t) + distance[..., None] ** 2 * t / (1 + 2 * t)
    # in the logarithm of t the integrand is smooth and decays: equal steps have all digits
    total = (-np.expm1(-exponent) / np.sqrt(t)).sum(axis=-1)
    return np.asarray(_LOG_STEP * total / np.sqrt(4 * np.pi))


def _certainty(ratio: Array) -> Array:
    """Return the probability that a normal number is no farther from its mean than zero is."""
    from scipy.special import erf

    return np.asarray(erf(ratio / np.sqrt(2)))


def _positive(value: npt.ArrayLike, name: str) -> Array:
    array = np.asarray(value, dtype=float)
    if not (array > 0).all():
        raise InvalidInputError(f"got {name}={value!r}, expected positive numbers")
    return array
