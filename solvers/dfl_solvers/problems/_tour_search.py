"""Depth-first branch and bound over tours on the bound of 1-trees, compiled."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dfl_solvers.kernels import kernel, part
from dfl_solvers.oracle import Status
from dfl_solvers.problems._one_tree import ascend, empty_tree, one_tree
from dfl_solvers.problems._tour_edges import empty_state, fix, propagate, read_costs, undo
from dfl_solvers.problems._tour_heuristic import improve, nearest_neighbor, tour_length
from dfl_solvers.problems._tour_pricing import branch_edge, price, tree_edge

# compiled code takes plain numbers
_OPTIMAL, _FAILED = int(Status.OPTIMAL), int(Status.FAILED)
# what a tour must gain to count as better, relative to the largest cost; with integers, nearly one
_TOLERANCE = 1e-12
_INTEGER_MARGIN = 0.999
# trees of the ascent before the first good tour, then at the root, then at each other node
_FIRST_ROUNDS, _ROOT_ROUNDS, _ROUNDS = 8, 40, 6
# share of the step by Polyak's rule that the three start with
_FIRST_RATE, _ROOT_RATE, _RATE = 0.7, 1.0, 0.5
# without any potentials, the gap must be below this part of that with level mean costs
_MUCH_BETTER = 0.75
# levels of the search a node; beyond them it gives up
_DEPTH = 10


class Memory(NamedTuple):
    """Tours and potentials, and a row for each level of the search."""

    tour: Any
    best_tour: Any
    spare: Any
    best_pi: Any
    kept_pi: Any  # (levels, n)
    kept: Any  # (levels, 4): the edge, the length of the trail, whether the edge is out by now
    kept_bound: Any  # (levels,): of the side without the edge


@kernel
def search_tours(lo, hi, costs, tree_limit, decisions, status):  # type: ignore[no-untyped-def]
    """Solve instances of symmetric costs (n(n-1)/2,) of n >= 4 nodes.

    Where the limit on trees is met, the status is FAILED, the decision a good tour.
    """
    d = costs.shape[1]
    n = int(np.round((1.0 + np.sqrt(1.0 + 8.0 * d)) / 2.0))
    state = empty_state(n)
    tree = empty_tree(n)
    memory = Memory(
        np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n),
        np.empty((_DEPTH * n, n)), np.empty((_DEPTH * n, 4), np.int64), np.empty(_DEPTH * n),
    )  # fmt: skip
    for b in range(lo, hi):
        status[b] = _search(costs[b], tree_limit, state, tree, memory)
        tour = memory.best_tour
        for p in range(n):
            i = tour[p - 1]
            j = tour[p]
            if i > j:
                i, j = j, i
            decisions[b, i * (2 * n - i - 1) // 2 + j - i - 1] = 1.0


@part
def _search(row, tree_limit, state, tree, memory):  # type: ignore[no-untyped-def]
    """Leave an optimal tour in ``memory.best_tour`` and return the status."""
    largest, integral = read_costs(state, row)
    tolerance = _TOLERANCE * largest
    margin = _INTEGER_MARGIN if integral else tolerance
    weights, costs = state.weights, state.costs
    best_pi, kept, kept_bound = memory.best_pi, memory.kept, memory.kept_bound
    _level(costs, best_pi)
    nearest_neighbor(costs, best_pi, memory.best_tour)
    upper = tour_length(costs, memory.best_tour)
    bound = one_tree(weights, costs, best_pi, tree)
    tree.pi[:] = 0.0
    if upper - one_tree(weights, costs, tree.pi, tree) < _MUCH_BETTER * (upper - bound):
        # means tell little where a few costs dwarf the others
        best_pi[:] = 0.0
    bound, found, n_trees = ascend(
        weights, costs, best_pi, upper - margin, _FIRST_ROUNDS, _FIRST_RATE, tree
    )
    if found:
        _read_tree(tree, memory.best_tour)
        return _OPTIMAL
    upper = _better_tour(costs, upper, tolerance, memory)
    rounds = _ROOT_ROUNDS
    rate = _ROOT_RATE
    level = -1
    while True:
        if n_trees >= tree_limit or level + 1 == len(kept):
            return _FAILED
        bound, found, count = ascend(weights, costs, best_pi, upper - margin, rounds, rate, tree)
        n_trees += count + 1
        if found:
            _read_tree(tree, memory.tour)
            upper = _keep(costs, upper, memory)
        alive = not found and bound < upper - margin
        if alive and rounds == _ROOT_ROUNDS:
            upper = _better_tour(costs, upper, tolerance, memory)
        rounds = _ROUNDS
        rate = _RATE
        if alive:
            # the last tree need not be the one of the bound
            bound = one_tree(weights, costs, best_pi, tree)
            slack = upper - margin - bound
            alive = slack > 0.0 and price(state, tree, best_pi, slack)
        if alive:
            edge = branch_edge(state, tree, slack)
            if edge < 0:
                continue  # edges of the tree are out: find the next one
            v, u, which = tree_edge(tree, edge)
            level += 1
            memory.kept_pi[level] = best_pi
            kept[level, 0] = v
            kept[level, 1] = u
            kept[level, 2] = state.count[0]
            kept[level, 3] = 0
            kept_bound[level] = bound + tree.gain[v, which]
            fix(state, v, u, 1)
            if propagate(state):
                continue
        # back to the last level with a side left
        alive = False
        while level >= 0 and not alive:
            undo(state, kept[level, 2])
            if kept[level, 3] == 0 and kept_bound[level] < upper - margin:
                kept[level, 3] = 1
                best_pi[:] = memory.kept_pi[level]
                fix(state, kept[level, 0], kept[level, 1], -1)
                alive = propagate(state)
            else:
                level -= 1
        if level < 0:
            return _OPTIMAL


@part
def _level(costs, pi):  # type: ignore[no-untyped-def]
    """Write the potentials that make the mean cost at every node zero.

    They undo what potentials have been added to the costs, however large.
    """
    n = len(pi)
    total = 0.0
    for i in range(n):
        pi[i] = 0.0
        for j in range(n):
            if j != i:
                pi[i] -= costs[i, j]
        total += pi[i]
    for i in range(n):
        pi[i] = (pi[i] - total / (2 * n - 2)) / (n - 2)


@part
def _better_tour(costs, upper, tolerance, memory):  # type: ignore[no-untyped-def]
    """Make a good tour with the help of the potentials; return the least length known."""
    nearest_neighbor(costs, memory.best_pi, memory.tour)
    improve(costs, memory.tour, memory.spare, tolerance)
    return _keep(costs, upper, memory)


@part
def _keep(costs, upper, memory):  # type: ignore[no-untyped-def]
    """Keep the tour if it is shorter than ``upper``; return the lesser length."""
    length = tour_length(costs, memory.tour)
    if length < upper:
        memory.best_tour[:] = memory.tour
        return length
    return upper


@part
def _read_tree(tree, tour):  # type: ignore[no-untyped-def]
    """Write the tour that a 1-tree is."""
    # from either neighbor of node 0 up to the root of the tree
    tour[0] = 0
    place = 1
    v = tree.parent[0]
    while v != 1:
        tour[place] = v
        place += 1
        v = tree.parent[v]
    tour[place] = 1
    place = len(tour) - 1
    v = tree.order[0]
    while v != 1:
        tour[place] = v
        place -= 1
        v = tree.parent[v]
