"""Cost-complexity pruning: which splits are worth their leaves."""

from __future__ import annotations

import heapq

import numpy as np

from dfl import metrics
from dfl.estimators._tree_sample import Sample
from dfl.estimators._trees import Trees
from dfl_solvers.oracle import Array

# strengths tried at most; a full tree has about as many as rows
_MOST = 64


def strengths(tree: Trees) -> Array:
    """Return up to which price of a leaf a node goes on splitting, (m,); -inf for leaves.

    The weakest split goes first: the one whose leaves save least loss a leaf. In units of mean
    loss. Strengths do not rise from the root down.
    """
    m = len(tree.feature)
    parent = np.full(m, -1)
    inner = np.flatnonzero(~tree.leaves)
    parent[tree.left[inner]] = parent[tree.right[inner]] = inner
    n_leaves, below = np.ones(m), tree.loss.astype(float)
    for node in inner[::-1]:  # children first
        children = [tree.left[node], tree.right[node]]
        n_leaves[node], below[node] = n_leaves[children].sum(), below[children].sum()
    strength = np.where(tree.leaves, -np.inf, np.nan)

    def price(node: int) -> float:
        return float((tree.loss[node] - below[node]) / (n_leaves[node] - 1))

    heap = [(price(node), -node, node) for node in inner.tolist()]
    heapq.heapify(heap)
    level = 0.0
    while heap:
        found, _, node = heapq.heappop(heap)
        if not np.isnan(strength[node]) or found != price(node):
            continue  # gone with a node above, or another one by now
        level = max(level, found)
        stack = [node]
        while stack:
            at = stack.pop()
            if np.isnan(strength[at]):
                strength[at] = level
                stack += [int(tree.left[at]), int(tree.right[at])]
        saved, fewer = tree.loss[node] - below[node], n_leaves[node] - 1
        while node >= 0:
            below[node] += saved
            n_leaves[node] -= fewer
            if np.isnan(strength[node]):
                heapq.heappush(heap, (price(node), -int(node), int(node)))
            node = int(parent[node])
    return strength / tree.weight[0]


def prices(strength: Array) -> Array:
    """Return prices of a leaf, from zero, each between two strengths: their geometric means."""
    steps = np.unique(np.maximum(strength[np.isfinite(strength)], 0.0))
    steps = np.unique(np.append(0.0, steps))
    between = np.append(np.sqrt(steps[:-1] * steps[1:]), steps[-1])
    if len(between) > _MOST:
        between = between[np.linspace(0, len(between) - 1, _MOST).round().astype(int)]
    return np.unique(between)


def held_out_regret(tree: Trees, strength: Array, alphas: Array, held: Sample) -> Array:
    """Return the normalized regret of the pruned trees on held-out rows, (k,)."""
    norm = float(held.weights @ np.abs(held.optimal)) or 1.0
    oracle, total = held.oracle, np.empty(len(alphas))
    decisions = None if held.instance is not None else oracle.solve(tree.values).decisions
    known: dict[bytes, float] = {}
    for k, alpha in enumerate(alphas):
        keep = strength > alpha
        if (key := keep.tobytes()) not in known:
            nodes = _stops(tree, keep, held.X)
            if decisions is None:
                own = oracle.solve(tree.values[nodes], held.instance).decisions
            else:
                own = decisions[nodes]
            regret = metrics.decision_regret(
                oracle, own, held.costs, instance=held.instance, optimal=held.optimal
            )
            known[key] = float(held.weights @ regret) / norm
        total[k] = known[key]
    return total


def _stops(tree: Trees, keep: Array, X: Array) -> Array:
    """Return the nodes (n,) at which rows end where only some nodes go on splitting."""
    feature = np.where(keep, tree.feature, -1)
    stopped = Trees(
        tree.roots, feature, tree.threshold, tree.left, tree.right, tree.values, tree.weight,
        tree.loss,
    )  # fmt: skip
    return stopped.apply(X)[:, 0]
