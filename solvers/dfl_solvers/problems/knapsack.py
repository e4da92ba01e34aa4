"""Knapsacks with one or several capacities."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import kernel, run
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Status
from dfl_solvers.program import Program

# how far sums of weights may exceed a capacity by rounding, relative to the capacity
_ROUNDING = 1e-9


@final
class Knapsack(AbstractOracle):
    """Choose items of least cost whose weights fit within every capacity.

    Costs are negative values: items that cost nothing or more are never taken. For values, use
    ``Maximize(Knapsack(...))``.

    Parameters
    ----------
    weights : array-like of shape (m, n)
        Weight of each of n items in each of m dimensions; not negative.
    capacities : array-like of shape (m,)
        Capacity of each dimension; not negative.

    Attributes
    ----------
    n_costs : int
        Number n of items.

    Raises
    ------
    InvalidInputError
        If shapes disagree, or a weight or capacity is negative or not finite.

    Notes
    -----
    ``min c.w`` over ``w in {0, 1}^n, weights w <= capacities``: NP-hard. Solved by compiled
    depth-first branch and bound on the linear relaxation of the surrogate constraint that sums the
    rows divided by their capacities; exact. Instance data ``weights`` (batch, m, n) and
    ``capacities`` (batch, m) replace the parameters; ``mask`` (batch, n) leaves items out.

    References
    ----------
    Kellerer, Pferschy & Pisinger, "Knapsack Problems", Springer 2004,
    doi 10.1007/978-3-540-24777-7.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import Knapsack
    >>> Knapsack([[3.0, 4.0, 2.0]], [6.0]).solve(np.array([[-5.0, -6.0, -3.0]])).decisions
    array([[0., 1., 1.]])
    """

    instance_fields: ClassVar[frozenset[str]] = frozenset({"mask", "weights", "capacities"})

    def __init__(self, weights: npt.ArrayLike, capacities: npt.ArrayLike) -> None:
        self.weights = np.asarray(weights, dtype=float)
        self.capacities = np.asarray(capacities, dtype=float)
        if self.weights.ndim != 2 or self.capacities.shape != self.weights.shape[:1]:
            raise InvalidInputError(
                f"Knapsack: got weights of shape {self.weights.shape} and capacities of shape "
                f"{self.capacities.shape}, expected (m, n) and (m,)"
            )
        _check("weights", self.weights)
        _check("capacities", self.capacities)
        self.n_costs: int = self.weights.shape[1]

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Status]:
        n = len(costs)
        m, d = self.weights.shape
        weights = self._per_instance(instance, "weights", (n, m, d))
        capacities = self._per_instance(instance, "capacities", (n, m))
        if "mask" in instance:
            costs = np.where(instance["mask"], costs, 0.0)
        decisions = np.zeros(costs.shape)
        run(_search, n, np.ascontiguousarray(costs), weights, capacities, decisions)
        return decisions, Status.OPTIMAL

    def program(self, instance: Instance | None = None) -> Program:
        """Return the binary program of one instance."""
        instance = instance or {}
        weights = np.asarray(instance.get("weights", self.weights), dtype=float)
        capacities = np.asarray(instance.get("capacities", self.capacities), dtype=float)
        upper = np.asarray(instance.get("mask", np.ones(self.n_costs)), dtype=float)
        return Program(
            weights,
            np.full(len(capacities), -np.inf),
            capacities,
            np.zeros(self.n_costs),
            upper,
            np.ones(self.n_costs),
        )

    def _per_instance(self, instance: Instance, name: str, shape: tuple[int, ...]) -> Array:
        """Return data of every instance; where all share it, a leading dimension of one."""
        if name not in instance:
            return np.ascontiguousarray(getattr(self, name))[None]
        values = np.ascontiguousarray(instance[name], dtype=float)
        if values.shape != shape:
            raise InvalidInputError(
                f"Knapsack: got instance data {name!r} of shape {values.shape}, expected {shape}"
            )
        _check(f"instance data {name!r}", values)
        return values


def _check(name: str, values: Array) -> None:
    wrong = np.argwhere(~((values >= 0) & np.isfinite(values)))
    if len(wrong):
        index = tuple(int(i) for i in wrong[0])
        raise InvalidInputError(
            f"Knapsack: {name} is {values[index]} at {index}, expected finite numbers >= 0"
        )


@kernel
def _search(lo, hi, costs, weights, capacities, decisions):  # type: ignore[no-untyped-def]
    n = costs.shape[1]
    m = weights.shape[1]
    items = np.empty(n, np.int64)
    ratio = np.empty(n)
    value = np.empty(n)
    load = np.empty((n, m))
    surrogate = np.empty(n)
    free = np.empty(m)
    taken = np.empty(n, np.bool_)
    best = np.empty(n, np.bool_)
    for b in range(lo, hi):
        w = weights[b if weights.shape[0] > 1 else 0]
        cap = capacities[b if capacities.shape[0] > 1 else 0]
        # items that can pay and fit at all, best value for the surrogate weight first
        k = 0
        for j in range(n):
            if costs[b, j] >= 0.0:
                continue
            total = 0.0
            fits = True
            for i in range(m):
                if w[i, j] > cap[i] * (1.0 + _ROUNDING):
                    fits = False
                    break
                if w[i, j] > 0.0:
                    total += w[i, j] / cap[i]
            if fits:
                items[k] = j
                ratio[k] = np.inf if total == 0.0 else -costs[b, j] / total
                k += 1
        order = np.argsort(-ratio[:k], kind="mergesort")
        room = 0.0
        for i in range(m):
            free[i] = cap[i] * (1.0 + _ROUNDING)
            if cap[i] > 0.0:
                room += 1.0 + _ROUNDING
        for p in range(k):
            j = items[order[p]]
            value[p] = -costs[b, j]
            total = 0.0
            for i in range(m):
                load[p, i] = w[i, j]
                if w[i, j] > 0.0:
                    total += w[i, j] / cap[i]
            surrogate[p] = total
            taken[p] = False
            best[p] = False
        found = 0.0
        current = 0.0
        p = 0
        while True:
            # bound: fill what is left of the surrogate capacity, the last item in part
            bound = current
            left = room
            for q in range(p, k):
                if surrogate[q] <= left:
                    left -= surrogate[q]
                    bound += value[q]
                else:
                    bound += value[q] * left / surrogate[q]
                    break
            if p < k and bound > found * (1.0 + 1e-12):
                fits = True
                for i in range(m):
                    if load[p, i] > free[i]:
                        fits = False
                        break
                if fits:
                    taken[p] = True
                    current += value[p]
                    room -= surrogate[p]
                    for i in range(m):
                        free[i] -= load[p, i]
                    if current > found:
                        found = current
                        for q in range(k):
                            best[q] = taken[q] and q <= p
                p += 1
                continue
            # back to the last item taken, and on without it
            p -= 1
            while p >= 0 and not taken[p]:
                p -= 1
            if p < 0:
                break
            taken[p] = False
            current -= value[p]
            room += surrogate[p]
            for i in range(m):
                free[i] += load[p, i]
            p += 1
        for q in range(k):
            if best[q]:
                decisions[b, items[order[q]]] = 1.0
