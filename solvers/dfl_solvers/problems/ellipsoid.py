"""Ellipsoids around the origin."""

from __future__ import annotations

from typing import final

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import kernel, run
from dfl_solvers.oracle import Array, Instance, Status
from dfl_solvers.problems._smooth import AbstractSmoothOracle

# smallest eigenvalue, relative to the largest, that is told from zero
_ROUNDING = 1e-14


@final
class Ellipsoid(AbstractSmoothOracle):
    r"""Go against the costs as far as an ellipsoid around the origin allows.

    A strongly convex set whose shape weighs the coordinates against one another, such as a bound
    on the energy of a control or on the tracking error of a portfolio. Decisions vary smoothly with
    the direction of the costs.

    Parameters
    ----------
    matrix : array-like of shape (d, d)
        The matrix Q of the quadratic form; symmetric, positive definite.
    level : float, default=0.5
        Largest value of ``w'Qw / 2``; positive. With the default, Q = I gives the unit ball.

    Attributes
    ----------
    n_costs : int
        Number d of coordinates.

    Raises
    ------
    InvalidInputError
        If the matrix is not symmetric and positive definite, or the level not positive and finite.

    Notes
    -----
    .. math::

        w^\star(c) = -\sqrt{2 r} \, Q^{-1} c \, / \sqrt{c^\top Q^{-1} c}, \qquad
        z^\star(c) = -\sqrt{2 r \, c^\top Q^{-1} c},

    with r the level. The matrix is factored once; a solve takes :math:`d^2` multiplications. For
    c = 0 every point is optimal; the origin is returned, and ``vector_jacobian_product`` returns
    zeros. Elsewhere the gradient of ``v.w``, with :math:`P = Q^{-1}` and :math:`q = c^\top P c`, is
    :math:`-\sqrt{2 r / q} \, (P v - P c \, (c^\top P v) / q)`. The set is no polyhedron, so there
    is no ``program``.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import Ellipsoid
    >>> oracle = Ellipsoid(np.diag([1.0, 4.0]))
    >>> oracle.solve(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 8.0]])).decisions
    array([[-1. ,  0. ],
           [ 0. , -0.5],
           [-0.6, -0.4]])
    """

    n_costs: int

    def __init__(self, matrix: npt.ArrayLike, level: float = 0.5) -> None:
        try:
            matrix = np.asarray(matrix, dtype=float)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"Ellipsoid: matrix is no matrix: {error}") from error
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
            raise InvalidInputError(
                f"Ellipsoid: got a matrix of shape {matrix.shape}, expected (d, d)"
            )
        if not np.isfinite(matrix).all():
            raise InvalidInputError("Ellipsoid: expected a matrix of finite numbers")
        if not 0 < level < np.inf:
            raise InvalidInputError(f"Ellipsoid: got level={level}, expected a positive number")
        self.matrix = matrix
        self.level = level
        self.n_costs = len(matrix)
        self._lower, size = _invert_factor(matrix)
        self._upper = np.ascontiguousarray(self._lower.T)
        self._reach = float(np.sqrt(2.0) * np.sqrt(level) / np.sqrt(size))

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Status]:
        decisions = np.zeros(costs.shape)
        costs = np.ascontiguousarray(costs)
        run(_decide, len(costs), costs, self._lower, self._upper, self._reach, decisions)
        return decisions, Status.OPTIMAL

    def _pull_back(self, costs: Array, vectors: Array) -> Array:
        gradients = np.zeros(costs.shape)
        data = costs, vectors, self._lower, self._upper, self._reach
        run(_differentiate, len(costs), *data, gradients)
        return gradients


def _invert_factor(matrix: Array) -> tuple[Array, float]:
    """Return L^-1 with L L' = matrix / size; refuse what is not symmetric positive definite."""
    size = float(np.abs(matrix).max())
    skew = np.abs(matrix - matrix.T).max()
    if skew > 1e-8 * size:
        raise InvalidInputError(
            f"Ellipsoid: the matrix is not symmetric: two mirrored entries differ by {skew:.3g}"
        )
    scaled = matrix / (size or 1.0)
    scaled = (scaled + scaled.T) / 2
    least, most = np.linalg.eigvalsh(scaled)[[0, -1]]
    if least <= _ROUNDING * most:
        raise InvalidInputError(
            "Ellipsoid: the matrix is not positive definite: its smallest eigenvalue is "
            f"{least * size:.3g}, its largest {most * size:.3g}"
        )
    factor = np.linalg.cholesky(scaled)
    inverse = solve_triangular(factor, np.eye(len(matrix)), lower=True)
    return np.ascontiguousarray(inverse), size


@kernel
def _whiten(costs: Array, upper: Array, y: Array) -> float:
    """Write L^-1 c to y, for c divided by its largest entry; return that entry, or zero."""
    d = len(costs)
    largest = 0.0
    for j in range(d):
        largest = max(largest, abs(costs[j]))
    y[:] = 0.0
    if largest > 0.0:
        # column by column: sums over a row would not run on vector units
        for j in range(d):
            part = costs[j] / largest
            for i in range(j, d):
                y[i] += part * upper[j, i]
    return largest


@kernel
def _decide(
    lo: int, hi: int, costs: Array, lower: Array, upper: Array, reach: float, decisions: Array
) -> None:
    d = costs.shape[1]
    y = np.empty(d)
    for row in range(lo, hi):
        if _whiten(costs[row], upper, y) == 0.0:
            continue
        norm = 0.0
        for i in range(d):
            norm += y[i] * y[i]
        factor = -reach / np.sqrt(norm)
        w = decisions[row]
        for i in range(d):
            part = factor * y[i]
            for j in range(i + 1):
                w[j] += part * lower[i, j]


@kernel
def _differentiate(
    lo: int,
    hi: int,
    costs: Array,
    vectors: Array,
    lower: Array,
    upper: Array,
    reach: float,
    gradients: Array,
) -> None:
    d = costs.shape[1]
    y = np.empty(d)
    across = np.empty(d)
    for row in range(lo, hi):
        largest = _whiten(costs[row], upper, y)
        length = _whiten(vectors[row], upper, across)
        if largest == 0.0 or length == 0.0:
            continue
        norm = 0.0
        along = 0.0
        for i in range(d):
            norm += y[i] * y[i]
            along += y[i] * across[i]
        along /= norm
        factor = -reach / np.sqrt(norm)
        g = gradients[row]
        for i in range(d):
            part = factor * (across[i] - along * y[i])
            for j in range(i + 1):
                g[j] += part * lower[i, j]
        for j in range(d):
            g[j] = g[j] / largest * length
