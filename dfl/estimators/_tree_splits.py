"""Which split of each node of a level cuts the cost of decisions most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dfl.estimators import _tree_kernels
from dfl.estimators._tree_sample import Limits, Sample
from dfl_solvers import kernels
from dfl_solvers.oracle import Array

# numbers held for the candidates of one call of the oracle, so that memory stays bounded
_BLOCK = 1 << 23
# differences below this share of what is compared are rounding
_TOLERANCE = 1e-10


def rounding(cost: Array, best: Array) -> Array:
    """Return what is nothing beside the costs of nodes."""
    found: Array = _TOLERANCE * (np.abs(cost) + np.abs(best))
    return found


class Level(NamedTuple):
    """The rows of the nodes of a level."""

    rows: Array  # (p, n_active), by node, and within it by each feature
    begin: Array  # of the nodes, (n_nodes + 1,)
    cost: Array  # what the decision of a node costs on its rows, (n_nodes,)
    best: Array  # what the best decisions cost

    @property
    def rounding(self) -> Array:
        """What is nothing beside the costs of a node."""
        return rounding(self.cost, self.best)

    @property
    def node(self) -> Array:
        """The node of each place, (n_active,)."""
        return np.repeat(np.arange(len(self.cost)), np.diff(self.begin))


class Candidates(NamedTuple):
    """Splits of the nodes of a level."""

    node: Array
    feature: Array
    place: Array  # the last row of the left side
    loss: Array
    gain: Array  # what the split takes off the squared error
    sides: Array  # losses, (2, n_cuts)
    weights: Array  # (2, n_cuts)
    means: Array  # (2, n_cuts, d)


def choose(sample: Sample, level: Level, limits: Limits, rng: np.random.Generator) -> Candidates:
    """Return the best split of every node that has one, by node."""
    allowed = _allowed(sample, level, limits, rng)
    parts = [_best(part, level) for part in _judged(sample, level, allowed)]
    if not parts:
        nothing, empty = np.zeros(0, dtype=np.int64), np.zeros((2, 0))
        return Candidates(nothing, nothing, nothing, empty[0], empty[0], empty, empty, empty)
    return parts[0] if len(parts) == 1 else _best(_joined(parts), level)


def _best(found: Candidates, level: Level) -> Candidates:
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


def _taken(found: Candidates, at: Array) -> Candidates:
    head = (part[at] for part in found[:5])
    return Candidates(*head, *(part[:, at] for part in found[5:]))


def _joined(parts: list[Candidates]) -> Candidates:
    if len(parts) == 1:
        return parts[0]
    columns = list(zip(*parts, strict=True))
    head = (np.concatenate(column) for column in columns[:5])
    return Candidates(*head, *(np.concatenate(column, axis=1) for column in columns[5:]))


def _allowed(sample: Sample, level: Level, limits: Limits, rng: np.random.Generator) -> Array:
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


def _judged(sample: Sample, level: Level, allowed: Array) -> Iterator[Candidates]:
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
        sides = sample.losses(means, weights, members).reshape(2, k)
        shares, centers = weights.reshape(2, k), means.reshape(2, k, d)
        apart = centers[0] - centers[1]
        gain = shares[0] * shares[1] / shares.sum(0) * np.einsum("kd,kd->k", apart, apart)
        yield Candidates(
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
