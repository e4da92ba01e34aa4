"""Binary trees as arrays: one node after another, of one tree or of many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from dfl_solvers.oracle import Array


@final
@dataclass(frozen=True)
class Trees:
    """The nodes of one or several trees; a parent comes before its children.

    Attributes
    ----------
    roots : ndarray of shape (k,)
        Where each tree begins.
    feature : ndarray of shape (m,)
        What a node splits by; -1 for a leaf.
    threshold : ndarray of shape (m,)
        Rows go left if their feature is at most this.
    left, right : ndarray of shape (m,)
        The children; -1 for a leaf.
    values : ndarray of shape (m, d)
        What a node predicts.
    weight : ndarray of shape (m,)
        Weight of the rows of a node.
    loss : ndarray of shape (m,)
        What a node loses on its rows if it is a leaf, in total.
    """

    roots: Array
    feature: Array
    threshold: Array
    left: Array
    right: Array
    values: Array
    weight: Array
    loss: Array

    @property
    def leaves(self) -> Array:
        """Which nodes are leaves, (m,) bool."""
        return self.feature < 0

    @classmethod
    def join(cls, trees: Sequence[Trees]) -> Trees:
        """Put trees together, in their order."""
        offsets = np.cumsum([0] + [len(tree.feature) for tree in trees])

        def moved(name: str) -> Array:
            parts = [getattr(tree, name) for tree in trees]
            moved = [np.where(p < 0, p, p + o) for p, o in zip(parts, offsets, strict=False)]
            return np.concatenate(moved)

        plain = ("feature", "threshold", "values", "weight", "loss")
        return cls(
            **{name: moved(name) for name in ("roots", "left", "right")},
            **{name: np.concatenate([getattr(tree, name) for tree in trees]) for name in plain},
        )

    @classmethod
    def of(cls, estimator: Any) -> Trees:
        """Copy a tree of scikit-learn, which compares features in single precision."""
        tree = estimator.tree_
        leaf = tree.children_left < 0
        return cls(
            roots=np.zeros(1, dtype=np.int64),
            feature=np.where(leaf, -1, tree.feature),
            threshold=np.where(leaf, 0.0, tree.threshold),
            left=tree.children_left.astype(np.int64),
            right=tree.children_right.astype(np.int64),
            values=np.ascontiguousarray(tree.value[:, :, 0]),
            weight=tree.weighted_n_node_samples.copy(),
            loss=tree.impurity * tree.weighted_n_node_samples * tree.value.shape[1],
        )

    @classmethod
    def none(cls, n_outputs: int) -> Trees:
        """Return no tree at all."""
        nothing, whole = np.zeros(0), np.zeros(0, dtype=np.int64)
        values = np.zeros((0, n_outputs))
        return cls(whole, whole, nothing, whole, whole, values, nothing, nothing)

    def apply(self, X: Array) -> Array:
        """Return the leaf of each row in each tree, (n, k)."""
        from dfl.estimators import _tree_kernels  # files of other estimators need none of it
        from dfl_solvers import kernels

        leaves = np.empty((len(X), len(self.roots)), dtype=np.int64)
        kernels.run(_tree_kernels.apply, len(X), X, *self._structure(), leaves)
        return leaves

    def sum(self, X: Array) -> Array:
        """Return the sum over the trees of what they predict, (n, d)."""
        from dfl.estimators import _tree_kernels  # as in apply
        from dfl_solvers import kernels

        predicted = np.zeros((len(X), self.values.shape[1]))
        kernels.run(_tree_kernels.add, len(X), X, *self._structure(), self.values, predicted)
        return predicted

    def mean(self, X: Array) -> Array:
        """Return the mean over the trees of what they predict, (n, d)."""
        return self.sum(X) / len(self.roots)

    def __iter__(self) -> Iterator[Trees]:
        """Go through the trees one by one; each has the nodes of all."""
        return (replace(self, roots=self.roots[k : k + 1]) for k in range(len(self.roots)))

    def importances(self, n_features: int) -> Array:
        """Return the share of each feature in what the splits save, (p,); zero if nothing."""
        inner = np.flatnonzero(~self.leaves)
        saved = self.loss[inner] - self.loss[self.left[inner]] - self.loss[self.right[inner]]
        total = np.bincount(self.feature[inner], np.maximum(saved, 0.0), n_features)
        return total / total.sum() if total.sum() > 0 else total

    def cut(self, keep: Array) -> Trees:
        """Return the trees without the splits that are not kept.

        Parameters
        ----------
        keep : ndarray of shape (m,) of bool
            Which nodes go on splitting; a node below one that does not is gone.
        """
        alive = np.zeros(len(self.feature), dtype=bool)
        alive[self.roots] = True
        splits = keep & ~self.leaves
        for node in np.flatnonzero(~self.leaves):  # parents first
            if alive[node] and splits[node]:
                alive[self.left[node]] = alive[self.right[node]] = True
        place = np.cumsum(alive) - 1
        inner = splits[alive]
        plain = ("threshold", "values", "weight", "loss")
        return replace(
            self,
            roots=place[self.roots],
            feature=np.where(inner, self.feature[alive], -1),
            left=np.where(inner, place[self.left[alive]], -1),
            right=np.where(inner, place[self.right[alive]], -1),
            **{name: getattr(self, name)[alive] for name in plain},
        )

    def depths(self) -> Array:
        """Return how far each node is from the root of its tree, (m,)."""
        depths = np.zeros(len(self.feature), dtype=np.int64)
        for node in np.flatnonzero(~self.leaves):
            depths[[self.left[node], self.right[node]]] = depths[node] + 1
        return depths

    def _structure(self) -> tuple[Array, ...]:
        return self.roots, self.feature, self.threshold, self.left, self.right
