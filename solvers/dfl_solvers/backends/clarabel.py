"""By Clarabel: linear programs kept hot; quadratic and second-order cone programs one at a time."""

from __future__ import annotations

from typing import Any, final

import clarabel
import numpy as np
import scipy.sparse as sp

from dfl_solvers.backends._sides import Sides
from dfl_solvers.backends.model import Bounds, bounds_of
from dfl_solvers.oracle import Array, Status
from dfl_solvers.program import Program

_STATUS = {
    clarabel.SolverStatus.Solved: Status.OPTIMAL,
    clarabel.SolverStatus.AlmostSolved: Status.FEASIBLE,
    clarabel.SolverStatus.PrimalInfeasible: Status.INFEASIBLE,
    clarabel.SolverStatus.AlmostPrimalInfeasible: Status.INFEASIBLE,
    clarabel.SolverStatus.DualInfeasible: Status.UNBOUNDED,
    clarabel.SolverStatus.AlmostDualInfeasible: Status.UNBOUNDED,
}


def solve_cone_program(
    costs: Array,
    A: Array,
    b: Array,
    *,
    quadratic: Array | None = None,
    n_equal: int = 0,
    n_at_most: int = 0,
    second_order: tuple[int, ...] = (),
    tolerance: float = 1e-9,
) -> tuple[Array, Status]:
    """Minimize ``x'Px / 2 + c.x`` subject to ``b - A x`` in a product of cones.

    Parameters
    ----------
    costs : ndarray of shape (k,)
        The linear part c.
    A : ndarray or sparse matrix of shape (m, k)
        Rows in the order of the cones: equalities, inequalities, second-order cones.
    b : ndarray of shape (m,)
    quadratic : ndarray or sparse matrix of shape (k, k), optional
        The matrix P, symmetric and positive semidefinite. Default: zero.
    n_equal : int, default=0
        Rows with ``A x = b``.
    n_at_most : int, default=0
        Rows with ``A x <= b``.
    second_order : tuple of int, default=()
        Sizes of the cones ``s[0] >= norm(s[1:])`` for ``s = b - A x``.
    tolerance : float, default=1e-9
        Of feasibility and of the gap, relative and absolute.

    Returns
    -------
    x : ndarray of shape (k,)
    status : Status
        ``FEASIBLE`` if the tolerance was almost reached; x means nothing above that.

    Notes
    -----
    Costs are divided by their largest, since tolerances are absolute as well.

    References
    ----------
    P. Goulart, Y. Chen. Clarabel: an interior-point solver for conic programs with quadratic
    objectives (2024). arXiv:2405.12762

    Examples
    --------
    The point of the unit disk that is farthest in the direction (3, 4):

    >>> import numpy as np
    >>> disk = np.vstack([np.zeros(2), -np.eye(2)])
    >>> x, status = solve_cone_program(
    ...     np.array([-3.0, -4.0]), disk, np.array([1.0, 0.0, 0.0]), second_order=(3,)
    ... )
    >>> x.round(6), status.name
    (array([0.6, 0.8]), 'OPTIMAL')
    """
    x, _, status = solve_cone_pair(
        costs, A, b, quadratic=quadratic, n_equal=n_equal, n_at_most=n_at_most,
        second_order=second_order, tolerance=tolerance,
    )  # fmt: skip
    return x, status


def solve_cone_pair(
    costs: Array,
    A: Any,
    b: Array,
    *,
    quadratic: Any = None,
    n_equal: int = 0,
    n_at_most: int = 0,
    second_order: tuple[int, ...] = (),
    tolerance: float = 1e-9,
) -> tuple[Array, Array, Status]:
    """Solve as ``solve_cone_program`` does, and return the multipliers as well.

    Returns
    -------
    x : ndarray of shape (k,)
    z : ndarray of shape (m,)
        In the dual cones, with ``P x + c + A'z = 0``.
    status : Status
    """
    k = len(costs)
    scale = float(np.abs(costs).max(initial=0.0)) or 1.0
    P = sp.csc_array((k, k)) if quadratic is None else sp.csc_array(quadratic) / scale
    cones = [clarabel.ZeroConeT(n_equal)] if n_equal else []
    if n_at_most:
        cones.append(clarabel.NonnegativeConeT(n_at_most))
    cones += [clarabel.SecondOrderConeT(size) for size in second_order]
    solver = clarabel.DefaultSolver(
        sp.csc_matrix(sp.triu(P)),
        np.asarray(costs) / scale,
        sp.csc_matrix(A),
        np.asarray(b, dtype=float),
        cones,
        _settings(tolerance),
    )
    solution = solver.solve()
    status = _STATUS.get(solution.status, Status.FAILED)
    return np.array(solution.x), scale * np.array(solution.z), status


@final
class ClarabelModel:
    """A linear program in Clarabel, which keeps its matrices from one solve to the next.

    An interior point method: where many decisions are optimal it returns one between them, not a
    vertex, and it is exact to about 1e-9. There is no warm start.

    Parameters
    ----------
    program : Program
        Without integer variables.
    time_limit : float or None
        Seconds per solve.
    gap : float
        Not used.
    """

    def __init__(self, program: Program, time_limit: float | None, gap: float) -> None:
        del gap
        self._matrix = sp.vstack([program.A, sp.eye_array(program.n_variables)], format="csr")
        self._settings = settings = _settings(1e-9)
        # both would keep the data from being updated
        settings.presolve_enable = settings.chordal_decomposition_enable = False
        if time_limit is not None:
            settings.time_limit = time_limit
        self._build(bounds_of(program))

    def _build(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._sides = _sides(bounds)
        n_equal, n_most, n_least = (len(side) for side in self._sides)
        signs = np.repeat([1.0, 1.0, -1.0], [n_equal, n_most, n_least])
        self._solver = clarabel.DefaultSolver(
            sp.csc_matrix((self._matrix.shape[1],) * 2),
            np.ones(self._matrix.shape[1]),
            sp.csc_matrix(self._matrix[self._sides.rows] * signs[:, None]),
            self._right(bounds),
            [clarabel.ZeroConeT(n_equal), clarabel.NonnegativeConeT(n_most + n_least)],
            self._settings,
        )

    def _right(self, bounds: Bounds) -> Array:
        right = self._sides.right(*_ends(bounds))
        right[len(right) - len(self._sides.at_least) :] *= -1.0
        return right

    def set_bounds(self, bounds: Bounds) -> None:
        """Change bounds of rows and variables."""
        if self._sides.agree(_sides(bounds)):
            self.bounds = bounds
            self._solver.update(b=self._right(bounds))
        else:
            self._build(bounds)

    def solve(self, costs: Array, x: Array) -> Status:
        """Minimize scaled costs (k,) and write x if there is a decision."""
        # large costs would pass for a proof that there is no optimum
        self._solver.update(q=costs / 1024)
        solution = self._solver.solve()
        status = _STATUS.get(solution.status, Status.FAILED)
        if status <= Status.FEASIBLE:
            x[:] = solution.x
        return status


def _ends(bounds: Bounds) -> tuple[Array, Array]:
    """Return lower and upper bounds of rows and variables together."""
    lower = np.concatenate([bounds.row_lower, bounds.lower])
    return lower, np.concatenate([bounds.row_upper, bounds.upper])


def _sides(bounds: Bounds) -> Sides:
    return Sides.of(*_ends(bounds))


def _settings(tolerance: float) -> Any:
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
    return settings
