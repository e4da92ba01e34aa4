"""Convex quadratic and second-order cone programs, one at a time, by Clarabel."""

from __future__ import annotations

import clarabel
import numpy as np
import scipy.sparse as sp

from dfl_solvers.oracle import Array, Status

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
    k = len(costs)
    scale = float(np.abs(costs).max(initial=0.0)) or 1.0
    P = sp.csc_array((k, k)) if quadratic is None else sp.csc_array(quadratic) / scale
    cones = [clarabel.ZeroConeT(n_equal)] if n_equal else []
    if n_at_most:
        cones.append(clarabel.NonnegativeConeT(n_at_most))
    cones += [clarabel.SecondOrderConeT(size) for size in second_order]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
    solver = clarabel.DefaultSolver(
        sp.csc_matrix(sp.triu(P)),
        np.asarray(costs) / scale,
        sp.csc_matrix(A),
        np.asarray(b, dtype=float),
        cones,
        settings,
    )
    solution = solver.solve()
    return np.array(solution.x), _STATUS.get(solution.status, Status.FAILED)
