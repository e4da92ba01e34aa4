"""From surrogate risk to regret, and from a sample to the surrogate risk."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dfl.exceptions import InvalidInputError
from dfl.risk.tail import check_probability
from dfl_solvers.oracle import Array, Oracle, minimizing


def biconjugate(eps: npt.ArrayLike, values: npt.ArrayLike) -> tuple[Array, Array]:
    r"""Return the largest convex function below a calibration function, by its corners.

    Parameters
    ----------
    eps : array-like of shape (k,)
        Increasing points; the last one is to be the largest excess regret there can be, or the
        largest of interest.
    values : array-like of shape (k,)
        The calibration function there, or a lower bound of it; it does not decrease, and may end in
        infinities.

    Returns
    -------
    eps : ndarray of shape (m,)
        Corners of the lower convex hull, from the origin on.
    values : ndarray of shape (m,)
        The function there.

    Raises
    ------
    InvalidInputError
        If points or values are out of order, negative, or of different length.

    Notes
    -----
    Between two points the function is only known to be at least its value at the left one, and so
    the hull is that of the step function: the finer the points, the less is given away.

    Examples
    --------
    >>> corners, heights = biconjugate([1.0, 2.0, 3.0], [1.0, 1.0, 4.0])
    >>> corners.tolist(), heights.tolist()
    ([0.0, 1.0, 3.0], [0.0, 0.0, 1.0])
    """
    points, heights = np.asarray(eps, dtype=float), np.asarray(values, dtype=float)
    if points.ndim != 1 or points.shape != heights.shape or not len(points):
        raise InvalidInputError(
            f"biconjugate: got eps of shape {points.shape} and values of shape {heights.shape}, "
            "expected (k,) of both"
        )
    ordered = (points > 0).all() and (np.diff(points) > 0).all()
    if not ordered or not (heights >= 0).all() or (heights[1:] < heights[:-1]).any():
        raise InvalidInputError(
            "biconjugate: expected positive, increasing eps and values of at least zero that do "
            "not decrease"
        )
    finite = np.isfinite(heights)
    if not finite.all():  # regret of an infinite value cannot occur; its point still ends a step
        points, heights = points[: finite.sum() + 1], heights[: finite.sum() + 1]
    x = np.concatenate([[0.0], points])
    y = np.concatenate([[0.0, 0.0], heights[:-1]])
    corners = [0]
    for i in range(1, len(x)):
        while len(corners) > 1 and not _turns_up(x, y, corners[-2], corners[-1], i):
            corners.pop()
        corners.append(i)
    return x[corners], y[corners]


def _turns_up(x: Array, y: Array, a: int, b: int, c: int) -> bool:
    """Tell whether the corner b lies below the line from a to c."""
    return bool((y[b] - y[a]) * (x[c] - x[a]) < (y[c] - y[a]) * (x[b] - x[a]))


def excess_risk_bound(
    surrogate_excess: npt.ArrayLike, eps: npt.ArrayLike, values: npt.ArrayLike
) -> Array:
    r"""Bound the expected excess regret of a model by its excess surrogate risk.

    Parameters
    ----------
    surrogate_excess : array-like
        Bound on the surrogate risk of the model above the least there is, such as that of
        ``surrogate_excess_bound``.
    eps, values : array-like of shape (k,)
        Calibration function, or a lower bound of it, that holds for all features; see
        ``biconjugate``.

    Returns
    -------
    ndarray of the shape of ``surrogate_excess``
        At most ``eps[-1]``, or the first point with an infinite value.

    Raises
    ------
    InvalidInputError
        If a number is negative, or points or values are out of order.

    Notes
    -----
    With the biconjugate :math:`\delta^{\star\star}`, the excess regret :math:`r` and the excess
    surrogate risk :math:`s`,

    .. math::

        \delta^{\star\star}(r) \le s.

    An upper *estimate*, as ``calibration_function`` gives, in place of a lower bound gives an
    estimate of what the transfer promises, and no guarantee.

    References
    ----------
    Steinwart, "How to compare different loss functions and their risks", Constructive Approximation
    26, 2007, doi 10.1007/s00365-006-0662-3, theorem 2.13.

    Examples
    --------
    >>> import numpy as np
    >>> eps = np.linspace(0.001, 1, 1000)
    >>> excess_risk_bound([0.01, 0.25, 9.0], eps, eps**2).round(2)
    array([0.1, 0.5, 1. ])
    """
    excess = np.asarray(surrogate_excess, dtype=float)
    if not (excess >= 0).all():
        raise InvalidInputError(
            f"excess_risk_bound: got surrogate_excess={surrogate_excess!r}, expected numbers of at "
            "least zero"
        )
    corners, heights = biconjugate(eps, values)
    # the last corner of height zero begins the part that rises
    start = int(np.flatnonzero(heights <= 0)[-1])
    return np.asarray(np.interp(excess, heights[start:], corners[start:]))


def surrogate_excess_bound(
    n_samples: int,
    complexity: float,
    *,
    diameter: float,
    loss_bound: float,
    confidence: float = 0.95,
) -> float:
    r"""Bound the excess SPO+ risk of the model of least empirical risk.

    Parameters
    ----------
    n_samples : int
        Rows n that the model was trained on.
    complexity : float
        Rademacher complexity of the class of models; see ``rademacher_complexity``.
    diameter : float
        Diameter D of the feasible set; see ``set_geometry``.
    loss_bound : float
        Largest SPO+ loss b; see ``spo_plus_range``.
    confidence : float, default=0.95
        Probability :math:`1 - \delta` with which the bound holds.

    Returns
    -------
    float
        The bound, in units of the loss.

    Raises
    ------
    InvalidInputError
        If a number is out of its range.

    Notes
    -----
    SPO+ changes by no more than 2D times the prediction, so that by vector contraction, with
    probability :math:`1 - \delta`,

    .. math::

        R(\hat g) - \inf_{g} R(g) \le 2 \sup_g |\hat R(g) - R(g)| \le
        2 \Big( 4 \sqrt 2 \, D \, \mathfrak R_n + b \sqrt{\frac{\log(2/\delta)}{2n}} \Big).

    The infimum is over the class; it is the least risk of all where the class holds the expected
    costs. The constants are reconstructed.

    References
    ----------
    Maurer, "A vector-contraction inequality for Rademacher complexities", ALT 2016,
    arXiv 1605.00251.

    Examples
    --------
    >>> round(surrogate_excess_bound(10_000, 0.01, diameter=1.0, loss_bound=2.0), 4)
    0.1675
    """
    check_probability("confidence", confidence)
    if n_samples < 1 or not min(complexity, diameter, loss_bound) >= 0:
        raise InvalidInputError(
            f"surrogate_excess_bound: got n_samples={n_samples}, complexity={complexity}, "
            f"diameter={diameter}, loss_bound={loss_bound}, expected at least one sample, and "
            "numbers of at least zero"
        )
    deviation = loss_bound * np.sqrt(np.log(2 / (1 - confidence)) / (2 * n_samples))
    return float(2 * (4 * np.sqrt(2) * diameter * complexity + deviation))


def spo_plus_range(
    oracle: Oracle, costs: npt.ArrayLike, *, diameter: float, prediction_radius: float
) -> float:
    r"""Bound the SPO+ loss over given costs and all predictions of bounded length.

    Parameters
    ----------
    oracle : Oracle
        The problem that the costs feed.
    costs : array-like of shape (n, d)
        Costs that stand for all there are: the bound holds for these.
    diameter : float
        Diameter D of the feasible set.
    prediction_radius : float
        Largest length of a prediction.

    Returns
    -------
    float
        The bound b.

    Raises
    ------
    InvalidInputError
        If costs are no table of finite numbers, or a number is negative.

    Notes
    -----
    The loss of a prediction of zero is the range :math:`\omega_S(c) = \max_w c^\top w -
    \min_w c^\top w`, and it changes by at most 2D times the prediction:
    :math:`b = \max_i \omega_S(c_i) + 2 D \|p\|`.

    Examples
    --------
    >>> from dfl_solvers import Simplex
    >>> spo_plus_range(Simplex(), [[1.0, 2.0, 4.0]], diameter=2**0.5, prediction_radius=0.0)
    3.0
    """
    held, _ = minimizing(oracle)
    if not min(diameter, prediction_radius) >= 0:
        raise InvalidInputError(
            f"spo_plus_range: got diameter={diameter}, prediction_radius={prediction_radius}, "
            "expected numbers of at least zero"
        )
    rows = np.asarray(costs, dtype=float)
    # the same for costs and values: what is largest for one is smallest for the other
    ranges = -held.solve(-rows).objectives - held.solve(rows).objectives
    return float(ranges.max(initial=0.0)) + 2 * diameter * prediction_radius
