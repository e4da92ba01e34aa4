"""Minimum spanning trees, compiled: Boruvka's algorithm, and the exchanges of a tree's edges."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array, Status

# compiled code takes plain numbers
_OPTIMAL, _INFEASIBLE = int(Status.OPTIMAL), int(Status.INFEASIBLE)


@kernel
def span(
    lo: int,
    hi: int,
    n_nodes: int,
    tails: Array,
    heads: Array,
    costs: Array,
    allowed: Array,
    decisions: Array,
    status: Array,
) -> None:
    """Write the cheapest tree of each instance; ``allowed`` without rows allows all edges.

    Every part of the forest takes the cheapest edge that leaves it, the first one of several. In
    the order of (cost, number) no two edges are equal, so that these edges never close a cycle.
    """
    label = np.empty(n_nodes, np.int64)  # the part of each node, named by one of its nodes
    taken = np.empty(n_nodes, np.int64)  # the edge that each part takes
    least = np.empty(n_nodes, costs.dtype)  # and its cost
    # edges between different parts, in order, and these parts
    left = np.empty(costs.shape[1], np.int64)
    one = np.empty(costs.shape[1], np.int64)
    other = np.empty(costs.shape[1], np.int64)
    for b in range(lo, hi):
        row, decision = costs[b], decisions[b]
        decision[:] = 0
        n_left = 0
        for e in range(len(row)):
            left[n_left] = e
            one[n_left] = tails[e]
            other[n_left] = heads[e]
            n_left += tails[e] != heads[e] and (len(allowed) == 0 or allowed[b, e])
        for v in range(n_nodes):
            label[v] = v
        parts = n_nodes
        status[b] = _OPTIMAL
        while True:
            taken[:] = -1
            least[:] = np.inf
            for k in range(n_left):
                # selections, not branches: which edge is cheaper cannot be foreseen
                e, p, q = left[k], one[k], other[k]
                less = row[e] < least[p]
                least[p] = row[e] if less else least[p]
                taken[p] = e if less else taken[p]
                less = row[e] < least[q]
                least[q] = row[e] if less else least[q]
                taken[q] = e if less else taken[q]
            # while parts are joined, labels lead to the part that a part is in now
            for v in range(n_nodes):
                e = taken[v]
                if e >= 0 and decision[e] == 0:
                    label[_root(label, tails[e])] = _root(label, heads[e])
                    decision[e] = 1
                    parts -= 1
            if parts == 1:
                break
            for v in range(n_nodes):
                label[v] = _root(label, v)
            n_kept = 0
            for k in range(n_left):
                left[n_kept] = left[k]
                one[n_kept] = label[one[k]]
                other[n_kept] = label[other[k]]
                n_kept += one[n_kept] != other[n_kept]
            n_left = n_kept
            if n_left == 0:
                status[b] = _INFEASIBLE
                break


@kernel
def _root(label: Array, v: int) -> int:
    """Follow labels to the one that is its own, and shorten the way."""
    while label[v] != v:
        label[v] = label[label[v]]
        v = label[v]
    return v


@kernel
def least_exchanges(
    lo: int,
    hi: int,
    n_nodes: int,
    tails: Array,
    heads: Array,
    costs: Array,
    allowed: Array,
    decisions: Array,
    gaps: Array,
) -> None:
    """Write what the cheapest exchange of an edge of a tree for another one costs, or inf."""
    d = costs.shape[1]
    begin = np.empty(n_nodes + 2, np.int64)
    neighbor = np.empty(2 * n_nodes, np.int64)
    along = np.empty(2 * n_nodes, np.int64)
    dearest = np.empty(n_nodes)  # edge on the way from the start
    ahead = np.empty(n_nodes, np.int64)
    for b in range(lo, hi):
        row, decision = costs[b], decisions[b]
        begin[:] = 0
        for e in range(d):
            if decision[e] > 0.5:
                begin[tails[e] + 2] += 1
                begin[heads[e] + 2] += 1
        for v in range(n_nodes):
            begin[v + 2] += begin[v + 1]
        for e in range(d):
            if decision[e] > 0.5:
                for u, v in ((tails[e], heads[e]), (heads[e], tails[e])):
                    neighbor[begin[u + 1]] = v
                    along[begin[u + 1]] = e
                    begin[u + 1] += 1
        gaps[b] = np.inf
        for start in range(n_nodes):
            dearest[:] = np.nan
            dearest[start] = -np.inf
            ahead[0] = start
            n_ahead = 1
            while n_ahead:
                n_ahead -= 1
                u = ahead[n_ahead]
                for k in range(begin[u], begin[u + 1]):
                    v = neighbor[k]
                    if np.isnan(dearest[v]):
                        dearest[v] = max(dearest[u], row[along[k]])
                        ahead[n_ahead] = v
                        n_ahead += 1
            for e in range(d):
                usable = tails[e] != heads[e] and (len(allowed) == 0 or allowed[b, e])
                if tails[e] == start and decision[e] < 0.5 and usable:
                    gaps[b] = min(gaps[b], max(0.0, row[e] - dearest[heads[e]]))
