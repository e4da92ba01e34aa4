"""The k cheapest of n."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from dfl_solvers._sizes import read_size
from dfl_solvers.exceptions import InfeasibleError, InvalidInputError, UnsupportedError
from dfl_solvers.kernels import kernel, run
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
    InfeasibleError
        When solving, if an instance has fewer than k items.

    Notes
    -----
    ``min c.w`` over ``0 <= w <= 1, sum w = k``. The k-th smallest cost is found by quickselect,
    compiled, in O(n) per instance on average. Of equally cheap items the first are chosen. Takes
    float64 and float32.

    Instance data ``mask`` (batch, n) is true for the items that may be chosen.

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
        k = read_size("TopK", "k", k)
        if n is not None:
            n = read_size("TopK", "n", n)
        if n is not None and k > n:
            raise InvalidInputError(f"TopK: got k={k}, expected a number from 1 to n={n}")
        self.n = n
        self.k = k
        self.n_costs = n

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Array | Status]:
        status: Array | Status = Status.OPTIMAL
        if costs.shape[1] < self.k:
            if not len(costs):
                return np.zeros_like(costs), status
            raise InfeasibleError(
                f"TopK: instance 0: the feasible set is empty: got {costs.shape[1]} items, "
                f"expected at least k={self.k}"
            )
        if "mask" in instance:
            costs = np.where(instance["mask"], costs, np.inf)
            enough = instance["mask"].sum(1) >= self.k
            status = np.where(enough, Status.OPTIMAL, Status.INFEASIBLE)
        if self.k == 1:
            decisions = np.zeros(costs.shape, costs.dtype)
            np.put_along_axis(decisions, costs.argmin(1)[:, None], 1.0, axis=1)
            return decisions, status
        decisions = np.empty(costs.shape, costs.dtype)
        run(_choose, len(costs), np.ascontiguousarray(costs), decisions, self.k)
        return decisions, status

    def permuted(self, d: int) -> Array:
        """Return the numbers (d,) whose permutations are the decisions for d costs."""
        return np.repeat([0.0, 1.0], [d - self.k, self.k])

    def program(self, instance: Instance | None = None) -> Program:
        """Return the set in matrix form: one row, and bounds."""
        if self.n is None:
            raise UnsupportedError("TopK has no matrix form: got n=None, expected a number")
        upper = np.ones(self.n)
        if instance and "mask" in instance:
            upper = np.asarray(instance["mask"], dtype=float)
        k = np.array([float(self.k)])
        return Program(np.ones((1, self.n)), k, k, np.zeros(self.n), upper)


@kernel
def _choose(lo, hi, costs, decisions, k):  # type: ignore[no-untyped-def]
    n = costs.shape[1]
    work = np.empty(n, costs.dtype)
    for b in range(lo, hi):
        row = costs[b]
        decision = decisions[b]
        work[:] = row
        bound = _select(work, k - 1)
        left = k
        for j in range(n):
            cheaper = row[j] < bound
            decision[j] = cheaper
            left -= cheaper
        # what is left goes to the first that cost as much as the last of the k
        for j in range(n):
            if row[j] == bound:
                decision[j] = 1
                left -= 1
                if left == 0:
                    break


@kernel
def _select(work, place):  # type: ignore[no-untyped-def]
    """Return what would be at a place if ``work`` were sorted; reorders it."""
    lo, hi = 0, len(work)
    draw = 0
    while True:
        # the median of three drawn numbers: no order of the items is slow, equal ones answer alike
        a, draw = _pick(work, lo, hi, draw)
        b, draw = _pick(work, lo, hi, draw)
        c, draw = _pick(work, lo, hi, draw)
        pivot = max(min(a, b), min(max(a, b), c))
        # the smaller ones to the front, then the equal ones; swaps always, so that nothing branches
        middle = lo
        for j in range(lo, hi):
            x = work[j]
            work[j] = work[middle]
            work[middle] = x
            middle += x < pivot
        if place < middle:
            hi = middle
            continue
        end = middle
        for j in range(middle, hi):
            x = work[j]
            work[j] = work[end]
            work[end] = x
            end += x == pivot
        if place < end:
            return pivot
        lo = end


@kernel
def _pick(work, lo, hi, draw):  # type: ignore[no-untyped-def]
    """Return one of the numbers from lo to hi - 1, and the state of the draws."""
    draw = (draw * 1664525 + 1013904223) & 0xFFFFFFFF  # a linear congruential generator
    return work[lo + ((draw * (hi - lo)) >> 32)], draw
