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
_ROUNDS = (8, 40, 6)
# share of the step by Polyak's rule that the three start with
_RATES = (0.7, 1.0, 0.5)
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
    upper = _start(weights, costs, tree, memory)
    n_trees = 0
    phase = 0
    level = -1
    # each call is compiled where it stands, so that a second one costs seconds
    while True:
        if (n_trees >= tree_limit and phase > 0) or level + 1 == len(kept):
            return _FAILED
        bound, found, count = ascend(
            weights, costs, best_pi, upper - margin, _ROUNDS[phase], _RATES[phase], tree
        )
        n_trees += count + 1
        if found:
            _read_tree(tree, memory.tour)
            upper = _keep(costs, upper, memory)
        alive = not found and bound < upper - margin
        if alive and phase < 2:
            nearest_neighbor(costs, best_pi, memory.tour)
            improve(costs, memory.tour, memory.spare, tolerance)
            upper = _keep(costs, upper, memory)
        if phase == 0 and not found:
            phase = 1
            continue
        phase = 2
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
            _copy(best_pi, memory.kept_pi[level])
            kept[level, 0] = v
            kept[level, 1] = u
            kept[level, 2] = state.count[0]
            kept[level, 3] = 0
            kept_bound[level] = bound + tree.gain[v, which]
        # the side with the edge of a new level, else that without it of the last level that has one
        side = 1 if alive else -1
        alive = False
        while level >= 0 and not alive:
            if side < 0:
                undo(state, kept[level, 2])
                if kept[level, 3] == 1 or kept_bound[level] >= upper - margin:
                    level -= 1
                    continue
                kept[level, 3] = 1
                _copy(memory.kept_pi[level], best_pi)
            fix(state, kept[level, 0], kept[level, 1], side)
            alive = propagate(state)
            side = -1
        if level < 0:
            return _OPTIMAL


@part
def _start(weights, costs, tree, memory):  # type: ignore[no-untyped-def]
    """Write first potentials and a first tour; return its length."""
    best_pi = memory.best_pi
    _level(costs, best_pi)
    nearest_neighbor(costs, best_pi, memory.best_tour)
    upper = tour_length(costs, memory.best_tour)
    bound = 0.0
    for turn in range(2):
        if turn == 0:
            _copy(best_pi, tree.pi)
        else:
            for j in range(len(best_pi)):
                tree.pi[j] = 0.0
        found = one_tree(weights, costs, tree.pi, tree)
        if turn == 0:
            bound = found
        elif upper - found < _MUCH_BETTER * (upper - bound):
            # means tell little where a few costs dwarf the others
            _copy(tree.pi, best_pi)
    return upper


@part
def _copy(source, target):  # type: ignore[no-untyped-def]
    """Copy numbers; assignment to a slice takes Numba far longer to compile."""
    for j in range(len(source)):
        target[j] = source[j]


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
def _keep(costs, upper, memory):  # type: ignore[no-untyped-def]
    """Keep the tour if it is shorter than ``upper``; return the lesser length."""
    length = tour_length(costs, memory.tour)
    if length < upper:
        _copy(memory.tour, memory.best_tour)
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
