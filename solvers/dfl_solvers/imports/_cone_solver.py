"""Solving a canonicalized CVXPY problem that is not linear, by Clarabel."""

from __future__ import annotations

from typing import Any

import clarabel
import numpy as np
import scipy.sparse as sp

from dfl_solvers.exceptions import import_optional
from dfl_solvers.imports._cone_form import ConeData, ConeForm
from dfl_solvers.oracle import Array, Status

_STATUS = {
    "Solved": Status.OPTIMAL,
    "AlmostSolved": Status.FEASIBLE,
    "PrimalInfeasible": Status.INFEASIBLE,
    "AlmostPrimalInfeasible": Status.INFEASIBLE,
    "DualInfeasible": Status.UNBOUNDED,
    "AlmostDualInfeasible": Status.UNBOUNDED,
}
_TOLERANCE = 1e-9


def known_value(data: ConeData, x: Array) -> Array:
    """Return the known part (n,) of the objective at variables (n, k)."""
    return x @ data.f + np.vecdot(x, np.asarray(x @ data.P)) / 2


class ConeSolver:
    """A Clarabel solver that keeps its matrices from one objective to the next.

    With ``rows``, ``rows @ x`` is held at given values.
    """

    def __init__(self, form: ConeForm, data: ConeData, rows: Any = None) -> None:
        interface = import_optional(
            "cvxpy.reductions.solvers.conic_solvers.clarabel_conif", "cvxpy"
        )
        self._held = 0 if rows is None else rows.shape[0]
        self._f = data.f
        self._b = np.concatenate([np.zeros(self._held), data.b])
        A = -sp.csc_array(data.A) if rows is None else sp.vstack([rows, -sp.csc_array(data.A)])
        cones = interface.dims_to_solver_cones(form.dims)
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.max_threads = 1
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = _TOLERANCE
        # both would keep the data from being updated
        settings.presolve_enable = settings.chordal_decomposition_enable = False
        self._P = sp.csc_matrix(sp.triu(data.P))
        self._solver = clarabel.DefaultSolver(
            self._P,
            data.f if rows is not None else np.ones(len(data.f)),
            sp.csc_matrix(A),
            self._b,
            [clarabel.ZeroConeT(self._held), *cones] if self._held else cones,
            settings,
        )

    def solve(self, objectives: Array) -> tuple[Array, Array]:
        """Return the minimizers (n, k) and status (n,) for linear parts (n, k)."""
        x, status, _ = self.solve_both(objectives)
        return x, status

    def solve_both(self, objectives: Array) -> tuple[Array, Array, Array]:
        """Return the multipliers (n, m) of the cones as well."""
        scales = np.ones(len(objectives))

        def charge(i: int) -> None:
            # tolerances are absolute: large costs would pass for a proof that there is no optimum
            scale = 2.0 ** max(0, int(np.frexp(np.abs(objectives[i]).max(initial=0.0))[1]))
            scales[i] = scale
            if self._P.nnz:
                self._solver.update(P=self._P.data / scale, q=objectives[i] / scale)
            else:
                self._solver.update(q=objectives[i] / scale)

        x, status, multipliers = self._run(len(objectives), charge)
        return x, status, multipliers * scales[:, None]

    def complete(self, values: Array) -> tuple[Array, Array]:
        """Return the minimizers (n, k) of the known part with the rows held at values (n, d)."""

        def hold(i: int) -> None:
            self._b[: self._held] = values[i]
            self._solver.update(b=self._b)

        x, status, _ = self._run(len(values), hold)
        return x, status

    def _run(self, n: int, update: Any) -> tuple[Array, Array, Array]:
        x, multipliers = np.zeros((n, len(self._f))), np.zeros((n, len(self._b)))
        status = np.empty(n, dtype=np.int8)
        for i in range(n):
            update(i)
            solution = self._solver.solve()
            status[i] = _STATUS.get(str(solution.status), Status.FAILED)
            if status[i] <= Status.FEASIBLE:
                x[i], multipliers[i] = solution.x, solution.z
        return x, status, multipliers
