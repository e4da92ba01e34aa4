"""What theorems say of calibration functions: lower bounds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dfl._validation import check_at_least
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.risk.geometry import SetGeometry, set_geometry
from dfl_solvers.oracle import Array, Oracle


def polyhedron_bound(
    eps: npt.ArrayLike,
    geometry: SetGeometry,
    *,
    sigma: float,
    ratio: float,
    share: float = 1.0,
) -> Array:
    r"""Bound the calibration function of SPO+ on a polyhedron from below.

    Parameters
    ----------
    eps : array-like of shape (k,)
        Excess regret; not negative.
    geometry : SetGeometry
        Its diameter :math:`D` (an upper bound will do) and width :math:`d_S` (a lower bound will
        do), within its affine hull of dimension m.
    sigma : float
        Largest standard deviation M of the normal density below.
    ratio : float
        Largest :math:`\beta = \|\bar c\| / \sigma` over the features.
    share : float, default=1.0
        The :math:`\alpha` for which the density of the costs is at least :math:`\alpha` times that
        of :math:`N(\bar c, \sigma^2 I)`; 1 for normal costs.

    Returns
    -------
    ndarray of shape (k,)
        Least excess of surrogate risk at each excess of regret.

    Raises
    ------
    InvalidInputError
        If a number is out of its range.
    UnsupportedError
        If no width is known.

    See Also
    --------
    calibration_bound : The same for an oracle and normal costs.

    Notes
    -----
    For costs that are symmetric about their mean,

    .. math::

        \delta(\varepsilon) \ge \frac{\alpha \, \Xi}{4 \sqrt{2\pi} \, e^{3 (1 + \beta^2)/2}}
        \min\Big\{ \frac{\varepsilon^2}{D M}, \varepsilon \Big\}, \qquad
        \Xi = (1 + 2 \sqrt 3 \, D / d_S)^{1 - m}.

    The shape, quadratic at first, is tight; the constants are reconstructed, and so small that
    they say how things scale rather than how large they are.

    References
    ----------
    Liu & Grigas, "Risk Bounds and Calibration for a Smart Predict-then-Optimize Method", NeurIPS
    2021, arXiv 2108.08887.

    Examples
    --------
    >>> from dfl_solvers import Box
    >>> polyhedron_bound([0.1, 1.0], set_geometry(Box(2)), sigma=1.0, ratio=0.5) * 1e4
    array([ 0.1833395 , 18.33394977])
    """
    points = _points(eps)
    if not (sigma > 0 and ratio >= 0 and 0 < share <= 1):
        raise InvalidInputError(
            f"polyhedron_bound: got sigma={sigma}, ratio={ratio}, share={share}, expected a "
            "positive number, one of at least zero, and one of at most one"
        )
    diameter, width, m = geometry.diameter, geometry.width, geometry.dimension
    if not width > 0:
        raise UnsupportedError(
            f"polyhedron_bound: the width of this set is not known (got {width}); give "
            "set_geometry the vertices of the set"
        )
    shape = (1 + 2 * np.sqrt(3) * diameter / width) ** (1 - m)
    factor = share * shape / (4 * np.sqrt(2 * np.pi) * np.exp(1.5 * (1 + ratio**2)))
    return np.asarray(factor * np.minimum(points**2 / (diameter * sigma), points))


def level_set_bound(
    eps: npt.ArrayLike, geometry: SetGeometry, *, ratio: float, share: float
) -> Array:
    r"""Bound the calibration function of SPO+ on a strongly convex level set from below.

    Parameters
    ----------
    eps : array-like of shape (k,)
        Excess regret; not negative.
    geometry : SetGeometry
        With its ``curvature``.
    ratio, share : float
        Numbers :math:`\beta` and :math:`\alpha` with
        :math:`P(\|c\| \le \beta \|\bar c\|) \ge \alpha` for all features.

    Returns
    -------
    ndarray of shape (k,)
        Least excess of surrogate risk at each excess of regret.

    Raises
    ------
    InvalidInputError
        If a number is out of its range.
    UnsupportedError
        If the set has no curvature.

    See Also
    --------
    calibration_bound : The same for an oracle and normal costs, with the best :math:`\beta`.

    Notes
    -----
    For costs whose law is rotationally symmetric about their mean, and the least and largest
    curvature :math:`\mu` and L,

    .. math::

        \delta(\varepsilon) \ge \frac{\alpha \, \mu^{9/2}}{4 (1 + \beta^2) L^{9/2}} \varepsilon.

    It is linear, so that regret falls as fast as the surrogate risk. The constants are
    reconstructed; the direction of the condition on :math:`\beta` is the one that holds on balls
    (the other fails there where noise is large).

    References
    ----------
    Liu & Grigas, "Risk Bounds and Calibration for a Smart Predict-then-Optimize Method", NeurIPS
    2021, arXiv 2108.08887.

    Examples
    --------
    >>> from dfl_solvers import Ball
    >>> level_set_bound([0.1, 1.0], set_geometry(Ball(2)), ratio=1.0, share=0.5)
    array([0.00625, 0.0625 ])
    """
    points = _points(eps)
    if not (ratio >= 0 and 0 <= share <= 1):
        raise InvalidInputError(
            f"level_set_bound: got ratio={ratio}, share={share}, expected a number of at least "
            "zero, and one between zero and one"
        )
    curvature = geometry.curvature
    if curvature is None:
        raise UnsupportedError("level_set_bound: the set is not known to be strongly convex")
    condition = (curvature.strong_convexity / curvature.smoothness) ** 4.5
    return np.asarray(share * condition / (4 * (1 + ratio**2)) * points)


def squared_bound(eps: npt.ArrayLike, geometry: SetGeometry, *, n_costs: int = 1) -> Array:
    r"""Bound the calibration function of the squared error from below.

    Parameters
    ----------
    eps : array-like of shape (k,)
        Excess regret; not negative.
    geometry : SetGeometry
        Its diameter D, of which an upper bound will do.
    n_costs : int, default=1
        Number of costs over which the loss takes the mean, as ``"squared"`` does; 1 for the sum of
        squares.

    Returns
    -------
    ndarray of shape (k,)
        Least excess of surrogate risk at each excess of regret.

    Raises
    ------
    InvalidInputError
        If a number is out of its range.

    Notes
    -----
    Excess regret is at most :math:`(\bar c - p)^\top (w^\star(p) - w^\star(\bar c)) \le D \|p -
    \bar c\|`, whatever the law of the costs, so that

    .. math::

        \delta(\varepsilon) \ge \varepsilon^2 / D^2.

    References
    ----------
    Ho-Nguyen & Kilinc-Karzan, "Risk guarantees for end-to-end prediction and optimization
    processes", Management Science 2022, arXiv 2012.15046, for bounds of this kind.

    Examples
    --------
    >>> from dfl_solvers import Box
    >>> squared_bound([0.1, 1.0], set_geometry(Box(1)))
    array([0.01, 1.  ])
    """
    check_at_least(1, "squared_bound", n_costs=n_costs)
    return np.asarray(_points(eps) ** 2 / geometry.diameter**2 / n_costs)


def calibration_bound(
    oracle: Oracle,
    mean_cost: npt.ArrayLike,
    sigma: float,
    eps: npt.ArrayLike,
    *,
    geometry: SetGeometry | None = None,
) -> Array:
    """Bound the calibration function of SPO+ from below, for normal costs.

    Parameters
    ----------
    oracle : Oracle
        The problem that the costs feed.
    mean_cost : array-like of shape (d,)
        Expected costs.
    sigma : float
        Standard deviation of the noise of each cost.
    eps : array-like of shape (k,)
        Excess regret; not negative.
    geometry : SetGeometry, optional
        Default: what ``set_geometry`` knows of the oracle.

    Returns
    -------
    ndarray of shape (k,)
        Least excess of surrogate risk at each excess of regret.

    Raises
    ------
    InvalidInputError
        If a number is out of its range.
    UnsupportedError
        If too little is known of the set.

    See Also
    --------
    polyhedron_bound, level_set_bound : The theorems.
    calibration_function : An upper estimate of the same.

    Notes
    -----
    Costs count within the affine hull of the set only, where they are normal with the same
    standard deviation. For a polyhedron, alpha is one and beta the ratio of mean to noise. For a
    level set, alpha follows from beta by the noncentral chi-square distribution, and the beta with
    the largest bound is taken.

    Examples
    --------
    >>> from dfl_solvers import Ball, Box
    >>> calibration_bound(Ball(2), [1.0, 0.0], 1.0, [0.1]).round(5)
    array([0.00394])
    >>> calibration_bound(Box(2), [1.0, 0.0], 1.0, [0.1]).round(8)
    array([5.95e-06])
    """
    mean = np.asarray(mean_cost, dtype=float)
    if mean.ndim != 1 or not sigma > 0:
        raise InvalidInputError(
            f"calibration_bound: got mean_cost of shape {mean.shape} and sigma={sigma}, expected "
            "(d,) and a positive number"
        )
    measured = set_geometry(oracle, n_costs=len(mean)) if geometry is None else geometry
    ratio = float(np.linalg.norm(measured.hull.T @ mean)) / sigma
    if measured.curvature is None:
        return polyhedron_bound(eps, measured, sigma=sigma, ratio=ratio)
    return level_set_bound(eps, measured, **_best_share(ratio, measured.dimension))


def _best_share(ratio: float, dimension: int) -> dict[str, float]:
    """Return the beta, and its alpha, of the largest bound for normal costs."""
    from scipy.stats import ncx2

    # the length of the costs has its mass around sqrt(ratio^2 + dimension) standard deviations
    length = np.sqrt(ratio**2 + dimension) * np.geomspace(0.05, 10, 400)
    share = ncx2.cdf(length**2, dimension, ratio**2)
    beta = length / ratio if ratio > 0 else np.full(len(length), np.inf)
    best = int((share / (1 + beta**2)).argmax())
    return {"ratio": float(beta[best]), "share": float(share[best])}


def _points(eps: npt.ArrayLike) -> Array:
    points = np.asarray(eps, dtype=float)
    if not (points >= 0).all():
        raise InvalidInputError(f"got eps={eps!r}, expected numbers of at least zero")
    return points
