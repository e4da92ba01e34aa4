"""Edges of a tour that are in, out or free, compiled: what they force, and how it is undone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dfl_solvers.kernels import part

# what makes an edge in the tour cheaper than all that are free, relative to the largest cost
_BONUS = 1e9
# costs beyond this are not looked at as integers
_MOST_INTEGER = 1e9


class State(NamedTuple):
    """Which edges are in the tour (1), out (-1) or free (0), and how to take that back."""

    costs: Any  # (n, n)
    weights: Any  # (n, n): costs, infinite for edges out, very low for edges in
    fixed: Any  # (n, n)
    n_in: Any  # (n,) edges in at each node
    n_free: Any  # (n,) edges free
    other_end: Any  # (n,) of the path of edges in that ends here
    trail: Any  # (n(n-1)/2, 4): edges fixed, in order, and the ends of the path an edge in made
    count: Any  # (4,): length of the trail; edges in; nodes of the queue; is infeasible
    queue: Any  # (n,) nodes that may force more
    queued: Any  # (n,)
    bonus: Any  # (1,): what costs of edges in are lowered by


@part
def empty_state(n):  # type: ignore[no-untyped-def]
    """Return a State for n nodes."""
    return State(
        np.empty((n, n)), np.empty((n, n)), np.empty((n, n), np.int8), np.empty(n, np.int64),
        np.empty(n, np.int64), np.empty(n, np.int64), np.empty((n * (n - 1) // 2, 4), np.int64),
        np.zeros(4, np.int64), np.empty(n, np.int64), np.zeros(n, np.bool_), np.empty(1),
    )  # fmt: skip


@part
def read_costs(state, row):  # type: ignore[no-untyped-def]
    """Read the costs of one instance and free all edges; return (largest cost, all integers)."""
    n = len(state.n_in)
    largest = 0.0
    integral = True
    k = 0
    for i in range(n):
        state.weights[i, i] = np.inf
        state.costs[i, i] = np.inf
        state.fixed[i, i] = -1
        for j in range(i + 1, n):
            cost = row[k]
            k += 1
            largest = max(largest, abs(cost))
            integral = integral and cost == np.floor(cost)
            state.costs[i, j] = cost
            state.costs[j, i] = cost
            state.weights[i, j] = cost
            state.weights[j, i] = cost
            state.fixed[i, j] = 0
            state.fixed[j, i] = 0
        state.n_in[i] = 0
        state.n_free[i] = n - 1
        state.other_end[i] = i
        state.queued[i] = False
    for k in range(len(state.count)):
        state.count[k] = 0
    if largest == 0.0:
        largest = 1.0
    state.bonus[0] = _BONUS * largest
    return largest, integral and largest < _MOST_INTEGER


@part
def _touch(state, v):  # type: ignore[no-untyped-def]
    """Note that the edges at a node have changed."""
    if not state.queued[v]:
        state.queued[v] = True
        state.queue[state.count[2]] = v
        state.count[2] += 1


@part
def fix(state, i, j, value):  # type: ignore[no-untyped-def]
    """Put a free edge in (1) or out (-1)."""
    count = state.count
    row = state.trail[count[0]]
    count[0] += 1
    row[0] = i
    row[1] = j
    state.fixed[i, j] = value
    state.fixed[j, i] = value
    state.n_free[i] -= 1
    state.n_free[j] -= 1
    _touch(state, i)
    _touch(state, j)
    if value < 0:
        state.weights[i, j] = np.inf
        state.weights[j, i] = np.inf
        return
    state.weights[i, j] = state.costs[i, j] - state.bonus[0]
    state.weights[j, i] = state.weights[i, j]
    state.n_in[i] += 1
    state.n_in[j] += 1
    count[1] += 1
    a = state.other_end[i]
    b = state.other_end[j]
    row[2] = a
    row[3] = b
    if a == j:
        if count[1] < len(state.n_in):
            count[3] = 1  # a circle that is too short
        return
    state.other_end[a] = b
    state.other_end[b] = a
    _touch(state, a)


@part
def propagate(state):  # type: ignore[no-untyped-def]
    """Fix all that the fixed edges force; return False if no tour is left."""
    n = len(state.n_in)
    count = state.count
    while count[2] > 0 and count[3] == 0:
        count[2] -= 1
        v = state.queue[count[2]]
        state.queued[v] = False
        inside = state.n_in[v]
        if inside > 2 or inside + state.n_free[v] < 2:
            count[3] = 1
        elif state.n_free[v] > 0 and (inside == 2 or inside + state.n_free[v] == 2):
            value = -1 if inside == 2 else 1
            for u in range(n):
                if u != v and state.fixed[v, u] == 0:
                    fix(state, v, u, value)
        if inside == 1 and count[1] < n - 1:
            # the two ends of a path must not meet
            end = state.other_end[v]
            if state.n_in[v] == 1 and state.fixed[v, end] == 0:
                fix(state, v, end, -1)
    feasible = count[3] == 0
    while count[2] > 0:
        count[2] -= 1
        state.queued[state.queue[count[2]]] = False
    count[3] = 0
    return feasible


@part
def undo(state, mark):  # type: ignore[no-untyped-def]
    """Free the edges that were fixed since the trail was ``mark`` long."""
    count = state.count
    while count[0] > mark:
        count[0] -= 1
        row = state.trail[count[0]]
        i = row[0]
        j = row[1]
        if state.fixed[i, j] > 0:
            state.n_in[i] -= 1
            state.n_in[j] -= 1
            count[1] -= 1
            state.other_end[row[2]] = i
            state.other_end[row[3]] = j
        state.fixed[i, j] = 0
        state.fixed[j, i] = 0
        state.n_free[i] += 1
        state.n_free[j] += 1
        state.weights[i, j] = state.costs[i, j]
        state.weights[j, i] = state.costs[i, j]
