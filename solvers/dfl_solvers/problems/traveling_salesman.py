"""Shortest round trips."""

from __future__ import annotations

from typing import final

import numpy as np
import scipy.sparse as sp

from dfl_solvers._sizes import read_size
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import HARD, SLOW, run
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Status
from dfl_solvers.problems._held_karp import shortest_tours
from dfl_solvers.problems._tour_cuts import HotTours
from dfl_solvers.problems._tour_search import search_tours
from dfl_solvers.program import Program

# up to so many cities, a table over sets of cities is fastest
_TABLE = 10
# spanning trees that the search may try before an instance goes to integer programming
_TREES = 50_000
# costs whose size is off by more binary digits than this are scaled: their sums may overflow
_EXPONENT = 300


@final
class TravelingSalesman(AbstractOracle):
    r"""Find a cheapest round trip through all cities.

    Costs belong to pairs of cities, in both directions the same, and may be any numbers: negative,
    and without a triangle inequality. Exact. Small instances are solved by compiled dynamic
    programming, others by compiled branch and bound, the rare hard one by HiGHS.

    Parameters
    ----------
    n_cities : int
        Number n of cities; at least 3.

    Attributes
    ----------
    n_costs : int
        Number n (n - 1) / 2 of pairs of cities, in the order (0, 1), (0, 2), ..., (n - 2, n - 1).

    Raises
    ------
    InvalidInputError
        If there are fewer than three cities.

    Notes
    -----
    .. math::

        \min_w c^\top w \quad \text{s.t.} \quad w(\delta(v)) = 2 \;\; \forall v, \quad
        w(\delta(S)) \ge 2 \;\; \forall\, \emptyset \ne S \subsetneq V, \quad w \in \{0, 1\}^d.

    Up to 10 cities, the dynamic program of Held and Karp over sets of half the cities. Beyond, a
    depth-first search over edges in and out of the tour, bounded by the cheapest 1-tree under node
    potentials, which approaches the bound of the program above without integrality. Potentials are
    raised by subgradient steps and handed down the search; edges whose price exceeds the gap to the
    best tour, found by 2-opt and Or-opt moves, are fixed. An instance that takes too many trees
    goes to an integer program to which violated constraints are added; they are kept for the
    instances that follow.

    Ten cities take some five microseconds in a batch, 20 a hundred, 30 four hundred, 40 one
    millisecond, 60 ten, 80 a hundred; cities in the plane take longer from 40 on, 100 of them
    seconds. ``MixedIntegerProgram(TravelingSalesman(n).program())`` solves a weaker, compact
    program and is slower at any size; ``program`` serves cross-checks, and problems with more
    constraints.

    References
    ----------
    M. Held and R. M. Karp. A dynamic programming approach to sequencing problems. Journal of the
    SIAM 10 (1962). doi:10.1137/0110015

    M. Held and R. M. Karp. The traveling-salesman problem and minimum spanning trees: part II.
    Mathematical Programming 1 (1971). doi:10.1007/BF01584070

    T. Volgenant and R. Jonker. A branch and bound algorithm for the symmetric traveling salesman
    problem based on the 1-tree relaxation. European Journal of Operational Research 9 (1982).
    doi:10.1016/0377-2217(82)90015-7

    Examples
    --------
    Four cities on the corners of a square: the round trip avoids the diagonals, 0-2 and 1-3.

    >>> import numpy as np
    >>> from dfl_solvers import TravelingSalesman
    >>> oracle = TravelingSalesman(4)
    >>> oracle.solve(np.array([[1.0, 1.4, 1.0, 1.0, 1.4, 1.0]])).decisions
    array([[1., 0., 1., 1., 0., 1.]])
    """

    def __init__(self, n_cities: int) -> None:
        n_cities = read_size("TravelingSalesman", "n_cities", n_cities, 3)
        self.n_cities = n_cities
        self.n_costs: int = int(n_cities) * (int(n_cities) - 1) // 2
        self._hot = HotTours(int(n_cities))

    def edges(self) -> Array:
        """Return the two cities (d, 2) that each cost belongs to."""
        return np.column_stack(np.triu_indices(self.n_cities, 1))

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Array | Status]:
        n = len(costs)
        if self.n_cities == 3:
            return np.ones(costs.shape), Status.OPTIMAL
        # read-only arrays are another type to Numba, for which it would compile all again
        costs = np.require(_scaled(costs), requirements=["C", "W"])
        decisions = np.zeros(costs.shape)
        if self.n_cities <= _TABLE:
            run(shortest_tours, n, costs, decisions, serial=SLOW)
            return decisions, Status.OPTIMAL
        status = np.empty(n, dtype=np.int8)
        run(search_tours, n, costs, _TREES, decisions, status, serial=HARD)
        for i in np.flatnonzero(status == Status.FAILED):
            decisions[i], status[i] = self._hot.solve(costs[i], decisions[i])
        return decisions, status

    def core_program(self) -> Program:
        """Return the constraints that each city has two edges, with the edges as variables.

        It lacks those against subtours, of which there are too many; ``tight_cuts`` has the ones
        that matter at a tour.
        """
        ends = self.edges()
        d = self.n_costs
        A = sp.csr_array((np.ones(2 * d), (ends.T.ravel(), np.tile(np.arange(d), 2))))
        two, ones = np.full(A.shape[0], 2.0), np.ones(d)
        return Program(A, two, two, np.zeros(d), ones, ones)

    def tight_cuts(self, decision: Array) -> Array:
        """Return the normals (k, d) of the subtour constraints that a tour (d,) makes tight.

        Those are ``w(E(S)) <= |S| - 1`` for sets of cities that the tour visits one after the
        other; of S and the other cities, which make the same constraint, it is the smaller.

        Raises
        ------
        InvalidInputError
            If the decision is no tour.
        """
        n = int(self.n_cities)
        ends = self.edges()
        tour = _order(ends[np.asarray(decision) > 0.5], n)
        place = np.empty(n, dtype=int)
        place[tour] = np.arange(n)
        size, first = np.divmod(np.arange(3 * n, (n // 2 + 1) * n), n)
        whole = (2 * size < n) | (2 * first < n)  # halves of the tour come in pairs
        inside = (place - first[whole, None]) % n < size[whole, None]
        return (inside[:, ends[:, 0]] & inside[:, ends[:, 1]]).astype(float)

    def program(self, instance: Instance | None = None) -> Program:
        """Return a compact integer program, with variables for both directions and a flow.

        Gavish and Graves: each city but the first takes one unit of a flow that starts at the
        first and runs along the directed edges of the tour. The variables are the n (n - 1)
        directed edges, then as many flows.
        """
        n = int(self.n_cities)
        tail, head = np.nonzero(~np.eye(n, dtype=bool))
        k = len(tail)
        arcs = np.arange(k)
        ones = np.ones(k)
        out = sp.csr_array((ones, (tail, arcs)), (n, k))
        into = sp.csr_array((ones, (head, arcs)), (n, k))
        nothing = sp.csr_array((n, k))
        A = sp.vstack(
            [
                sp.hstack([out, nothing]),
                sp.hstack([into, nothing]),
                sp.hstack([nothing[1:], (into - out)[1:]]),
                sp.hstack([(1.0 - n) * sp.eye_array(k), sp.eye_array(k)]),
            ]
        )
        once = np.ones(3 * n - 1)
        # the edge of each arc, in the order of the costs
        low, high = np.minimum(tail, head), np.maximum(tail, head)
        edge = low * (2 * n - low - 1) // 2 + high - low - 1
        return Program(
            A,
            np.concatenate([once, np.full(k, -np.inf)]),
            np.concatenate([once, np.zeros(k)]),
            np.zeros(2 * k),
            np.concatenate([ones, np.full(k, n - 1.0)]),
            np.concatenate([ones, np.zeros(k)]),
            decision_map=sp.csr_array((ones, (edge, arcs)), (self.n_costs, 2 * k)),
        )


def _order(ends: Array, n: int) -> Array:
    """Return the cities (n,) in the order in which a tour of edges (n, 2) visits them."""
    tour = np.zeros(n, dtype=int)
    if len(ends) == n and (np.bincount(ends.ravel(), minlength=n) == 2).all():
        touched = np.argsort(ends.T.ravel(), kind="stable") % n
        edge = touched[0]
        for k in range(1, n):
            a, b = ends[edge]
            tour[k] = b if a == tour[k - 1] else a
            one, other = touched[2 * tour[k]], touched[2 * tour[k] + 1]
            edge = other if one == edge else one
    if (np.bincount(tour, minlength=n) != 1).any():
        raise InvalidInputError(
            f"TravelingSalesman: got {len(ends)} edges that are no round trip of {n} cities"
        )
    return tour


def _scaled(costs: Array) -> Array:
    """Return the costs, rows of extreme size times a power of two."""
    exponent = np.frexp(np.abs(costs).max(axis=1))[1]
    if (np.abs(exponent) <= _EXPONENT).all():
        return costs
    extreme = np.abs(exponent) > _EXPONENT
    return np.ldexp(costs, np.where(extreme, -exponent, 0)[:, None])
