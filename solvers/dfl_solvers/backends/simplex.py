"""Small linear programs by a compiled simplex method, always warm."""

from __future__ import annotations

from functools import cached_property
from typing import Any, final

import numpy as np

from dfl_solvers.backends._bounded_simplex import approach, solve_all
from dfl_solvers.backends._dictionary import Dictionary, Vertex, copy_of
from dfl_solvers.backends._reduction import reduce
from dfl_solvers.backends.hot_program import HotProgram
from dfl_solvers.kernels import SLOW, run
from dfl_solvers.oracle import Array, Instance, Solution, Status
from dfl_solvers.program import Program

# instances for each trial of the start from the optimum of the mean; at most _TRIALS of them
_PER_TRIAL = 16
_TRIALS = 6
# steps for each variable, and in any case, before HiGHS is asked
_STEPS = 20, 100


@final
class SimplexProgram:
    """A small linear program, solved in compiled code on a dense dictionary.

    Takes the place of ``HotProgram`` where the overhead of a general solver is most of its time.
    HiGHS finds a feasible vertex once. From there, or from the optimum for the mean costs of the
    batch where that is nearer, each instance is solved by the primal simplex method. An answer
    counts if the dictionary of the first vertex proves it; HiGHS solves the rest, and instances
    whose bounds differ. What a call returns does not depend on earlier calls or on the number of
    threads.

    Parameters
    ----------
    program : Program
        The feasible set, without integer variables.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self._highs = HotProgram(program)
        decision_map: Any = program.decision_map
        self._to_decision = None if program.identity else decision_map.T

    def __reduce__(self) -> tuple[Any, ...]:
        return SimplexProgram, (self.program,)

    def solve(self, costs: Array, instance: Instance | None = None) -> Solution:
        """Solve costs (n, d); where the status has no decision, the row is zero."""
        if instance:
            # afresh, since the last basis of a shared object would decide between ties
            return HotProgram(self.program).solve(costs, instance)
        if self._reduced is None:
            return self._highs.solve(costs)
        dictionary, start, lines = self._reduced
        if self._to_decision is None:
            objective = costs + self.program.fixed_costs
        else:
            objective = self.program.objective(costs)
        objective = np.ascontiguousarray(objective)  # one layout, one compilation
        limit = _STEPS[0] * len(dictionary.moved) + _STEPS[1]
        start = _best_start(objective, dictionary, start, limit)
        x = np.zeros_like(objective)
        status = np.empty(len(x), dtype=np.int8)
        run(solve_all, len(x), objective, dictionary, start, limit, x, status, serial=SLOW)
        if len(lines):
            slope = np.abs(objective @ lines.T).max(axis=1)
            status[slope > 1e-9 * np.abs(objective).max(axis=1)] = Status.UNBOUNDED
        decisions = x if self._to_decision is None else x @ self._to_decision
        solution = Solution(decisions, np.vecdot(objective, x), status)
        if status.any():
            self._ask_highs(costs, solution)
        return solution

    def fixed_part(
        self, decisions: Array, name: str, instance: Instance | None = None, first: int = 0
    ) -> Array:
        """Return the least ``fixed_costs.x`` (n,) over feasible x that give decisions (n, d)."""
        return self._highs.fixed_part(decisions, name, instance, first)

    def _ask_highs(self, costs: Array, solution: Solution) -> None:
        """Solve what was not proved, in place; of what is unbounded, the first for all."""
        status = solution.status
        # an object of its own, since the last basis of a shared one would decide between ties
        highs = HotProgram(self.program)
        doubtful = np.flatnonzero(status == Status.FAILED)
        unbounded = np.flatnonzero(status == Status.UNBOUNDED)
        if len(unbounded) and highs.solve(costs[unbounded[:1]]).status[0] <= Status.FEASIBLE:
            doubtful = np.flatnonzero(status)
        found = highs.solve(costs[doubtful])
        solution.decisions[doubtful] = found.decisions
        solution.objectives[doubtful] = found.objectives
        status[doubtful] = found.status

    @cached_property
    def _reduced(self) -> tuple[Dictionary, Vertex, Array] | None:
        return reduce(self.program)


def _best_start(objective: Array, dictionary: Dictionary, first: Vertex, limit: int) -> Vertex:
    """Return the first vertex or the optimum for the mean, whichever is nearer to a few optima."""
    n = min(len(objective) // _PER_TRIAL, _TRIALS)
    if not n:
        return first
    mean, vertex = objective.mean(axis=0), copy_of(first)
    trials = objective[np.linspace(0, len(objective) - 1, n).astype(int)]
    return vertex if approach(mean, trials, dictionary, first, vertex, limit) else first
