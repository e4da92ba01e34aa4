"""HiGHS kept hot: one solver object per thread holds the model, and only its costs change."""

from __future__ import annotations

import os
import threading
from typing import Any, Protocol, final

import highspy
import numpy as np
import scipy.sparse as sp

from dfl_solvers.exceptions import InvalidInputError, SolverError
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Solution, Status
from dfl_solvers.program import Program

_Outcome = highspy.HighsModelStatus
_SOLVED = {_Outcome.kOptimal, _Outcome.kModelEmpty}
_LIMITED = {_Outcome.kTimeLimit, _Outcome.kSolutionLimit, _Outcome.kInterrupt}
# values of the option simplex_strategy
_DUAL, _PRIMAL = 1, 4
_RAY = {_Outcome.kUnbounded, _Outcome.kUnboundedOrInfeasible}
# how far rounded integers may take a row past its bound, relative to the size of its terms
_TOLERANCE = 1e-6

# a forked child has none of the threads that the parent's scheduler may have started
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=lambda: highspy.Highs.resetGlobalScheduler(False))


class Backend(Protocol):
    """What keeps a program ready for one batch of costs after another."""

    program: Program
    time_limit: float | None

    def solve(self, costs: Array) -> Solution:
        """Solve costs (n, d); where the status has no decision, the row is zero."""
        ...

    def fixed_part(self, decisions: Array, name: str) -> Array:
        """Return the least ``fixed_costs.x`` (n,) over feasible x that give decisions (n, d)."""
        ...


class AbstractHighsOracle(AbstractOracle):
    """Base of the oracles of one ``Program``; a leaf sets ``n_costs`` and ``_hot``."""

    _hot: Backend

    def program(self, instance: Instance | None = None) -> Program:
        """Return the feasible set in matrix form; it is the same for every instance."""
        return self._hot.program

    def _solve(self, costs: Array, instance: Instance) -> Solution:
        return self._hot.solve(costs)

    def _objective(self, costs: Array, decisions: Array, instance: Instance) -> Array:
        linear = super()._objective(costs, decisions, instance)
        if self.linear_objective:
            return linear
        return linear + self._hot.fixed_part(decisions, type(self).__name__)

    def _raise_for(self, status: Array) -> None:
        failed = np.flatnonzero(status == Status.FAILED)
        if len(failed) and self._hot.time_limit is not None:
            raise SolverError(
                f"{type(self).__name__}: instance {failed[0]}: no feasible decision was found "
                f"within time_limit={self._hot.time_limit} seconds"
            )
        super()._raise_for(status)


@final
class HotProgram:
    """A program whose HiGHS objects stay alive from one cost vector to the next, one per thread.

    Only costs change between instances, so the last basis stays primal feasible: a linear program
    restarts from it by primal simplex without presolve. Copies and pickles start afresh.

    Parameters
    ----------
    program : Program
        The feasible set; solved as a mixed-integer program if a variable is an integer.
    time_limit : float, optional
        Seconds per instance. Default: none.
    gap : float, default=0.0
        Relative gap at which a mixed-integer solve may stop.
    """

    def __init__(self, program: Program, time_limit: float | None = None, gap: float = 0.0) -> None:
        if time_limit is not None and not time_limit > 0:
            raise InvalidInputError(
                f"got time_limit={time_limit}, expected positive seconds or None"
            )
        if not 0 <= gap < np.inf:
            raise InvalidInputError(f"got gap={gap}, expected a relative gap of at least 0")
        self.program = program
        self.time_limit = time_limit
        self.gap = gap
        self._fixed = np.asarray(program.fixed_costs)
        self._integers = np.flatnonzero(np.asarray(program.integrality)).astype(np.int32)
        decision_map: Any = program.decision_map
        self._to_decision = None if program.identity else decision_map.T
        self._magnitudes = abs(program.A)
        self._local = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return HotProgram, (self.program, self.time_limit, self.gap)

    def solve(self, costs: Array) -> Solution:
        """Solve costs (n, d) one by one; where the status has no decision, the row is zero."""
        objective = self.program.objective(costs)
        x = np.zeros_like(objective)
        status = np.empty(len(costs), dtype=np.int8)
        highs = self._own("hot", self._build)
        for i, row in enumerate(objective):
            status[i] = self._solve_one(highs, row, x[i])
            if status[i] == Status.INFEASIBLE:
                # the feasible set does not depend on the costs
                status[i:] = Status.INFEASIBLE
                break
        decisions = x if self._to_decision is None else x @ self._to_decision
        return Solution(decisions, np.einsum("ij,ij->i", objective, x), status)

    def fixed_part(self, decisions: Array, name: str) -> Array:
        """Return the least ``fixed_costs.x`` (n,) over feasible x that give decisions (n, d).

        Parameters
        ----------
        decisions : ndarray of shape (n, d)
        name : str
            Who asks, for the message.

        Raises
        ------
        InvalidInputError
            If no feasible variables give one of the decisions.
        """
        decisions = np.ascontiguousarray(decisions, dtype=np.float64)
        if self._to_decision is None:
            return decisions @ self._fixed
        m = self.program.A.shape[0]
        rows = np.arange(m, m + decisions.shape[1], dtype=np.int32)
        highs = self._own("completion", self._build_completion)
        parts = np.empty(len(decisions))
        for i, row in enumerate(decisions):
            highs.changeRowsBounds(len(rows), rows, row, row)
            if _run(highs) not in _SOLVED:
                highs.clearSolver()
                raise InvalidInputError(
                    f"{name}: the decision of instance {i} is not attainable: no feasible "
                    "variables of the program give it"
                )
            parts[i] = self._fixed @ np.array(highs.allVariableValues())
        return parts

    def _solve_one(self, highs: Any, costs: Array, x: Array) -> Status:
        """Solve for costs (k,) of the variables and write the solution to x."""
        _set_costs(highs, costs)
        if self.time_limit is not None:
            # the clock of a HiGHS object runs on from solve to solve
            highs.setOptionValue("time_limit", highs.getRunTime() + self.time_limit)
        outcome = _run(highs)
        if outcome in _SOLVED:
            return Status.OPTIMAL if self._read(highs, x) else Status.FAILED
        if outcome in _LIMITED:
            found = highs.getInfo().primal_solution_status == int(highspy.kSolutionStatusFeasible)
            return Status.FEASIBLE if found and self._read(highs, x) else Status.FAILED
        # what a failed solve leaves behind must not start the next one
        highs.clearSolver()
        if outcome == _Outcome.kInfeasible:
            return Status.INFEASIBLE
        if outcome in _RAY:
            # with zero costs nothing is unbounded
            _set_costs(highs, np.zeros_like(costs))
            feasible = _run(highs) in _SOLVED
            highs.clearSolver()
            return Status.UNBOUNDED if feasible else Status.INFEASIBLE
        # numerical trouble: once more, from nothing, and by the other simplex
        highs.setOptionValue("simplex_strategy", _DUAL)
        solved = _run(highs) in _SOLVED and self._read(highs, x)
        highs.setOptionValue("simplex_strategy", _PRIMAL)
        if not solved:
            highs.clearSolver()
        return Status.OPTIMAL if solved else Status.FAILED

    def _read(self, highs: Any, x: Array) -> bool:
        """Write the solution to x with exact integers; False if that breaks a row."""
        program, integers = self.program, self._integers
        x[:] = np.clip(highs.allVariableValues(), program.lower, program.upper)
        if not len(integers):
            return True
        x[integers] = np.round(x[integers])
        if self._feasible(x):
            return True
        # an integer was off by the solver's tolerance: fix the integers, fit the rest to them
        values = x[integers]
        highs.changeColsBounds(len(integers), integers, values, values)
        solved = _run(highs) in _SOLVED
        if solved:
            x[:] = np.clip(highs.allVariableValues(), program.lower, program.upper)
            x[integers] = values
        highs.changeColsBounds(
            len(integers), integers, program.lower[integers], program.upper[integers]
        )
        return solved and self._feasible(x)

    def _feasible(self, x: Array) -> bool:
        program = self.program
        rows = program.A @ x
        slack = _TOLERANCE * (1.0 + self._magnitudes @ np.abs(x))
        return bool(
            (rows >= program.row_lower - slack).all() and (rows <= program.row_upper + slack).all()
        )

    def _own(self, key: str, build: Any) -> Any:
        """Return this thread's own object, built on first use."""
        objects = self._local.__dict__
        if key not in objects:
            objects[key] = build()
        return objects[key]

    def _build(self) -> Any:
        return _model(self.program, self.gap, primal=True)

    def _build_completion(self) -> Any:
        program, d = self.program, self.program.n_costs
        decision_map: Any = program.decision_map
        extended = Program(
            sp.vstack([program.A, decision_map]),
            np.concatenate([program.row_lower, np.zeros(d)]),
            np.concatenate([program.row_upper, np.zeros(d)]),
            program.lower,
            program.upper,
            program.integrality,
        )
        # here the rows change and the costs stay, so the last basis stays dual feasible
        highs = _model(extended, 0.0, primal=False)
        _set_costs(highs, self._fixed)
        return highs


def _model(program: Program, gap: float, primal: bool) -> Any:
    """Pass a program to a new, silent HiGHS object."""
    integral = np.asarray(program.integrality)
    lp = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = program.A.shape
    lp.col_cost_ = np.zeros(program.n_variables)
    lp.col_lower_, lp.col_upper_ = program.lower, program.upper
    lp.row_lower_, lp.row_upper_ = program.row_lower, program.row_upper
    matrix = sp.csc_array(program.A)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = matrix.indptr
    lp.a_matrix_.index_ = matrix.indices
    lp.a_matrix_.value_ = matrix.data
    options: dict[str, Any] = {"output_flag": False, "threads": 1}
    if integral.any():
        kinds = highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger
        lp.integrality_ = [kinds[int(i)] for i in integral]
        options |= {"mip_rel_gap": gap}
    else:
        strategy = _PRIMAL if primal else _DUAL
        options |= {"solver": "simplex", "presolve": "off", "simplex_strategy": strategy}
    highs: Any = highspy.Highs.__new__(highspy.Highs)
    # the base class alone: what Highs adds to it are callbacks, and HiGHS prints a banner for them
    super(highspy.Highs, highs).__init__()
    for name, value in options.items():
        highs.setOptionValue(name, value)
    if highs.passModel(lp) == highspy.HighsStatus.kError:
        raise SolverError("HiGHS refuses the program")
    return highs


def _set_costs(highs: Any, costs: Array) -> None:
    """Pass costs (k,) scaled by a power of two, since the tolerances of HiGHS are absolute.

    The scaling is exact, so ties stay ties, and the largest cost is between 512 and 1024.
    """
    k = len(costs)
    exponent = np.frexp(np.abs(costs).max(initial=0.0))[1]
    scaled = np.ldexp(costs, 10 - exponent)
    highs.changeColsCost(k, np.arange(k, dtype=np.int32), scaled)


def _run(highs: Any) -> Any:
    """Run HiGHS on one thread and return the outcome."""
    if highs.run() == highspy.HighsStatus.kError:
        # someone else's HiGHS has set up this thread's scheduler for more threads: take it as it is
        highs.setOptionValue("threads", 0)
        highs.run()
    return highs.getModelStatus()


def feasible_basis(program: Program) -> tuple[Array, Array] | None:
    """Return which variables, rows after columns, a feasible vertex of a linear program has basic.

    Returns
    -------
    basic, at_upper : ndarray of bool of shape (k + m,)
        Together None where HiGHS finds no such vertex.
    """
    highs = _model(program, 0.0, primal=True)
    highs.setOptionValue("primal_feasibility_tolerance", 1e-10)
    if _run(highs) not in _SOLVED:
        return None
    basis = highs.getBasis()
    states = [*basis.col_status, *basis.row_status]
    basic = np.array([state == highspy.HighsBasisStatus.kBasic for state in states], dtype=bool)
    if not basis.valid or basic.sum() != program.A.shape[0]:
        return None
    at_upper = np.array([state == highspy.HighsBasisStatus.kUpper for state in states], dtype=bool)
    return basic, at_upper
