"""HiGHS kept hot: one solver object per thread holds the model, and only its costs change."""

from __future__ import annotations

from typing import Any, final

import highspy
import numpy as np

from dfl_solvers.backends.bare_highs import bare_highs, linear_program, run_highs
from dfl_solvers.backends.hot_program import HotProgram as HotProgram
from dfl_solvers.backends.model import Bounds, bounds_of, scaled
from dfl_solvers.exceptions import SolverError
from dfl_solvers.oracle import Array, Status
from dfl_solvers.program import Program

_Outcome = highspy.HighsModelStatus
_SOLVED = {_Outcome.kOptimal, _Outcome.kModelEmpty}
_LIMITED = {_Outcome.kTimeLimit, _Outcome.kSolutionLimit, _Outcome.kInterrupt}
# values of the option simplex_strategy
_DUAL, _PRIMAL = 1, 4
_STATUS = {
    _Outcome.kOptimal: Status.OPTIMAL,
    _Outcome.kModelEmpty: Status.OPTIMAL,
    _Outcome.kInfeasible: Status.INFEASIBLE,
    _Outcome.kUnbounded: Status.UNBOUNDED,
    _Outcome.kUnboundedOrInfeasible: Status.UNBOUNDED,
}
_CLEAR = _LIMITED | set(_STATUS)
# solves after bounds have changed that try how to start
_TRIALS = 6


@final
class HighsModel:
    """A program in HiGHS, kept hot.

    Where only costs have changed since the last solve, its basis is primal feasible still, and a
    linear program restarts by primal simplex without presolve. Where bounds have changed, dual
    simplex starts from the last basis or, if that saves few steps, from none at all.

    Parameters
    ----------
    program : Program
    time_limit : float or None
        Seconds per solve.
    gap : float
        Relative gap at which a mixed-integer solve may stop.
    """

    def __init__(self, program: Program, time_limit: float | None, gap: float) -> None:
        self.bounds = bounds_of(program)
        self.highs = _model(program, gap, primal=True)
        self._time_limit = time_limit
        self._mixed = bool(np.any(program.integrality))
        m, k = program.A.shape
        self._rows = np.arange(m, dtype=np.int32)
        self._columns = np.arange(k, dtype=np.int32)
        self._strategy = _PRIMAL
        self._moved = False
        # of solves after bounds have changed: how many, and steps from nothing and from a basis
        self._trials, self._steps = 0, [0, 0]

    def set_bounds(self, bounds: Bounds) -> None:
        """Change bounds of rows and variables."""
        rows, columns = self._rows, self._columns
        self.highs.changeRowsBounds(len(rows), rows, bounds.row_lower, bounds.row_upper)
        self.highs.changeColsBounds(len(columns), columns, bounds.lower, bounds.upper)
        self.bounds = bounds
        self._moved = True

    def solve(self, costs: Array, x: Array) -> Status:
        """Minimize scaled costs (k,) and write x if there is a decision."""
        highs = self.highs
        highs.changeColsCost(len(costs), self._columns, costs)
        if self._time_limit is not None:
            # the clock of a HiGHS object runs on from solve to solve
            highs.setOptionValue("time_limit", highs.getRunTime() + self._time_limit)
        if self._mixed:
            outcome = run_highs(highs)
        elif self._moved:
            outcome = self._run_moved(costs)
        else:
            self._use(_PRIMAL)
            outcome = run_highs(highs)
        self._moved = False
        if outcome not in _CLEAR:
            # numerical trouble: once more, from nothing, and by the other simplex
            highs.clearSolver()
            self._use(_DUAL if self._strategy == _PRIMAL else _PRIMAL)
            outcome = run_highs(highs)
        status = _STATUS.get(outcome, Status.FAILED)
        if outcome in _LIMITED:
            feasible = int(highspy.kSolutionStatusFeasible)
            if highs.getInfo().primal_solution_status == feasible:
                status = Status.FEASIBLE
        if status <= Status.FEASIBLE:
            x[:] = highs.allVariableValues()
        elif outcome not in _LIMITED:
            # what a failed solve leaves behind must not start the next one
            highs.clearSolver()
        return status

    def _run_moved(self, costs: Array) -> Any:
        """Run after bounds have changed; the first times, try by turns how to start."""
        trial = self._trials < _TRIALS
        warm = self._trials % 2 if trial else int(2 * self._steps[1] < self._steps[0])
        dual = True
        if not warm:
            # without a basis, dual simplex needs a bound wherever a cost points
            self.highs.clearSolver()
            dual = not self.bounds.open_to(costs)
        self._use(_DUAL if dual else _PRIMAL)
        outcome = run_highs(self.highs)
        if trial:
            self._steps[warm] += self.highs.getInfo().simplex_iteration_count
            self._trials += 1
        return outcome

    def _use(self, strategy: int) -> None:
        if strategy != self._strategy and not self._mixed:
            self.highs.setOptionValue("simplex_strategy", strategy)
            self._strategy = strategy


def _model(program: Program, gap: float, primal: bool) -> Any:
    """Pass a program to a new, silent HiGHS object."""
    integral = np.asarray(program.integrality)
    lp = linear_program(
        np.zeros(program.n_variables),
        program.A,
        program.row_lower,
        program.row_upper,
        program.lower,
        program.upper,
    )
    options: dict[str, Any] = {"output_flag": False, "threads": 1}
    if integral.any():
        kinds = highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger
        lp.integrality_ = [kinds[int(i)] for i in integral]
        options |= {"mip_rel_gap": gap}
    else:
        strategy = _PRIMAL if primal else _DUAL
        options |= {"solver": "simplex", "presolve": "off", "simplex_strategy": strategy}
    highs = bare_highs(options)
    if highs.passModel(lp) == highspy.HighsStatus.kError:
        raise SolverError("HiGHS refuses the program")
    return highs


def _set_costs(highs: Any, costs: Array) -> None:
    """Pass costs (k,), scaled."""
    k = len(costs)
    highs.changeColsCost(k, np.arange(k, dtype=np.int32), scaled(costs))


def feasible_basis(program: Program) -> tuple[Array, Array] | None:
    """Return which variables, rows after columns, a feasible vertex of a linear program has basic.

    Returns
    -------
    basic, at_upper : ndarray of bool of shape (k + m,)
        Together None where HiGHS finds no such vertex.
    """
    highs = _model(program, 0.0, primal=True)
    highs.setOptionValue("primal_feasibility_tolerance", 1e-10)
    if run_highs(highs) not in _SOLVED:
        return None
    basis = highs.getBasis()
    states = [*basis.col_status, *basis.row_status]
    basic = np.array([state == highspy.HighsBasisStatus.kBasic for state in states], dtype=bool)
    if not basis.valid or basic.sum() != program.A.shape[0]:
        return None
    at_upper = np.array([state == highspy.HighsBasisStatus.kUpper for state in states], dtype=bool)
    return basic, at_upper
