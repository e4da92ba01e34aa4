"""What the edges of a 1-tree, and those outside it, are worth to the bound, compiled."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import part
from dfl_solvers.problems._tour_edges import fix, propagate

# added to the rise on both sides of a branch, as a share of the gap, so that neither counts for all
_EVEN = 0.1


@part
def price(state, tree, pi, slack):  # type: ignore[no-untyped-def]
    """Fix edges that no tour within ``slack`` of the tree's bound has, or that all have.

    An edge outside the tree costs the bound its own weight less that of the dearest edge on its
    circle; an edge of the tree, the weight of the cheapest that could replace it less its own. The
    latter is left in ``tree.gain``. Returns False if no tour is left.
    """
    n = len(pi)
    weights, fixed = state.weights, state.fixed
    parent, depth, gain = tree.parent, tree.depth, tree.gain
    _price_node_0(state, tree, pi, slack)
    depth[1] = 0
    for p in range(2, n):
        v = tree.order[p]
        u = parent[v]
        depth[v] = depth[u] + 1
        gain[v, 0] = np.inf
        gain[v, 1] = -np.inf if fixed[v, u] > 0 else weights[v, u] + pi[v] + pi[u]
    for i in range(1, n):
        for j in range(i + 1, n):
            if fixed[i, j] != 0 or parent[i] == j or parent[j] == i:
                continue
            weight = weights[i, j] + pi[i] + pi[j]
            u = i
            v = j
            dearest = -np.inf
            while u != v:
                if depth[u] < depth[v]:
                    u, v = v, u
                dearest = max(dearest, gain[u, 1])
                u = parent[u]
            if weight - dearest >= slack:
                fix(state, i, j, -1)
                continue
            u = i
            v = j
            while u != v:
                if depth[u] < depth[v]:
                    u, v = v, u
                gain[u, 0] = min(gain[u, 0], weight)
                u = parent[u]
    for p in range(n):
        v, u, which = tree_edge(tree, p)
        if p > 1:
            gain[v, 0] -= gain[v, 1]
        if fixed[v, u] == 0 and gain[v, which] >= slack:
            fix(state, v, u, 1)
    return propagate(state)


@part
def _price_node_0(state, tree, pi, slack):  # type: ignore[no-untyped-def]
    """Price the edges at node 0, of which the tree has the two cheapest."""
    weights, fixed, gain = state.weights, state.fixed, tree.gain
    a = tree.parent[0]
    b = tree.order[0]
    weight_a = weights[0, a] + pi[a]
    weight_b = weights[0, b] + pi[b]
    free_a = fixed[0, a] == 0
    free_b = fixed[0, b] == 0
    gain[0, 0] = np.inf
    gain[0, 1] = np.inf
    for v in range(1, len(pi)):
        if fixed[0, v] != 0 or v in (a, b):
            continue
        weight = weights[0, v] + pi[v]
        # the dearer of the two that may go, goes
        if weight - (weight_b if free_b else weight_a) >= slack:
            fix(state, 0, v, -1)
            continue
        if free_a:
            gain[0, 0] = min(gain[0, 0], weight - weight_a)
        if free_b:
            gain[0, 1] = min(gain[0, 1], weight - weight_b)


@part
def tree_edge(tree, p):  # type: ignore[no-untyped-def]
    """Return the ends (v, u) of edge p < n of a 1-tree, and which gain of v is the edge's."""
    if p == 0:
        return 0, tree.parent[0], 0
    if p == 1:
        return 0, tree.order[0], 1
    v = tree.order[p]
    return v, tree.parent[v], 0


@part
def branch_edge(state, tree, slack):  # type: ignore[no-untyped-def]
    """Choose the free tree edge, at a node of too high degree, that raises both sides most.

    Returns the edge's number, or -1 if there is none.
    """
    n = len(state.n_in)
    n_in, degree, gain = state.n_in, tree.degree, tree.gain
    # what goes out once a second edge at a node comes in
    others = tree.change
    for v in range(n):
        others[v] = 0.0
    for p in range(n):
        v, u, which = tree_edge(tree, p)
        if state.fixed[v, u] == 0:
            worth = min(gain[v, which], slack)
            others[v] += worth
            others[u] += worth
    best = -1.0
    chosen = -1
    for p in range(n):
        v, u, which = tree_edge(tree, p)
        if state.fixed[v, u] != 0 or (degree[v] < 3 and degree[u] < 3):
            continue
        without = min(gain[v, which], slack)
        within = 0.0
        if n_in[v] == 1:
            within += others[v] - without
        if n_in[u] == 1:
            within += others[u] - without
        score = (without + _EVEN * slack) * (min(within, slack) + _EVEN * slack)
        if score > best:
            best = score
            chosen = p
    return chosen
