"""Linear and mixed-integer programs by OR-Tools: GLOP and SCIP through MathOpt, kept hot."""

from __future__ import annotations

import datetime
from typing import Any, final

import numpy as np

from dfl_solvers.backends.model import Bounds, bounds_of
from dfl_solvers.exceptions import SolverError, import_optional
from dfl_solvers.oracle import Array, Status
from dfl_solvers.program import Program

_STATUS = {
    "OPTIMAL": Status.OPTIMAL,
    "FEASIBLE": Status.FEASIBLE,
    "INFEASIBLE": Status.INFEASIBLE,
    "UNBOUNDED": Status.UNBOUNDED,
    "INFEASIBLE_OR_UNBOUNDED": Status.UNBOUNDED,
}


@final
class OrtoolsModel:
    """A program in OR-Tools, kept hot: GLOP for linear programs, SCIP where there are integers.

    SCIP, since CP-SAT rounds costs to whole numbers and is exact for those alone.

    Parameters
    ----------
    program : Program
    time_limit : float or None
        Seconds per solve.
    gap : float
        Relative gap at which a mixed-integer solve may stop.

    Raises
    ------
    MissingDependencyError
        If OR-Tools is not installed.
    """

    def __init__(self, program: Program, time_limit: float | None, gap: float) -> None:
        mathopt: Any = import_optional("ortools.math_opt.python.mathopt", "ortools")
        self.bounds = bounds = bounds_of(program)
        self._model = model = mathopt.Model()
        mixed = bool(np.any(program.integrality))
        self._x = [
            model.add_variable(lb=low, ub=high, is_integer=integral)
            for low, high, integral in zip(
                bounds.lower.tolist(),
                bounds.upper.tolist(),
                np.asarray(program.integrality).tolist(),
                strict=True,
            )
        ]
        self._rows = [
            model.add_linear_constraint(lb=low, ub=high)
            for low, high in zip(bounds.row_lower.tolist(), bounds.row_upper.tolist(), strict=True)
        ]
        entries = program.A.tocoo()
        rows, columns = entries.coords
        for i, j, value in zip(rows.tolist(), columns.tolist(), entries.data.tolist(), strict=True):
            self._rows[i].set_coefficient(self._x[j], value)
        self._parameters = mathopt.SolveParameters(
            # GLOP runs on one thread in any case
            threads=1 if mixed else None,
            time_limit=None if time_limit is None else datetime.timedelta(seconds=time_limit),
            relative_gap_tolerance=gap if mixed else None,
        )
        if mixed:
            self._parameters.gscip.real_params["numerics/feastol"] = 1e-9
        else:
            self._parameters.glop.primal_feasibility_tolerance = 1e-9
            self._parameters.glop.dual_feasibility_tolerance = 1e-9
        # SCIP does not survive a program without an optimum in MathOpt: GLOP is asked before
        self._relaxed = OrtoolsModel(program.relax(), time_limit, gap) if mixed else None
        kinds = mathopt.SolverType
        self._solver = mathopt.IncrementalSolver(model, kinds.GSCIP if mixed else kinds.GLOP)

    def set_bounds(self, bounds: Bounds) -> None:
        """Change bounds of rows and variables."""
        for things, low, high, old_low, old_high in (
            (self._rows, *bounds[:2], *self.bounds[:2]),
            (self._x, *bounds[2:], *self.bounds[2:]),
        ):
            for j in np.flatnonzero((low != old_low) | (high != old_high)).tolist():
                thing: Any = things[j]
                thing.lower_bound, thing.upper_bound = float(low[j]), float(high[j])
        self.bounds = bounds
        if self._relaxed is not None:
            self._relaxed.set_bounds(bounds)

    def solve(self, costs: Array, x: Array) -> Status:
        """Minimize scaled costs (k,) and write x if there is a decision."""
        if self._relaxed is not None and self.bounds.open_to(costs):
            status = self._relaxed.solve(costs, x)
            if status in (Status.INFEASIBLE, Status.UNBOUNDED):
                return status
        objective = self._model.objective
        for variable, cost in zip(self._x, costs.tolist(), strict=True):
            objective.set_linear_coefficient(variable, cost)
        try:
            result = self._solver.solve(params=self._parameters)
        except Exception as error:  # of several kinds, and some fail while they are made
            raise SolverError(f"OR-Tools stopped: {error.__context__ or error}") from error
        status = _STATUS.get(result.termination.reason.name, Status.FAILED)
        if status <= Status.FEASIBLE:
            x[:] = result.variable_values(self._x)
        return status
