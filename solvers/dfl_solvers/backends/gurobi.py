"""Linear and mixed-integer programs by Gurobi, kept hot, with clear words where a license fails."""

from __future__ import annotations

import os
import threading
from typing import Any, final

import numpy as np

from dfl_solvers.backends._sides import Sides
from dfl_solvers.backends.model import Bounds, bounds_of
from dfl_solvers.exceptions import LicenseError, SolverError, import_optional
from dfl_solvers.oracle import Array, Status
from dfl_solvers.program import Program

# Gurobi's code of an optimal solve, and two of its error codes
OPTIMAL = 2
_NO_LICENSE, _TOO_LARGE = 10009, 10010
_OWN = threading.local()


def gurobi() -> Any:
    """Import gurobipy."""
    return import_optional("gurobipy", "gurobi")


def environment() -> Any:
    """Return this thread's silent environment; one, since licenses count them.

    Raises
    ------
    LicenseError
        If Gurobi has no valid license.
    """
    process = os.getpid()  # it does not live through a fork
    if getattr(_OWN, "process", None) != process:
        gp = gurobi()
        try:
            _OWN.environment = gp.Env(params={"OutputFlag": 0})
        except gp.GurobiError as error:
            raise LicenseError(_unlicensed(error)) from error
        _OWN.process = process
    return _OWN.environment


def _unlicensed(error: Exception) -> str:
    return (
        f"Gurobi has no valid license: {error}; renew it, see that GRB_LICENSE_FILE names the "
        "right file, or solve by HiGHS with backend='highs'"
    )


def optimize(model: Any, callback: Any = None, name: str = "backend 'gurobi'") -> None:
    """Run Gurobi, and say clearly where it cannot."""
    try:
        model.optimize(callback)
    except gurobi().GurobiError as error:
        if error.errno == _TOO_LARGE:
            raise LicenseError(
                f"{name}: the model has {model.NumVars} variables and {model.NumConstrs} "
                "constraints, more than the size-limited license that comes with gurobipy allows "
                "(2000 of each); install a full license, or solve it by HiGHS with "
                "backend='highs', an imported model by WithBackend(oracle, backend='highs')"
            ) from error
        if error.errno == _NO_LICENSE:
            raise LicenseError(f"{name}: {_unlicensed(error)}") from error
        raise SolverError(f"{name}: Gurobi stopped with an error: {error}") from error


@final
class GurobiModel:
    """A program in Gurobi, kept hot; needs a license above 2000 variables or rows.

    Linear programs restart from the last basis. Programs with integers start every solve afresh, so
    that a decision does not depend on the instances before it. A row with two bounds is two rows.

    Parameters
    ----------
    program : Program
    time_limit : float or None
        Seconds per solve.
    gap : float
        Relative gap at which a mixed-integer solve may stop.

    Raises
    ------
    LicenseError
        If Gurobi has no valid license.
    MissingDependencyError
        If gurobipy is not installed.
    """

    def __init__(self, program: Program, time_limit: float | None, gap: float) -> None:
        self._A = program.A
        self._mixed = bool(np.any(program.integrality))
        self._kinds = np.where(program.integrality, "I", "C").tolist()
        self._options = {"Threads": 1, "MIPGap": gap, "FeasibilityTol": 1e-9}
        self._options |= {"OptimalityTol": 1e-9, "IntFeasTol": 1e-9}
        if time_limit is not None:
            self._options["TimeLimit"] = time_limit
        self._build(bounds_of(program))

    def _build(self, bounds: Bounds) -> None:
        gp = gurobi()
        self.bounds = bounds
        self._sides = sides = Sides.of(bounds.row_lower, bounds.row_upper)
        self._model = gp.Model(env=environment())
        for name, value in self._options.items():
            self._model.setParam(name, value)
        self._x = self._model.addMVar(
            len(self._kinds), bounds.lower, bounds.upper, vtype=self._kinds
        )
        senses = np.repeat(["=", "<", ">"], [len(side) for side in sides])
        right = sides.right(bounds.row_lower, bounds.row_upper)
        self._rows = self._model.addMConstr(self._A[sides.rows], self._x, senses, right)

    def set_bounds(self, bounds: Bounds) -> None:
        """Change bounds of rows and variables."""
        if not self._sides.agree(Sides.of(bounds.row_lower, bounds.row_upper)):
            self._build(bounds)
            return
        self.bounds = bounds
        self._x.LB, self._x.UB = bounds.lower, bounds.upper
        self._rows.RHS = self._sides.right(bounds.row_lower, bounds.row_upper)

    def solve(self, costs: Array, x: Array) -> Status:
        """Minimize scaled costs (k,) and write x if there is a decision."""
        model, GRB = self._model, gurobi().GRB
        if self._mixed:
            model.reset(0)
        self._x.Obj = costs
        optimize(model)
        if model.Status == GRB.INTERRUPTED:
            raise KeyboardInterrupt  # Gurobi has caught the user's
        if model.Status in (GRB.UNBOUNDED, GRB.INF_OR_UNBD):
            return Status.UNBOUNDED
        if model.Status == GRB.INFEASIBLE:
            return Status.INFEASIBLE
        if not model.SolCount:
            return Status.FAILED
        x[:] = self._x.X
        return Status.OPTIMAL if model.Status == OPTIMAL else Status.FEASIBLE
