"""How large, how wide and how curved a feasible set is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import final

import numpy as np
import numpy.typing as npt

from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers import (
    Ball,
    Box,
    Ellipsoid,
    EntropyBall,
    LogBarrierSimplex,
    Simplex,
    TopK,
    all_optima,
    solving,
)
from dfl_solvers.oracle import Array, Oracle

# largest number of vertices, and of dimensions, for which widths are computed exactly
_VERTICES, _DIMENSIONS = 100, 6


@final
@dataclass(frozen=True, eq=False)
class Curvature:
    """Moduli of the function f of a set ``{w : f(w) <= r}``.

    Attributes
    ----------
    strong_convexity, smoothness : float
        Least and largest curvature of f, in the Euclidean norm.
    level : float
        ``r - min f``.
    """

    strong_convexity: float
    smoothness: float
    level: float


@final
@dataclass(frozen=True, eq=False)
class SetGeometry:
    """Size and shape of a feasible set, measured within its affine hull.

    Attributes
    ----------
    diameter : float
        Largest distance between two decisions, or an upper bound of it.
    width : float
        Least distance of two parallel planes that hold the set between them, or a lower bound of
        it; NaN where none is known.
    exact : bool
        Whether diameter and width are no mere bounds.
    hull : ndarray of shape (d, k)
        Orthonormal directions of the affine hull, of dimension k: costs matter only through
        ``hull.T @ c``.
    curvature : Curvature or None
        Of a strongly convex level set; None for others.
    """

    diameter: float
    width: float
    exact: bool
    hull: Array
    curvature: Curvature | None = None

    @property
    def dimension(self) -> int:
        """Dimension of the affine hull."""
        return int(self.hull.shape[1])


def set_geometry(
    oracle: Oracle, *, n_costs: int | None = None, vertices: npt.ArrayLike | None = None
) -> SetGeometry:
    r"""Measure the feasible set of an oracle: what the bounds of this package are made of.

    Parameters
    ----------
    oracle : Oracle
        Of the set.
    n_costs : int, optional
        Number of costs d, for an oracle that takes any.
    vertices : array-like of shape (m, d), optional
        All vertices of the set, where they are known; size and width are then exact up to six
        dimensions.

    Returns
    -------
    SetGeometry
        Widths, and what is known of the curvature.

    Raises
    ------
    InvalidInputError
        If the number of costs is not known, or the vertices are no rows of d numbers.
    UnsupportedError
        If nothing is known of the set: the objective is not linear.

    Notes
    -----
    Closed forms, with n the number of coordinates:

    ==================  =====================================  =============================
    set                 diameter                               width
    ==================  =====================================  =============================
    ``Box``             :math:`\sqrt n`                        1
    ``Simplex``         :math:`\sqrt 2`                        least :math:`\sqrt{n/(a(n-a))}`
    ``TopK``            :math:`\sqrt{2 \min(k, n-k)}`          least over groups of a coordinates
    ``Ball``            :math:`2\rho`                          :math:`2\rho`
    ``Ellipsoid``       :math:`2\sqrt{2r/\lambda_{\min}}`      :math:`2\sqrt{2r/\lambda_{\max}}`
    ==================  =====================================  =============================

    ``EntropyBall`` and ``LogBarrierSimplex`` are level sets of ``sum f(w_i)``. Their coordinates
    stay within an interval, on which f is strongly convex and smooth; continued by parabolas
    outside, it has the same moduli everywhere and the same level set. So :math:`\mu` and L are the
    least and largest second derivative on the interval, the diameter is at most
    :math:`2\sqrt{2 (r - \min f)/\mu}` and the width at least :math:`2\sqrt{2 (r - \min f)/L}`.

    Other sets of up to 100 known vertices in up to six dimensions are exact: the width is the
    distance from the origin to the nearest facet of the set of differences. For the rest, the
    diameter is bounded by the box around the set, which takes two solves a coordinate.

    Examples
    --------
    >>> from dfl_solvers import Simplex
    >>> geometry = set_geometry(Simplex(4))
    >>> round(geometry.diameter, 4), geometry.width, geometry.dimension
    (1.4142, 1.0, 3)
    """
    held = solving(oracle)
    d = held.n_costs if held.n_costs is not None else n_costs
    if d is None:
        raise InvalidInputError(
            f"set_geometry: {held!r} takes any number of costs; expected n_costs as well"
        )
    if vertices is not None:
        rows = np.asarray(vertices, dtype=float)
        if rows.ndim != 2 or rows.shape[1] != d or not len(rows) or not np.isfinite(rows).all():
            raise InvalidInputError(
                f"set_geometry: got vertices of shape {rows.shape}, expected rows of {d} numbers"
            )
        return _of_vertices(rows)
    return _measure(held, d)


@singledispatch
def _measure(oracle: Oracle, d: int) -> SetGeometry:
    """Measure a set without closed form: from its vertices if they are few, else from outside."""
    if not getattr(oracle, "linear_objective", True):
        raise UnsupportedError(
            f"set_geometry: {type(oracle).__name__} has an objective that is not c.w alone, so "
            "that its set cannot be felt by its optima"
        )
    if d <= _DIMENSIONS + 6:  # a set of few dimensions may have some more coordinates
        try:
            (vertices,) = all_optima(oracle, np.zeros((1, d)), limit=_VERTICES)
            return _of_vertices(vertices)
        except (UnsupportedError, InvalidInputError):
            pass  # too many, or not to be enumerated
    axes = np.eye(d)
    sides = -oracle.solve(-axes).objectives - oracle.solve(axes).objectives
    return SetGeometry(float(np.linalg.norm(sides)), float("nan"), False, np.eye(d))


@_measure.register
def _box(oracle: Box, d: int) -> SetGeometry:
    return SetGeometry(float(np.sqrt(d)), 1.0, True, np.eye(d))


@_measure.register
def _simplex(oracle: Simplex, d: int) -> SetGeometry:
    return _top(d, 1)


@_measure.register
def _top_k(oracle: TopK, d: int) -> SetGeometry:
    return _top(d, oracle.k)


def _top(d: int, k: int) -> SetGeometry:
    if k == d:
        return SetGeometry(0.0, 0.0, True, np.zeros((d, 0)))
    # the set of differences has facets whose normals tell a coordinates from the others
    a = np.arange(1, d)
    ranges = np.minimum(a, k) - np.maximum(0, k - d + a)
    width = float((ranges / np.sqrt(a * (d - a) / d)).min())
    return SetGeometry(float(np.sqrt(2 * min(k, d - k))), width, True, _centered(d))


@_measure.register
def _ball(oracle: Ball, d: int) -> SetGeometry:
    size = 2 * oracle.radius
    return SetGeometry(size, size, True, np.eye(d), Curvature(1.0, 1.0, oracle.radius**2 / 2))


@_measure.register
def _ellipsoid(oracle: Ellipsoid, d: int) -> SetGeometry:
    least, most = np.linalg.eigvalsh(oracle.matrix)[[0, -1]].tolist()
    return _curved(Curvature(least, most, float(oracle.level)), np.eye(d), exact=True)


@_measure.register
def _entropy(oracle: EntropyBall, d: int) -> SetGeometry:
    from scipy.special import xlogy

    def divergence(t: float) -> float:
        return float(np.log(d) + xlogy(t, t) + xlogy(1 - t, (1 - t) / (d - 1)))

    low, high = _range(divergence, d, oracle.level)
    least = 1 / low if low > 0 else np.inf
    curvature = Curvature(1 / high, least, float(oracle.level))
    # Pinsker: the 1-norm is at most sqrt(2 level), and sqrt(2) times the 2-norm is at most that
    return _curved(curvature, _centered(d), most=min(2 * oracle.level**0.5, 2**0.5))


@_measure.register
def _log_barrier(oracle: LogBarrierSimplex, d: int) -> SetGeometry:
    excess = float(oracle.level - d * np.log(d))

    def barrier(t: float) -> float:
        return float(-np.log(t) - (d - 1) * np.log((1 - t) / (d - 1)) - d * np.log(d))

    low, high = _range(barrier, d, excess)
    return _curved(Curvature(high**-2, low**-2, excess), _centered(d), most=2**0.5)


def _range(value: Callable[[float], float], d: int, level: float) -> tuple[float, float]:
    """Return the range of one coordinate of a level set that all coordinates enter alike.

    By symmetry and convexity it is least and largest where all the others are equal.
    """
    from scipy.optimize import brentq

    def gap(t: float) -> float:
        return value(t) - level

    # a barrier is finite at the smallest numbers only; beyond the entropy's level all are allowed
    lowest, highest = 1e-300, 1 - 1e-16
    low = 0.0 if gap(lowest) < 0 else brentq(gap, lowest, 1 / d, xtol=1e-300, rtol=1e-12)
    high = 1.0 if gap(highest) < 0 else brentq(gap, 1 / d, highest, rtol=1e-12)
    return float(low), float(high)


def _curved(
    curvature: Curvature, hull: Array, *, most: float = np.inf, exact: bool = False
) -> SetGeometry:
    diameter = 2 * np.sqrt(2 * curvature.level / curvature.strong_convexity)
    width = 2 * np.sqrt(2 * curvature.level / curvature.smoothness)
    return SetGeometry(float(min(diameter, most)), float(width), exact, hull, curvature)


def _of_vertices(vertices: Array) -> SetGeometry:
    """Measure the hull of some points."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    # from one of them, so that equal vertices are exactly at zero
    center = vertices - vertices[0]
    _, sizes, directions = np.linalg.svd(center, full_matrices=False)
    hull = directions[sizes > 1e-9 * sizes[0]].T
    if not hull.shape[1]:
        return SetGeometry(0.0, 0.0, True, hull)
    inside = center @ hull
    diameter = float(pdist(inside).max())
    if inside.shape[1] == 1:
        return SetGeometry(diameter, diameter, True, hull)
    if inside.shape[1] > _DIMENSIONS or len(vertices) > _VERTICES:
        return SetGeometry(diameter, float("nan"), False, hull)
    differences = (inside[:, None] - inside[None]).reshape(-1, inside.shape[1])
    facets = ConvexHull(differences).equations
    return SetGeometry(diameter, float(-facets[:, -1].max()), True, hull)


def _centered(d: int) -> Array:
    """Return an orthonormal basis (d, d - 1) of the vectors that sum to zero."""
    from scipy.linalg import helmert

    return np.asarray(helmert(d).T)
