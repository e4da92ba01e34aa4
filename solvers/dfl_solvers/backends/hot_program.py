"""A program kept in a general solver: one model per thread, of which only numbers change."""

from __future__ import annotations

import dataclasses
import importlib
import os
import threading
from functools import cached_property
from typing import Any, final

# loaded before anything that loads OR-Tools: HiGHS cannot be loaded after that
import highspy  # noqa: F401
import numpy as np
import scipy.sparse as sp

from dfl_solvers.backends.model import Bounds, Model, bounds_of, scaled
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Instance, Solution, Status
from dfl_solvers.program import Program

# in backends/<name>.py; all but the compiled simplex are driven by HotProgram
MODELS = {
    "highs": "HighsModel",
    "clarabel": "ClarabelModel",
    "gurobi": "GurobiModel",
    "ortools": "OrtoolsModel",
}
# how far rounded integers may take a row past its bound, relative to the size of its terms
_TOLERANCE = 1e-6


@final
class HotProgram:
    """A program whose solver models stay alive from one instance to the next, one per thread.

    Costs change between instances, and bounds and fixed costs where ``instance`` says so; the
    matrix never does, so a linear program restarts from the last basis. Copies and pickles start
    afresh.

    Parameters
    ----------
    program : Program
        The feasible set; solved as a mixed-integer program if a variable is an integer.
    time_limit : float, optional
        Seconds per instance. Default: none.
    gap : float, default=0.0
        Relative gap at which a mixed-integer solve may stop.
    backend : {"highs", "clarabel", "gurobi", "ortools"}, default="highs"
    """

    def __init__(
        self,
        program: Program,
        time_limit: float | None = None,
        gap: float = 0.0,
        backend: str = "highs",
    ) -> None:
        if time_limit is not None and not time_limit > 0:
            raise InvalidInputError(
                f"got time_limit={time_limit}, expected positive seconds or None"
            )
        if not 0 <= gap < np.inf:
            raise InvalidInputError(f"got gap={gap}, expected a relative gap of at least 0")
        self.program = program
        self.time_limit = time_limit
        self.gap = gap
        self.backend = backend
        self._bounds = bounds_of(program)
        self._integers = np.flatnonzero(np.asarray(program.integrality))
        decision_map: Any = program.decision_map
        self._to_decision = None if program.identity else decision_map.T
        self._local = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return HotProgram, (self.program, self.time_limit, self.gap, self.backend)

    def solve(self, costs: Array, instance: Instance | None = None) -> Solution:
        """Solve costs (n, d) one by one; where the status has no decision, the row is zero."""
        instance = instance or {}
        objective = self.program.objective(costs)
        if "fixed_costs" in instance:
            objective += instance["fixed_costs"] - self.program.fixed_costs
        x = np.zeros_like(objective)
        status = np.empty(len(costs), dtype=np.int8)
        model = self.model()
        for i, row in enumerate(objective):
            bounds = self._bounds_of(instance, i)
            status[i] = self._solve_one(model, row, bounds, x[i])
            if status[i] == Status.INFEASIBLE and not instance:
                # the feasible set does not depend on the costs
                status[i:] = Status.INFEASIBLE
                break
        decisions = x if self._to_decision is None else x @ self._to_decision
        return Solution(decisions, np.einsum("ij,ij->i", objective, x), status)

    def fixed_part(
        self, decisions: Array, name: str, instance: Instance | None = None, first: int = 0
    ) -> Array:
        """Return the least ``fixed_costs.x`` (n,) over feasible x that give decisions (n, d).

        Parameters
        ----------
        decisions : ndarray of shape (n, d)
        name : str
            Who asks, for the message.
        instance : mapping of str to ndarray, optional
        first : int, default=0
            Number of the first instance, for the message.

        Raises
        ------
        InvalidInputError
            If no feasible variables give one of the decisions.
        """
        instance = instance or {}
        decisions = np.ascontiguousarray(decisions, dtype=np.float64)
        if self._to_decision is None:
            return np.vecdot(decisions, instance.get("fixed_costs", self.program.fixed_costs))
        n = len(decisions)
        held = dict(instance)
        for side in ("row_lower", "row_upper"):
            rows = instance.get(side, np.broadcast_to(getattr(self.program, side), (n, self._m)))
            held[side] = np.hstack([rows, decisions])
        found = self._completion.solve(np.zeros((n, 0)), held)
        failed = np.flatnonzero(found.status > Status.FEASIBLE)
        if len(failed):
            raise InvalidInputError(
                f"{name}: the decision of instance {first + failed[0]} is not attainable: no "
                "feasible variables of the program give it"
            )
        return found.objectives

    def model(self) -> Any:
        """Return this thread's own model, built on first use."""
        own, process = self._local, os.getpid()
        if getattr(own, "process", None) != process:  # a solver does not live through a fork
            module = importlib.import_module(f"dfl_solvers.backends.{self.backend}")
            kind = getattr(module, MODELS[self.backend])
            own.model = kind(self.program, self.time_limit, self.gap)
            own.process = process
        return own.model

    def _bounds_of(self, instance: Instance, i: int) -> Bounds:
        """Return the bounds of instance i."""
        if not instance:
            return self._bounds
        own = [
            instance[name][i] if name in instance else ours
            for name, ours in zip(Bounds._fields, self._bounds, strict=True)
        ]
        return Bounds(*own)

    def _solve_one(self, model: Model, costs: Array, bounds: Bounds, x: Array) -> Status:
        """Solve for costs (k,) of the variables and write the solution to x."""
        if not _same(bounds, model.bounds):
            if bounds.empty:
                return Status.INFEASIBLE
            model.set_bounds(bounds)
        status = model.solve(scaled(costs), x)
        if status == Status.UNBOUNDED:
            # with zero costs nothing is unbounded
            found = model.solve(np.zeros_like(costs), x)
            status = Status.UNBOUNDED if found <= Status.FEASIBLE else Status.INFEASIBLE
        if status <= Status.FEASIBLE and not self._read(model, costs, bounds, x):
            status = Status.FAILED
        if status > Status.FEASIBLE:
            x[:] = 0.0
        return status

    def _read(self, model: Model, costs: Array, bounds: Bounds, x: Array) -> bool:
        """Make a solution x exact in bounds and integers; False if that breaks a row."""
        integers = self._integers
        np.clip(x, bounds.lower, bounds.upper, out=x)
        if not len(integers):
            return True
        x[integers] = np.round(x[integers])
        if self._feasible(bounds, x):
            return True
        # an integer was off by the solver's tolerance: fix the integers, fit the rest to them
        values = x[integers]
        lower, upper = bounds.lower.copy(), bounds.upper.copy()
        lower[integers] = upper[integers] = values
        model.set_bounds(bounds._replace(lower=lower, upper=upper))
        solved = model.solve(scaled(costs), x) <= Status.FEASIBLE
        model.set_bounds(bounds)
        np.clip(x, bounds.lower, bounds.upper, out=x)
        x[integers] = values
        return solved and self._feasible(bounds, x)

    def _feasible(self, bounds: Bounds, x: Array) -> bool:
        rows = self.program.A @ x
        slack = _TOLERANCE * (1.0 + self._magnitudes @ np.abs(x))
        return bool(
            (rows >= bounds.row_lower - slack).all() and (rows <= bounds.row_upper + slack).all()
        )

    @property
    def _m(self) -> int:
        return int(self.program.A.shape[0])

    @cached_property
    def _magnitudes(self) -> Any:
        return abs(self.program.A)

    @cached_property
    def _completion(self) -> HotProgram:
        """The same program with the decision as further rows, to be held at given values.

        By HiGHS whatever solves the program: few variables are left to choose.
        """
        program, d = self.program, self.program.n_costs
        decision_map: Any = program.decision_map
        extended = dataclasses.replace(
            program,
            A=sp.vstack([program.A, decision_map]),
            row_lower=np.concatenate([program.row_lower, np.zeros(d)]),
            row_upper=np.concatenate([program.row_upper, np.zeros(d)]),
            decision_map=sp.csr_array((0, program.n_variables)),
        )
        return HotProgram(extended)


def _same(left: Bounds, right: Bounds) -> bool:
    return left is right or all(
        ours is other or np.array_equal(ours, other)
        for ours, other in zip(left, right, strict=True)
    )
