"""Any oracle with a matrix form, solved by a general back-end."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Literal, final

import numpy as np

from dfl_solvers.backends.batches import join, share_models
from dfl_solvers.backends.model import Backend
from dfl_solvers.backends.program_oracle import raise_at_limit
from dfl_solvers.backends.selection import BackendName, make_backend
from dfl_solvers.exceptions import (
    InvalidInputError,
    LicenseError,
    MissingDependencyError,
    UnsupportedError,
)
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Oracle, Solution
from dfl_solvers.program import Program


@final
class WithBackend(AbstractOracle):
    """Solve the matrix form of another oracle by a general solver.

    For a solver that you have and trust, to cross-check a compiled oracle, for a time limit where
    the oracle has none, and for the linear relaxation of an oracle whose instances differ. The
    oracle's own method is nearly always faster.

    Parameters
    ----------
    oracle : Oracle
        A minimizing oracle with ``program``; ``Maximize`` goes around this one.
    backend : {"highs", "simplex", "clarabel", "gurobi", "ortools"}, default="highs"
        The last two solve programs with integer variables as well; Gurobi needs a license above
        2000 variables or rows.
    time_limit : float, optional
        Seconds per instance. One that reaches the limit with a feasible decision has
        ``Status.FEASIBLE``; one without raises. Default: no limit.
    gap : float, default=0.0
        Relative gap at which a decision with integers counts as optimal.
    relaxed : bool, default=False
        Whether to drop integrality.
    fallback : {"highs"}, optional
        What solves instead where the back-end is not installed or has no license for the program,
        with a warning. Default: that raises.

    Attributes
    ----------
    n_costs, instance_fields, linear_objective
        As the oracle has them.

    Raises
    ------
    UnsupportedError
        If the oracle has no matrix form.
    InvalidInputError
        If it maximizes, or the back-end is unknown or does not take its program.

    See Also
    --------
    LinearProgram, MixedIntegerProgram : For a ``Program`` of your own.

    Notes
    -----
    The solver keeps one model per thread. Instances whose programs differ in bounds of rows and
    variables or in fixed costs change these numbers in it; another matrix is another model.

    Where decisions tie, another solver may choose another one. Relaxed decisions are charged the
    least ``fixed_costs.x`` of the relaxed program.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import Knapsack, WithBackend
    >>> knapsack = Knapsack([[3.0, 4.0, 2.0]], [6.0])
    >>> values = np.array([[5.0, 6.0, 3.0]])
    >>> WithBackend(knapsack, "highs", time_limit=1.0).solve(-values).decisions
    array([[0., 1., 1.]])
    >>> WithBackend(knapsack).relax().solve(-values).decisions
    array([[1.  , 0.75, 0.  ]])
    """

    def __init__(
        self,
        oracle: Oracle,
        backend: BackendName = "highs",
        time_limit: float | None = None,
        gap: float = 0.0,
        relaxed: bool = False,
        fallback: Literal["highs"] | None = None,
    ) -> None:
        if getattr(oracle, "sign", 1) == -1:
            raise InvalidInputError(
                f"WithBackend: got {oracle!r}, which maximizes; put Maximize around: "
                "Maximize(WithBackend(oracle.minimizing, ...))"
            )
        if not hasattr(oracle, "program"):
            raise UnsupportedError(f"WithBackend: {oracle!r} has no matrix form (program)")
        if fallback not in (None, "highs"):
            raise InvalidInputError(f"WithBackend: got fallback={fallback!r}, expected 'highs'")
        self.oracle = oracle
        self.backend = backend
        self.time_limit = time_limit
        self.gap = gap
        self.relaxed = relaxed
        self.fallback = fallback
        self.n_costs = oracle.n_costs
        self.instance_fields = getattr(oracle, "instance_fields", frozenset())  # type: ignore[misc]
        self.linear_objective = getattr(oracle, "linear_objective", True)
        self._in_use: str = backend
        # what solves instances without data of their own, and what solved the last with
        self._default: Backend | None = None
        self._last: Backend | None = None
        try:
            program = self.program()
        except (InvalidInputError, LookupError):
            if not self.instance_fields:
                raise
            return  # there is no program without the data of an instance
        self._default = self._make(program)

    def relax(self) -> WithBackend:
        """Return the oracle of the linear relaxation, for the same instance data."""
        parameters: dict[str, Any] = {**self.parameters(), "relaxed": True}
        return WithBackend(**parameters)

    def program(self, instance: Instance | None = None) -> Program:
        """Return the feasible set of one instance in matrix form."""
        program: Program = self.oracle.program(instance)
        return program.relax() if self.relaxed else program

    def _check_instance(self, instance: Instance | None, costs: Array) -> Instance:
        check = getattr(self.oracle, "_check_instance", None)
        if check is None:
            return super()._check_instance(instance, costs)
        checked: Instance = check(instance, costs)
        return checked

    def _solve(self, costs: Array, instance: Instance) -> Solution:
        try:
            return self._solve_once(costs, instance)
        except (LicenseError, MissingDependencyError) as error:
            if self.fallback is None or self._in_use == self.fallback:
                raise
            warnings.warn(f"WithBackend: HiGHS solves instead, since {error}", stacklevel=4)
            self._in_use = self.fallback
            self._default = self._last = None
            return self._solve_once(costs, instance)

    def _solve_once(self, costs: Array, instance: Instance) -> Solution:
        runs = self._runs(len(costs), instance)
        return join([hot.solve(costs[rows], changes) for rows, hot, changes in runs])

    def _objective(self, costs: Array, decisions: Array, instance: Instance) -> Array:
        if not self.relaxed:
            return self.oracle.evaluate(costs, decisions, instance)
        linear = super()._objective(costs, decisions, instance)
        if self.linear_objective:
            return linear
        parts = [
            hot.fixed_part(decisions[rows], "WithBackend", changes, rows.start)
            for rows, hot, changes in self._runs(len(costs), instance)
        ]
        return linear + np.concatenate(parts)

    def _raise_for(self, status: Array) -> None:
        raise_at_limit("WithBackend", status, self.time_limit)
        super()._raise_for(status)

    def _runs(self, n: int, instance: Instance) -> Iterator[tuple[slice, Backend, Instance]]:
        """Yield rows of a batch with what solves them, and what it has to change for them."""
        if not instance:
            if self._default is None:
                self._default = self._make(self.program())
            yield slice(0, n), self._default, {}
            return
        alone = ({name: data[i] for name, data in instance.items()} for i in range(n))
        programs = (self.program(data) for data in alone)
        kept = self._last or self._default
        for rows, hot, changes in share_models(programs, self._make, kept):
            self._last = hot
            yield rows, hot, changes

    def _make(self, program: Program) -> Backend:
        return make_backend(program, self._in_use, self.time_limit, self.gap, "WithBackend")
