"""The k cheapest of n."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from dfl_solvers.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Status
from dfl_solvers.program import Program


@final
class TopK(AbstractOracle):
    """Choose the k cheapest of n items.

    Use ``Maximize(TopK(n, k))`` to choose the k most valuable ones, such as which customers to call
    or which jobs a better model gets.

    Parameters
    ----------
    n : int or None
        Number of items; None if any number from k on is accepted.
    k : int
        Number of items to choose.

    Raises
    ------
    InvalidInputError
        If k is not between 1 and n.

    Notes
    -----
    ``min c.w`` over ``0 <= w <= 1, sum w = k``. Of equally cheap items the first are chosen.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import TopK
    >>> TopK(4, 2).solve(np.array([[3.0, 1.0, 2.0, 1.5]])).decisions
    array([[0., 1., 0., 1.]])
    """

    instance_fields: ClassVar[frozenset[str]] = frozenset({"mask"})
    dtypes: ClassVar[tuple[type, ...]] = (np.float64, np.float32)

    def __init__(self, n: int | None, k: int) -> None:
        if k < 1 or (n is not None and k > n):
            raise InvalidInputError(f"TopK: got k={k}, expected a number from 1 to n={n}")
        self.n = n
        self.k = k
        self.n_costs = n

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Array | Status]:
        status: Array | Status = Status.OPTIMAL
        if "mask" in instance:
            costs = np.where(instance["mask"], costs, np.inf)
            enough = instance["mask"].sum(1) >= self.k
            status = np.where(enough, Status.OPTIMAL, Status.INFEASIBLE)
        elif costs.shape[1] < self.k:
            status = np.full(len(costs), Status.INFEASIBLE)
        decisions = np.zeros_like(costs)
        if self.k == 1 and costs.shape[1]:
            chosen = costs.argmin(1)[:, None]
        else:
            chosen = np.argsort(costs, axis=1, kind="stable")[:, : self.k]
        np.put_along_axis(decisions, chosen, 1.0, axis=1)
        return decisions, status

    def program(self, instance: Instance | None = None) -> Program:
        """Return the set in matrix form: one row, and bounds."""
        if self.n is None:
            raise UnsupportedError("TopK has no matrix form: got n=None, expected a number")
        upper = np.ones(self.n)
        if instance and "mask" in instance:
            upper = np.asarray(instance["mask"], dtype=float)
        k = np.array([float(self.k)])
        return Program(np.ones((1, self.n)), k, k, np.zeros(self.n), upper)
