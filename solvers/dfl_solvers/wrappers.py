"""Oracles around oracles: maximize, count, or wrap any callable."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from dfl_solvers.exceptions import DFLError, InvalidInputError, note_instance
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Oracle, Solution, Status, negated


@final
class Maximize:
    """Maximize ``v.w`` over the feasible set of a minimizing oracle; for values, not costs.

    Use it wherever more is better. It carries ``sign = -1`` and the wrapped ``minimizing`` oracle:
    losses, metrics and estimators multiply outputs and costs by the sign once, where they come in,
    and know only minimization from there on.

    Parameters
    ----------
    oracle : Oracle
        A minimizing oracle.

    Raises
    ------
    InvalidInputError
        If ``oracle`` maximizes already, or is no oracle.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import Maximize, TopK
    >>> Maximize(TopK(3, 1)).solve(np.array([[1.0, 5.0, 2.0]])).objectives
    array([5.])
    """

    sign = -1

    def __init__(self, oracle: Oracle) -> None:
        if getattr(oracle, "sign", 1) == -1:
            raise InvalidInputError(f"Maximize: got {oracle!r}, which maximizes already")
        if isinstance(oracle, type) or not hasattr(oracle, "solve"):
            raise InvalidInputError(
                f"Maximize: got {oracle!r}, expected an oracle, such as TopK(5, 2)"
            )
        self.oracle = oracle

    @property
    def minimizing(self) -> Oracle:
        """The wrapped oracle."""
        return self.oracle

    @property
    def n_costs(self) -> int | None:
        """Length of a value vector, or None where any length is accepted."""
        return self.oracle.n_costs

    def solve(self, costs: Array, instance: Instance | None = None) -> Solution:
        """Maximize ``v.w``: values (n, d) give decisions (n, d); objectives are the values."""
        solution = self.oracle.solve(negated(costs), instance)
        return Solution(solution.decisions, -solution.objectives, solution.status)

    def evaluate(self, costs: Array, decisions: Array, instance: Instance | None = None) -> Array:
        """Value (n,) of given decisions (n, d)."""
        return -self.oracle.evaluate(negated(costs), decisions, instance)

    def __repr__(self) -> str:
        return f"Maximize(oracle={self.oracle!r})"


@dataclass
class Counts:
    """What a ``Counting`` oracle has seen.

    Attributes
    ----------
    calls, instances : int
        Calls of ``solve``, and instances in them.
    seconds : float
        Time spent in the oracle.
    interrupted : int
        Instances whose status is ``FEASIBLE``: a limit on time or gap ended the solve before its
        decision was proven optimal (or a ``Pool`` answered).
    """

    calls: int = 0
    instances: int = 0
    seconds: float = 0.0
    interrupted: int = 0


# one lock for all counters: an increment is rare against a solve, and a module-level lock pickles
_COUNTING = threading.Lock()


@final
class Counting:
    """Count what another oracle solves, how long, and what was cut short; decisions are untouched.

    Parameters
    ----------
    oracle : Oracle
        The oracle to count; a maximizing one stays maximizing.

    Attributes
    ----------
    counts : Counts
        The running totals.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import Box, Counting
    >>> oracle = Counting(Box(2))
    >>> _ = oracle.solve(np.array([[1.0, -1.0], [2.0, 3.0]]))
    >>> oracle.counts.calls, oracle.counts.instances
    (1, 2)
    """

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.counts = Counts()

    @property
    def sign(self) -> int:
        """-1 if the counted oracle maximizes, else 1."""
        return getattr(self.oracle, "sign", 1)

    @property
    def minimizing(self) -> Counting:
        """The minimizing oracle under the same counter."""
        if self.sign == 1:
            return self
        inner = Counting(self.oracle.minimizing)  # type: ignore[attr-defined]
        inner.counts = self.counts
        return inner

    @property
    def n_costs(self) -> int | None:
        """Length of a cost vector, or None where any length is accepted."""
        return self.oracle.n_costs

    def solve(self, costs: Array, instance: Instance | None = None) -> Solution:
        """Solve a batch and count it."""
        start = time.perf_counter()
        solution = self.oracle.solve(costs, instance)
        elapsed = time.perf_counter() - start
        # optimal is zero, and nothing worse than feasible comes this far
        interrupted = int(np.count_nonzero(solution.status))
        with _COUNTING:
            self.counts.calls += 1
            self.counts.instances += len(solution.objectives)
            self.counts.seconds += elapsed
            self.counts.interrupted += interrupted
        return solution

    def evaluate(self, costs: Array, decisions: Array, instance: Instance | None = None) -> Array:
        """Objective (n,) of given decisions; not counted."""
        return self.oracle.evaluate(costs, decisions, instance)

    def __getattr__(self, name: str) -> Any:
        # what the counted oracle can do beside solving (program, instance_fields, ...)
        if name in {"oracle", "counts"} or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.oracle, name)

    def __repr__(self) -> str:
        return f"Counting(oracle={self.oracle!r})"


@final
class FromCallable(AbstractOracle):
    """Make an oracle of any function that solves one instance.

    Use it for a solver of your own; it runs row by row. The answer is not checked for optimality:
    ``check_oracle`` does that.

    Parameters
    ----------
    function : callable
        Takes a cost vector (d,) and returns a minimizing decision (d,). With ``fields``, it is
        called with each named part of the instance as a keyword argument as well.
    n_costs : int, optional
        Length of a cost vector; None if any length is accepted.
    fields : tuple of str, default=()
        Names of the per-instance data that the function takes.

    Raises
    ------
    InvalidInputError
        If the function returns a decision of another length, or one that is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import FromCallable
    >>> oracle = FromCallable(lambda c: np.eye(len(c))[c.argmin()], n_costs=3)
    >>> oracle.solve(np.array([[3.0, 1.0, 2.0]])).decisions
    array([[0., 1., 0.]])
    """

    def __init__(
        self,
        function: Callable[..., Array],
        n_costs: int | None = None,
        fields: tuple[str, ...] = (),
    ) -> None:
        self.function = function
        self.n_costs = n_costs
        self.fields = fields
        self.instance_fields = frozenset(fields)  # type: ignore[misc]

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Status]:
        decisions = np.empty_like(costs)
        for i, row in enumerate(costs):
            own = {name: value[i] for name, value in instance.items()}
            try:
                decision = np.asarray(self.function(row.copy(), **own), dtype=float)
            except Exception as error:
                if not isinstance(error, DFLError):
                    note_instance(error, i)
                raise
            if decision.shape != row.shape:
                raise InvalidInputError(
                    f"FromCallable: instance {i}: the function returned a decision of shape "
                    f"{decision.shape}, expected {row.shape}"
                )
            if not np.isfinite(decision).all():
                raise InvalidInputError(
                    f"FromCallable: instance {i}: the function returned a decision with NaN or "
                    "infinite entries"
                )
            decisions[i] = decision
        return decisions, Status.OPTIMAL
