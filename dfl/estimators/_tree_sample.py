"""What a tree learns from, and how far it grows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self, final

import numpy as np

from dfl_solvers.oracle import Array, Instance, Oracle


@final
@dataclass(frozen=True)
class Sample:
    """What a tree learns from, in the sense of minimization.

    Attributes
    ----------
    oracle : Oracle
        A minimizing one.
    X : ndarray of shape (n, p)
    costs : ndarray of shape (n, d)
    optimal : ndarray of shape (n,)
        Objectives of the best decisions.
    weights : ndarray of shape (n,)
    instance : mapping of str to ndarray, or None
        With it the feasible set of each row is its own.
    """

    oracle: Oracle
    X: Array
    costs: Array
    optimal: Array
    weights: Array
    instance: Instance | None

    def take(self, rows: Array, weights: Array | None = None) -> Self:
        """Return some rows, without those of no weight."""
        weights = self.weights[rows] if weights is None else self.weights[rows] * weights
        rows, weights = rows[weights > 0], weights[weights > 0]
        instance = self.instance
        if instance is not None:
            instance = {name: value[rows] for name, value in instance.items()}
        return replace(
            self,
            X=self.X[rows],
            costs=self.costs[rows],
            optimal=self.optimal[rows],
            weights=weights,
            instance=instance,
        )

    def losses(self, means: Array, weights: Array, members: tuple[Array, Array] | None) -> Array:
        """Return what decisions for mean costs (k, d) cost on the rows they are means of, (k,).

        Where all rows share one feasible set that is the weight times the optimal objective at the
        mean cost; else every row is solved, and ``members`` says of which means it is a part.
        """
        if self.instance is None or members is None:
            found: Array = weights * self.oracle.solve(means).objectives
            return found
        rows, side = members
        own = {name: value[rows] for name, value in self.instance.items()}
        decisions = self.oracle.solve(means[side], own).decisions
        costs = self.oracle.evaluate(self.costs[rows], decisions, own)
        return np.bincount(side, self.weights[rows] * costs, len(means))


@final
@dataclass(frozen=True)
class Limits:
    """How far a tree grows.

    Attributes
    ----------
    max_depth : int or None
    min_samples_leaf : int
    n_features : int
        Features that a node looks at.
    max_candidates : int or None
        Thresholds that a node tries of a feature.
    """

    max_depth: int | None
    min_samples_leaf: int
    n_features: int
    max_candidates: int | None
