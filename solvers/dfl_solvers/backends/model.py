"""What a general solver keeps of a program, and what changes between instances."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from dfl_solvers.oracle import Array, Instance, Solution, Status
from dfl_solvers.program import Program


class Bounds(NamedTuple):
    """What may differ from one instance to the next while the model stays."""

    row_lower: Array
    row_upper: Array
    lower: Array
    upper: Array

    @property
    def empty(self) -> bool:
        """Whether nothing is within some pair of bounds."""
        return any(
            bool(((low > high) | (low == np.inf) | (high == -np.inf)).any())
            for low, high in (self[:2], self[2:])
        )

    def open_to(self, costs: Array) -> bool:
        """Tell whether some cost (k,) falls where its variable has no bound."""
        down = (costs > 0) & np.isinf(self.lower)
        return bool((down | (costs < 0) & np.isinf(self.upper)).any())


class Model(Protocol):
    """A program in one general solver, owned by one thread."""

    bounds: Bounds

    def set_bounds(self, bounds: Bounds) -> None:
        """Change bounds of rows and variables."""
        ...

    def solve(self, costs: Array, x: Array) -> Status:
        """Minimize ``costs.x`` and write x if there is a decision.

        Costs (k,) are scaled, see ``scaled``. ``UNBOUNDED`` may stand for an empty set as well.
        """
        ...


class Backend(Protocol):
    """What keeps a program ready for one batch of costs after another.

    ``instance`` holds, by the names of the fields of ``Program``, bounds and fixed costs that
    differ by instance, each with leading n.
    """

    program: Program

    def solve(self, costs: Array, instance: Instance | None = None) -> Solution:
        """Solve costs (n, d); where the status has no decision, the row is zero."""
        ...

    def fixed_part(
        self, decisions: Array, name: str, instance: Instance | None = None, first: int = 0
    ) -> Array:
        """Return the least ``fixed_costs.x`` (n,) over feasible x that give decisions (n, d)."""
        ...


def bounds_of(program: Program) -> Bounds:
    """Return the bounds of a program."""
    return Bounds(*(np.asarray(getattr(program, name)) for name in Bounds._fields))


def scaled(costs: Array) -> Array:
    """Return costs (k,) times a power of two, since the tolerances of solvers are absolute.

    The scaling is exact, so ties stay ties, and the largest cost is between 512 and 1024.
    """
    exponent = np.frexp(np.abs(costs).max(initial=0.0))[1]
    return np.ldexp(costs, 10 - exponent)
