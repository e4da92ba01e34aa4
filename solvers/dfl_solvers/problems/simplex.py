"""The probability simplex."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from dfl_solvers._sizes import read_size
from dfl_solvers.exceptions import UnsupportedError
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Status
from dfl_solvers.program import Program


@final
class Simplex(AbstractOracle):
    """Put all weight on the cheapest of n alternatives.

    Which model serves a job, which arm to pull: one choice among n.

    Parameters
    ----------
    n : int, optional
        Number of alternatives; None if any number is accepted.

    Notes
    -----
    ``min c.w`` over ``w >= 0, sum w = 1``: ``w = e_j`` with the first ``j`` of smallest cost.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import Simplex
    >>> Simplex().solve(np.array([[3.0, 1.0, 2.0]])).decisions
    array([[0., 1., 0.]])
    """

    instance_fields: ClassVar[frozenset[str]] = frozenset({"mask"})
    dtypes: ClassVar[tuple[type, ...]] = (np.float64, np.float32)

    def __init__(self, n: int | None = None) -> None:
        if n is not None:
            n = read_size("Simplex", "n", n)
        self.n = n
        self.n_costs = n

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Array | Status]:
        status: Array | Status = Status.OPTIMAL
        if not costs.shape[1]:
            return costs.copy(), np.full(len(costs), Status.INFEASIBLE)
        if "mask" in instance:
            mask = instance["mask"]
            costs = np.where(mask, costs, np.inf)
            status = np.where(mask.any(1), Status.OPTIMAL, Status.INFEASIBLE)
        decisions = np.zeros_like(costs)
        decisions[np.arange(len(costs)), costs.argmin(1)] = 1
        return decisions, status

    def permuted(self, d: int) -> Array:
        """Return the numbers (d,) whose permutations are the decisions for d costs."""
        return np.repeat([0.0, 1.0], [d - 1, 1])

    def program(self, instance: Instance | None = None) -> Program:
        """Return the simplex in matrix form: one row, and bounds."""
        if self.n is None:
            raise UnsupportedError("Simplex() has no matrix form: got n=None, expected a number")
        upper = np.ones(self.n)
        if instance and "mask" in instance:
            upper = np.asarray(instance["mask"], dtype=float)
        one = np.ones(1)
        return Program(np.ones((1, self.n)), one, one, np.zeros(self.n), upper)
