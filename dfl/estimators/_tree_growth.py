"""Growing a tree by decision loss, a level at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self, final

import numpy as np

from dfl.estimators import _tree_kernels
from dfl.estimators._trees import Trees
from dfl_solvers import kernels
from dfl_solvers.oracle import Array, Instance, Oracle

# numbers held for the candidates of one call of the oracle, so that memory stays bounded
_BLOCK = 1 << 23
# differences below this share of what is compared are rounding
_TOLERANCE = 1e-10


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


class _Level(NamedTuple):
    """The rows of the nodes of a level."""

    rows: Array  # (p, n_active), by node, and within it by each feature
    begin: Array  # of the nodes, (n_nodes + 1,)
    cost: Array  # what the decision of a node costs on its rows, (n_nodes,)
    best: Array  # what the best decisions cost

    @property
    def rounding(self) -> Array:
        """What is nothing beside the costs of a node."""
        return _TOLERANCE * (np.abs(self.cost) + np.abs(self.best))

    @property
    def node(self) -> Array:
        """The node of each place, (n_active,)."""
        return np.repeat(np.arange(len(self.cost)), np.diff(self.begin))


class _Candidates(NamedTuple):
    """Splits of the nodes of a level."""

    node: Array
    feature: Array
    place: Array  # the last row of the left side
    loss: Array
    gain: Array  # what the split takes off the squared error
    sides: Array  # losses, (2, n_cuts)
    weights: Array  # (2, n_cuts)
    means: Array  # (2, n_cuts, d)


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
    cost = _losses(sample, values, weight, (rows[0], place[rows[0]]))
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
        level = _Level(rows, begin, cost[impure], best[impure])
        chosen = _choose(sample, level, limits, rng)
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
    differ: Array = cost - best > _TOLERANCE * (np.abs(cost) + np.abs(best))
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


def _sent_down(level: _Level, chosen: _Candidates, n: int) -> Array:
    """Return for each row which of the new nodes it falls into; -1 if none, (n,)."""
    split = np.full(len(level.cost), -1)
    split[chosen.node] = np.arange(len(chosen.node))
    at = np.flatnonzero(split[level.node] >= 0)
    which = split[level.node[at]]
    rows = level.rows[chosen.feature[which], at]
    place = np.full(n, -1)
    place[rows] = 2 * which + (at > chosen.place[which])
    return place


def _thresholds(sample: Sample, level: _Level, chosen: _Candidates) -> Array:
    """Return thresholds between the last row of the left side and the first of the right."""
    below, above = (
        sample.X[level.rows[chosen.feature, chosen.place + step], chosen.feature] for step in (0, 1)
    )
    middle = below / 2 + above / 2
    return np.where(middle >= above, below, middle)


def _choose(sample: Sample, level: _Level, limits: Limits, rng: np.random.Generator) -> _Candidates:
    """Return the best split of every node that has one, by node."""
    allowed = _allowed(sample, level, limits, rng)
    parts = [_best(part, level) for part in _judged(sample, level, allowed)]
    if not parts:
        nothing, empty = np.zeros(0, dtype=np.int64), np.zeros((2, 0))
        return _Candidates(nothing, nothing, nothing, empty[0], empty[0], empty, empty, empty)
    return parts[0] if len(parts) == 1 else _best(_joined(parts), level)


def _best(found: _Candidates, level: _Level) -> _Candidates:
    """Keep the best candidate of each node, if it is worth a split.

    The smallest loss wins; of equal losses the largest gain in squared error, of equal gains the
    first candidate.
    """
    n, rounding = len(level.cost), level.rounding
    least = np.full(n, np.inf)
    np.minimum.at(least, found.node, found.loss)
    able = found.loss <= (least + rounding)[found.node]
    largest = np.full(n, -np.inf)
    np.maximum.at(largest, found.node[able], found.gain[able])
    able &= found.gain >= (largest * (1 - _TOLERANCE))[found.node]
    # rows that all cost the same are not worth a split that changes no decision
    able &= (found.loss < (level.cost - rounding)[found.node]) | (found.gain > 0)
    picks = np.flatnonzero(able)
    _, firsts = np.unique(found.node[picks], return_index=True)
    return _taken(found, picks[firsts])


def _taken(found: _Candidates, at: Array) -> _Candidates:
    head = (part[at] for part in found[:5])
    return _Candidates(*head, *(part[:, at] for part in found[5:]))


def _joined(parts: list[_Candidates]) -> _Candidates:
    if len(parts) == 1:
        return parts[0]
    columns = list(zip(*parts, strict=True))
    head = (np.concatenate(column) for column in columns[:5])
    return _Candidates(*head, *(np.concatenate(column, axis=1) for column in columns[5:]))


def _allowed(sample: Sample, level: _Level, limits: Limits, rng: np.random.Generator) -> Array:
    """Say after which of its sorted rows a node may be cut, by feature: (p, n_active) bool."""
    rows, begin, slots = level.rows, level.begin, level.node
    p, n_active = rows.shape
    sizes = np.diff(begin)
    inside = np.arange(n_active) - begin[slots]
    values = np.take_along_axis(sample.X.T, rows, axis=1)
    cuttable = np.zeros((p, n_active), dtype=bool)
    cuttable[:, :-1] = values[:, :-1] < values[:, 1:]
    least = limits.min_samples_leaf
    cuttable &= (inside + 1 >= least) & (sizes[slots] - inside - 1 >= least)
    counts = np.add.reduceat(cuttable, begin[:-1], axis=1)  # (p, n_nodes); a node has a row
    if limits.n_features < p:
        # features by which a node cannot be split do not take the place of others
        keys = rng.random(counts.shape) + (counts == 0)
        dropped = np.argsort(np.argsort(keys, axis=0), axis=0) >= limits.n_features
        cuttable &= ~dropped[:, slots]
    if limits.max_candidates is not None and (counts > limits.max_candidates).any():
        # evenly by rank
        rank = np.cumsum(cuttable, axis=1)
        rank -= (rank - cuttable)[:, begin[:-1]][:, slots]
        total, k = np.maximum(counts, 1)[:, slots], limits.max_candidates
        evenly = (rank * k + total // 2) // total > ((rank - 1) * k + total // 2) // total
        cuttable &= evenly | (total <= k)
    return cuttable


def _judged(sample: Sample, level: _Level, allowed: Array) -> Iterator[_Candidates]:
    """Judge all candidates, in blocks of bounded size: mostly one."""
    p, n_active = level.rows.shape
    n_nodes = len(level.begin) - 1
    places = np.flatnonzero(allowed)  # by feature, then by node
    if not len(places):
        return
    starts = (np.arange(p)[:, None] * n_active + level.begin[:-1]).ravel()
    ends = (np.arange(p)[:, None] * n_active + level.begin[1:]).ravel()
    first = np.searchsorted(places, np.append(starts, p * n_active))
    size = np.diff(first) * sample.costs.shape[1] * 2
    if sample.instance is not None:
        size = size * (ends - starts)
    blocks = np.cumsum(size) // _BLOCK
    flat = level.rows.ravel()
    for block in np.unique(blocks[np.diff(first) > 0]):
        jobs = np.flatnonzero((blocks == block) & (np.diff(first) > 0))
        counts = np.diff(first)[jobs]
        own = np.concatenate([[0], np.cumsum(counts)])
        cuts = np.concatenate([places[first[j] : first[j + 1]] for j in jobs])
        k, d = len(cuts), sample.costs.shape[1]
        means, weights = np.empty((2 * k, d)), np.empty(2 * k)
        kernels.run(
            _tree_kernels.children, len(jobs), sample.costs, sample.weights, flat,
            starts[jobs], ends[jobs], own, cuts, means, weights, serial=kernels.SLOW,
        )  # fmt: skip
        members = None
        if sample.instance is not None:
            members = _members(flat, starts[jobs], ends[jobs], own, cuts)
        sides = _losses(sample, means, weights, members).reshape(2, k)
        shares, centers = weights.reshape(2, k), means.reshape(2, k, d)
        apart = centers[0] - centers[1]
        gain = shares[0] * shares[1] / shares.sum(0) * np.einsum("kd,kd->k", apart, apart)
        yield _Candidates(
            np.repeat(jobs % n_nodes, counts),
            np.repeat(jobs // n_nodes, counts),
            cuts % n_active,
            sides.sum(0),
            gain,
            sides,
            shares,
            centers,
        )


def _members(
    flat: Array, starts: Array, ends: Array, own: Array, cuts: Array
) -> tuple[Array, Array]:
    """Return rows, each with a side of a candidate that it is on, among all sides."""
    rows, sides = [], []
    for k, (start, end) in enumerate(zip(starts, ends, strict=True)):
        places, cut = np.arange(start, end), cuts[own[k] : own[k + 1], None]
        side = np.arange(own[k], own[k + 1])[:, None] + len(cuts) * (places > cut)
        rows.append(np.broadcast_to(flat[places], side.shape).ravel())
        sides.append(side.ravel())
    return np.concatenate(rows), np.concatenate(sides)


def _losses(
    sample: Sample, means: Array, weights: Array, members: tuple[Array, Array] | None
) -> Array:
    """Return what decisions for mean costs (k, d) cost on the rows they are means of, (k,).

    Where all rows share one feasible set that is the weight times the optimal objective at the mean
    cost; else every row is solved, and ``members`` says of which means it is a part.
    """
    if sample.instance is None or members is None:
        found: Array = weights * sample.oracle.solve(means).objectives
        return found
    rows, side = members
    own = {name: value[rows] for name, value in sample.instance.items()}
    decisions = sample.oracle.solve(means[side], own).decisions
    costs = sample.oracle.evaluate(sample.costs[rows], decisions, own)
    return np.bincount(side, sample.weights[rows] * costs, len(means))
