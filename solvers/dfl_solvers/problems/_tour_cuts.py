"""Tours by integer programming, with constraints against subtours added as they are needed."""

from __future__ import annotations

import threading
from typing import Any, final

import highspy
import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from dfl_solvers.backends.bare_highs import run_highs
from dfl_solvers.backends.highs import _model, _set_costs
from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array, Status
from dfl_solvers.program import Program

_Outcome = highspy.HighsModelStatus
# a cut is worth adding if it is violated by this much
_VIOLATION = 1e-6
# reduced costs are trusted up to this part of the largest cost
_ROUNDING = 1e-9
# constraints a node that are kept from one instance to the next
_KEPT = 20
_DUAL, _PRIMAL = 1, 4


@final
class HotTours:
    """The degree constraints and all subtour constraints found so far, kept hot, one per thread.

    A subtour constraint holds for every tour, so those of one instance serve the next. Copies and
    pickles start afresh.

    Parameters
    ----------
    n_cities : int
    """

    def __init__(self, n_cities: int) -> None:
        self.n_cities = n_cities
        self._ends = np.triu_indices(n_cities, 1)
        self._local = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return HotTours, (self.n_cities,)

    def solve(self, costs: Array, tour: Array) -> tuple[Array, Status]:
        """Solve one instance: costs (d,) and some tour (d,) give an optimal tour and the status."""
        exponent = np.frexp(np.abs(costs).max(initial=0.0))[1]
        costs = np.ldexp(costs, 10 - exponent)  # as _set_costs scales them, so that bounds compare
        pair = self._pair()
        relaxed = self._relax(pair, costs)
        if relaxed is None:
            return tour, Status.FAILED
        x, bound, reduced = relaxed
        rounded = np.round(x)
        if np.abs(x - rounded).max() < _VIOLATION and len(self._parts(rounded)) == 1:
            return self._best(costs, tour, rounded), Status.OPTIMAL
        # no tour better than the one known has an edge of larger reduced cost than the gap, or is
        # without one of so negative a reduced cost
        gap = costs @ tour - bound + _ROUNDING * 2.0**10
        free = np.arange(len(costs), dtype=np.int32)
        lower = np.where(reduced < -gap, 1.0, 0.0)
        upper = np.where(reduced > gap, 0.0, 1.0)
        pair.integer.changeColsBounds(len(free), free, lower, upper)
        _set_costs(pair.integer, costs)
        while True:
            outcome = run_highs(pair.integer)
            if outcome == _Outcome.kInfeasible:
                return tour, Status.OPTIMAL
            if outcome != _Outcome.kOptimal:
                pair.integer.clearSolver()
                return tour, Status.FAILED
            rounded = np.round(pair.integer.allVariableValues())
            parts = self._parts(rounded)
            if len(parts) == 1:
                return self._best(costs, tour, rounded), Status.OPTIMAL
            pair.add(parts)

    def _relax(self, pair: _Pair, costs: Array) -> tuple[Array, float, Array] | None:
        """Solve the linear relaxation: (x, objective, reduced costs); None if HiGHS fails."""
        lp = pair.linear
        _set_costs(lp, costs)
        lp.setOptionValue("simplex_strategy", _PRIMAL)
        while True:
            if run_highs(lp) != _Outcome.kOptimal:
                lp.clearSolver()
                return None
            x = np.array(lp.allVariableValues())
            cuts = self._parts(np.where(x > _VIOLATION, x, 0.0))
            if len(cuts) == 1:
                capacity = np.zeros((self.n_cities, self.n_cities))
                capacity[self._ends] = x.clip(0.0)
                capacity += capacity.T
                sides = small_cuts(capacity, 2.0 - _VIOLATION)
                if not len(sides):
                    return (
                        x,
                        lp.getInfo().objective_function_value,
                        np.array(lp.getSolution().col_dual),
                    )
                cuts = list(sides)
            pair.add(cuts)
            # new rows leave the basis dual feasible
            lp.setOptionValue("simplex_strategy", _DUAL)

    def _parts(self, x: Array) -> list[Array]:
        """Return a mask (n_cities,) for each connected part of the edges with x > 0."""
        used = x > 0
        i, j = self._ends[0][used], self._ends[1][used]
        n = self.n_cities
        graph = sp.coo_array((np.ones(len(i)), (i, j)), shape=(n, n))
        n_parts, labels = connected_components(graph, directed=False)
        return [labels == part for part in range(n_parts)]

    def _best(self, costs: Array, tour: Array, found: Array) -> Array:
        """Return the cheaper of two tours, since HiGHS stops within a tolerance."""
        return found if costs @ found < costs @ tour else tour

    def _pair(self) -> _Pair:
        """Return this thread's models, built on first use and again once they are too long."""
        pair: _Pair | None = getattr(self._local, "pair", None)
        if pair is None or pair.n_cuts > _KEPT * self.n_cities:
            pair = self._local.pair = _Pair(self.n_cities, self._ends)
        return pair


@final
class _Pair:
    """The linear and the integer model, with the same rows."""

    def __init__(self, n_cities: int, ends: tuple[Array, Array]) -> None:
        self._ends = ends
        d = len(ends[0])
        columns = np.tile(np.arange(d), 2)
        A = sp.csr_array((np.ones(2 * d), (np.concatenate(ends), columns)), (n_cities, d))
        two, ones = np.full(n_cities, 2.0), np.ones(d)
        program = Program(A, two, two, np.zeros(d), ones, ones)
        self.linear = _model(program.relax(), 0.0, primal=False)
        self.integer = _model(program, 0.0, primal=False)
        self.n_cuts = 0

    def add(self, sides: list[Array]) -> None:
        """Add the constraint that a tour leaves the set, for each mask (n_cities,)."""
        for side in sides:
            # a tour has fewer edges than nodes within a set; the smaller side has fewer columns
            small = side if 2 * side.sum() <= len(side) else ~side
            inner = np.flatnonzero(small[self._ends[0]] & small[self._ends[1]]).astype(np.int32)
            most = float(small.sum() - 1)
            for model in (self.linear, self.integer):
                model.addRow(-np.inf, most, len(inner), inner, np.ones(len(inner)))
        self.n_cuts += len(sides)


@kernel
def small_cuts(capacity, most):  # type: ignore[no-untyped-def]
    """Return node sets (k, n) whose cuts weigh less than ``most``; none only if there is none.

    Stoer & Wagner, "A simple min-cut algorithm", J. ACM 44 (1997), doi 10.1145/263867.263872.
    """
    n = len(capacity)
    weight = capacity.copy()
    merged = np.eye(n) > 0  # the nodes that each row stands for
    left = np.arange(n)
    sides = np.zeros((n, n), np.bool_)
    n_sides = 0
    size = n
    attached = np.empty(n)
    while size > 1:
        # order the rows by how strongly each hangs together with those before
        for p in range(size):
            attached[left[p]] = weight[left[0], left[p]]
        for p in range(1, size):
            at = p
            for q in range(p + 1, size):
                if attached[left[q]] > attached[left[at]]:
                    at = q
            left[p], left[at] = left[at], left[p]
            if p < size - 1:
                for q in range(p + 1, size):
                    attached[left[q]] += weight[left[p], left[q]]
        last = left[size - 1]
        before = left[size - 2]
        if attached[last] < most:
            sides[n_sides] = merged[last]
            n_sides += 1
        for j in range(n):
            merged[before, j] |= merged[last, j]
        for p in range(size - 2):
            weight[before, left[p]] += weight[last, left[p]]
            weight[left[p], before] = weight[before, left[p]]
        size -= 1
    return sides[:n_sides]
