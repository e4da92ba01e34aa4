"""Growing a tree by decision loss, a level at a time."""

from __future__ import annotations

import numpy as np

from dfl.estimators import _tree_kernels
from dfl.estimators._tree_sample import Limits, Sample
from dfl.estimators._tree_splits import Candidates, Level, choose, rounding
from dfl.estimators._trees import Trees
from dfl_solvers import kernels
from dfl_solvers.oracle import Array


def grow(
    sample: Sample,
    limits: Limits,
    rng: np.random.Generator,
    tree: Array | None = None,
    n_trees: int = 1,
) -> Trees:
    """Grow trees whose splits cut the cost of decisions most, all of them at once.

    Where no split of a node changes that, though its rows are best decided differently, it is split
    by squared error: two steps may do what one does not. All candidates of a level are solved in
    one call of the oracle.

    Parameters
    ----------
    sample : Sample
    limits : Limits
    rng : Generator
        Draws the features a node looks at.
    tree : ndarray of shape (n,), optional
        The tree that each row is for; every tree needs one. Default: the only one.
    n_trees : int
    """
    place = np.zeros(len(sample.X), dtype=np.int64) if tree is None else tree
    rows = np.ascontiguousarray(np.argsort(sample.X, axis=0, kind="stable").T)
    rows, begin = _sorted(rows, place, n_trees)
    weight = np.bincount(place, sample.weights, n_trees)
    weighted = (sample.weights[:, None] * sample.costs)[rows[0]]
    values = np.add.reduceat(weighted, begin[:-1]) / weight[:, None]
    cost = sample.losses(values, weight, (rows[0], place[rows[0]]))
    best = np.bincount(place, sample.weights * sample.optimal, n_trees)
    growing = _Growing(values, weight, cost, best)
    depth = 0
    while limits.max_depth is None or depth < limits.max_depth:
        # rows of nodes that other decisions would not suit better stay where they are
        impure = _differ(cost, best)
        if not impure.any():
            break
        place = np.append(np.where(impure, np.cumsum(impure) - 1, -1), -1)[place]
        rows, begin = _sorted(rows, place, int(impure.sum()))
        level = Level(rows, begin, cost[impure], best[impure])
        chosen = choose(sample, level, limits, rng)
        if not len(chosen.node):
            break
        place = _sent_down(level, chosen, len(sample.X))
        weight, cost = chosen.weights.T.ravel(), chosen.sides.T.ravel()
        inside = place >= 0
        own = sample.weights * sample.optimal
        best = np.bincount(place[inside], own[inside], len(cost))
        parents = growing.last + np.flatnonzero(impure)[chosen.node]
        growing.split(parents, chosen.feature, _thresholds(sample, level, chosen))
        growing.add(chosen.means.transpose(1, 0, 2).reshape(len(cost), -1), weight, cost, best)
        depth += 1
    return growing.finish(n_trees)


class _Growing:
    """The nodes so far: a level after another, the children of a node side by side."""

    def __init__(self, values: Array, weight: Array, cost: Array, best: Array) -> None:
        self.parts: dict[str, list[Array]] = {
            name: [] for name in ("feature", "threshold", "left", "values", "weight", "loss")
        }
        self.size = self.last = 0
        self.add(values, weight, cost, best)

    def add(self, values: Array, weight: Array, cost: Array, best: Array) -> None:
        """Add a level of leaves."""
        self.last = self.size
        n = len(weight)
        self.size += n
        loss = np.where(_differ(cost, best), np.maximum(cost - best, 0.0), 0.0)
        leaf = np.full(n, -1)
        parts = (leaf, np.zeros(n), leaf.copy(), values, weight, loss)
        for name, part in zip(self.parts, parts, strict=True):
            self.parts[name].append(part)

    def split(self, nodes: Array, feature: Array, threshold: Array) -> None:
        """Split nodes of the last level; their children are the next."""
        at = nodes - self.last
        self.parts["feature"][-1][at] = feature
        self.parts["threshold"][-1][at] = threshold
        self.parts["left"][-1][at] = self.size + 2 * np.arange(len(nodes))

    def finish(self, n_trees: int) -> Trees:
        whole = {name: np.concatenate(parts) for name, parts in self.parts.items()}
        left = whole["left"]
        return Trees(roots=np.arange(n_trees), right=np.where(left < 0, -1, left + 1), **whole)


def _differ(cost: Array, best: Array) -> Array:
    """Say where the decision of a node costs more than the best ones, beyond rounding."""
    differ: Array = cost - best > rounding(cost, best)
    return differ


def _sorted(rows: Array, place: Array, n_places: int) -> tuple[Array, Array]:
    """Sort rows (p, n) by their place, keeping the order within; those of place -1 are dropped."""
    sizes = np.bincount(place[place >= 0], minlength=n_places)
    begin = np.concatenate([[0], np.cumsum(sizes)])
    found = np.empty((len(rows), begin[-1]), dtype=np.int64)
    kernels.run(
        _tree_kernels.partition, len(rows), rows, place, np.tile(begin, (len(rows), 1)), found,
        serial=kernels.SLOW,
    )  # fmt: skip
    return found, begin


def _sent_down(level: Level, chosen: Candidates, n: int) -> Array:
    """Return for each row which of the new nodes it falls into; -1 if none, (n,)."""
    split = np.full(len(level.cost), -1)
    split[chosen.node] = np.arange(len(chosen.node))
    at = np.flatnonzero(split[level.node] >= 0)
    which = split[level.node[at]]
    rows = level.rows[chosen.feature[which], at]
    place = np.full(n, -1)
    place[rows] = 2 * which + (at > chosen.place[which])
    return place


def _thresholds(sample: Sample, level: Level, chosen: Candidates) -> Array:
    """Return thresholds between the last row of the left side and the first of the right."""
    below, above = (
        sample.X[level.rows[chosen.feature, chosen.place + step], chosen.feature] for step in (0, 1)
    )
    middle = below / 2 + above / 2
    return np.where(middle >= above, below, middle)
