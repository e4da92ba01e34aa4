"""Minimum 1-trees under node potentials, compiled: the bound of Held and Karp.

A 1-tree is a spanning tree on nodes 1 to n - 1 plus two edges at node 0; a tour is a 1-tree in
which every node has degree two. A potential on a node is added to each edge there, which changes
every tour by the same amount, so the cheapest 1-tree bounds the tours at any potentials.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dfl_solvers.kernels import part

# after so many trees without a better bound, the step of the ascent shrinks by the factor
_PATIENCE = 2
_SHRINK = 0.75
# share of the last change of degree in the direction of a step
_MOMENTUM = 0.3
# the bits of a positive number, and those of infinity
_POSITIVE = 0x7FFFFFFFFFFFFFFF
_INFINITE = 0x7FF0000000000000


class Tree(NamedTuple):
    """A 1-tree, and the working memory that it takes to find it and to raise its bound."""

    # edges are (v, parent[v]) for v in order[2:], in which a parent comes before its children;
    # parent[0] and order[0] are the neighbors of node 0, the cheaper one first
    parent: Any
    order: Any
    degree: Any
    pi: Any
    key: Any  # least weight of an edge from the nodes reached so far, as ordered integers
    outside: Any  # potentials; infinite at nodes reached
    reach: Any
    reach_bits: Any  # the same memory, as integers
    change: Any  # degree less two in the tree before
    depth: Any
    gain: Any  # (n, 2): rise of the bound without the edge to the parent; [0] of the two at node 0


@part
def empty_tree(n):  # type: ignore[no-untyped-def]
    """Return a Tree for n nodes."""
    reach = np.empty(n)
    return Tree(
        np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64), np.empty(n),
        np.empty(n, np.int64), np.empty(n), reach, reach.view(np.int64), np.empty(n),
        np.zeros(n, np.int64), np.empty((n, 2)),
    )  # fmt: skip


@part
def one_tree(weights, costs, pi, tree):  # type: ignore[no-untyped-def]
    """Find a cheapest 1-tree; return its bound on tours, infinite if there is none.

    ``weights`` choose (infinite where an edge is out, very low where it is in), ``costs`` count.
    """
    n = len(pi)
    parent, order, degree, key = tree.parent, tree.order, tree.degree, tree.key
    outside, reach, bits = tree.outside, tree.reach, tree.reach_bits
    for j in range(n):
        degree[j] = 0
        key[j] = _INFINITE
        outside[j] = pi[j]
    outside[0] = np.inf
    total = 0.0
    v = 1
    order[1] = 1
    for p in range(2, n):
        key[v] = _INFINITE
        outside[v] = np.inf
        row = weights[v]
        shift = pi[v]
        for j in range(n):
            reach[j] = row[j] + outside[j] + shift
        # the bits of a float, flipped where it is negative, compare as it does: LLVM turns a
        # minimum of integers into vector instructions, but not one of floats
        least = _INFINITE
        for j in range(n):
            weight = bits[j]
            weight ^= (weight >> 63) & _POSITIVE
            known = key[j]
            parent[j] = v if weight < known else parent[j]
            known = min(weight, known)
            key[j] = known
            least = min(least, known)
        if least == _INFINITE:
            return np.inf
        v = 0
        while key[v] != least:
            v += 1
        order[p] = v
        u = parent[v]
        degree[v] += 1
        degree[u] += 1
        total += costs[v, u]
    first = np.inf
    second = np.inf
    a = 0
    b = 0
    row = weights[0]
    for j in range(1, n):
        weight_0 = row[j] + pi[j]
        if weight_0 < second:
            if weight_0 < first:
                second = first
                b = a
                first = weight_0
                a = j
            else:
                second = weight_0
                b = j
    if second == np.inf:
        return np.inf
    parent[0] = a
    order[0] = b
    degree[0] = 2
    degree[a] += 1
    degree[b] += 1
    total += costs[0, a] + costs[0, b]
    for j in range(n):
        total += pi[j] * (degree[j] - 2)
    return total


@part
def ascend(weights, costs, best_pi, target, rounds, rate, tree):  # type: ignore[no-untyped-def]
    """Raise the bound from ``best_pi`` by subgradient steps, until it reaches ``target``.

    Returns (bound, whether the last 1-tree is a tour, number of trees); the potentials of the bound
    are left in ``best_pi``, and in ``tree`` the last tree.
    """
    n = len(best_pi)
    pi, degree, last = tree.pi, tree.degree, tree.change
    for j in range(n):
        pi[j] = best_pi[j]
        last[j] = 0.0
    best = -np.inf
    stalled = 0
    for m in range(rounds):
        bound = one_tree(weights, costs, pi, tree)
        if bound == np.inf:
            return bound, False, m + 1
        length = 0.0
        for j in range(n):
            length += (degree[j] - 2) * (degree[j] - 2)
        if length == 0.0:
            return bound, True, m + 1
        if bound > best:
            stalled = 0
            best = bound
            for j in range(n):
                best_pi[j] = pi[j]
        else:
            stalled += 1
            if stalled == _PATIENCE:
                stalled = 0
                rate *= _SHRINK
        if best >= target:
            return best, False, m + 1
        step = rate * (target - bound) / length
        for j in range(n):
            change = degree[j] - 2.0
            pi[j] += step * ((1.0 - _MOMENTUM) * change + _MOMENTUM * last[j])
            last[j] = change
    return best, False, rounds
