"""Distances to a target: sweeps over many instances at once, Dijkstra, Bellman and Ford; compiled.

Without negative costs, all of these give the same labels to the last bit: the least over all paths
of the sum of costs, added up from the target on. So it does not matter which of them is taken.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array

# instances side by side, one in each lane of the vector registers
LANES = 32
# visits per node after which sweeps give up: about what Dijkstra's algorithm costs for all lanes
_PATIENCE = 20
# what a label must gain, relative to the largest cost, lest rounding passes for a negative cycle
_ROUNDING = 1e-12


class Graph(NamedTuple):
    """Arcs sorted by tail and by head; nodes are numbered in the order of the sweeps.

    Arcs ``start[x]`` to ``start[x + 1] - 1`` leave node x, in the order of their costs: arc p leads
    to ``head[p]`` and costs ``costs[cost[p]]``, which is ``used[slot[p]]``: row ``slot[p]`` of the
    lanes. Likewise ``entering[x]``, ``tail`` and ``entering_cost`` for the arcs that enter x.
    """

    start: Array
    head: Array
    cost: Array
    slot: Array
    used: Array
    entering: Array
    tail: Array
    entering_cost: Array


@kernel
def sweep_once(block: Array, graph: Graph, labels: Array) -> None:
    """Label all nodes, in all lanes, where heads are numbered before tails.

    Labels are zero at the targets and infinite elsewhere.
    """
    for x in range(len(labels)):
        label = labels[x]
        for p in range(graph.start[x], graph.start[x + 1]):
            beyond = labels[graph.head[p]]
            price = block[graph.slot[p]]
            for lane in range(labels.shape[1]):
                c = beyond[lane] + price[lane]
                # plus zero: else the compiler stores under a mask, which is slow
                label[lane] = (c if c < label[lane] else label[lane]) + 0.0


@kernel
def sweep_often(
    block: Array, graph: Graph, sources: Array, targets: Array, labels: Array, marks: Array
) -> bool:
    """Correct labels, in all lanes, until none changes; False if that takes too long.

    No cost is negative; labels as above, sources and targets (LANES,). Labels above that of the
    source may come out too large: no path to be found depends on them.
    """
    k = len(labels)
    best = np.empty(LANES)
    goal = np.full(LANES, np.inf)
    marks[:] = False
    for target in targets:
        for p in range(graph.entering[target], graph.entering[target + 1]):
            marks[graph.tail[p]] = True
    visits = 0
    forward = True
    while visits <= _PATIENCE * k:
        before = visits
        for position in range(k):
            x = position if forward else k - 1 - position
            if not marks[x]:
                continue
            marks[x] = False
            visits += 1
            label = labels[x]
            for lane in range(LANES):
                best[lane] = label[lane]
            for p in range(graph.start[x], graph.start[x + 1]):
                beyond = labels[graph.head[p]]
                price = block[graph.slot[p]]
                for lane in range(LANES):
                    c = beyond[lane] + price[lane]
                    # plus zero: as above
                    best[lane] = (c if c < best[lane] else best[lane]) + 0.0
            better = False
            for lane in range(LANES):
                better |= (best[lane] < label[lane]) & (best[lane] <= goal[lane])
                label[lane] = best[lane]
            if better:
                for p in range(graph.entering[x], graph.entering[x + 1]):
                    marks[graph.tail[p]] = True
        if visits == before:
            return True
        forward = not forward
        for lane in range(LANES):
            goal[lane] = labels[sources[lane], lane]
    return False


@kernel
def dijkstra(
    cost: Array,
    graph: Graph,
    source: int,
    target: int,
    label: Array,
    keys: Array,
    nodes: Array,
) -> None:
    """Label nodes with their distance to the target, up to that of the source; no cost negative."""
    for x in range(len(label)):
        label[x, 0] = np.inf
    label[target, 0] = 0.0
    keys[0] = 0.0
    nodes[0] = target
    size = 1
    while size:
        key = keys[0]
        x = nodes[0]
        # the last entry takes the place of the first, and sinks
        size -= 1
        moved, moving = keys[size], nodes[size]
        i = 0
        child = 1
        while child < size:
            if child + 1 < size and keys[child + 1] < keys[child]:
                child += 1
            if keys[child] >= moved:
                break
            keys[i], nodes[i] = keys[child], nodes[child]
            i = child
            child = 2 * i + 1
        keys[i], nodes[i] = moved, moving
        if key > label[source, 0]:
            break
        if key > label[x, 0]:
            continue  # out of date
        for p in range(graph.entering[x], graph.entering[x + 1]):
            y = graph.tail[p]
            c = key + cost[graph.entering_cost[p]]
            if c < label[y, 0]:
                label[y, 0] = c
                i = size
                size += 1
                while i > 0 and keys[(i - 1) // 2] > c:
                    keys[i], nodes[i] = keys[(i - 1) // 2], nodes[(i - 1) // 2]
                    i = (i - 1) // 2
                keys[i], nodes[i] = c, y


@kernel
def bellman_ford(
    cost: Array,
    graph: Graph,
    source: int,
    target: int,
    label: Array,
    work: Array,
    reached: Array,
) -> bool:
    """Label nodes with their distance to the target; False if a negative cycle is on the way.

    Only nodes that the source reaches before the target count, and no arc into the source.
    """
    k = len(label)
    queue, queued, following, stamps = work[0], work[1], work[2], work[3]
    largest = 0.0
    for x in range(k):
        label[x, 0] = np.inf
        reached[x] = False
        queued[x] = 0
        following[x] = -1
        stamps[x] = -1
    reached[source] = True
    queue[0] = source
    size = 1
    i = 0
    while i < size:
        x = queue[i]
        i += 1
        if x == target:
            continue
        for p in range(graph.start[x], graph.start[x + 1]):
            c = cost[graph.cost[p]]
            y = graph.head[p]
            if c < np.inf and y != source:
                largest = max(largest, abs(c))
                if not reached[y]:
                    reached[y] = True
                    queue[size] = y
                    size += 1
    slack = _ROUNDING * largest

    label[target, 0] = 0.0
    queue[0] = target
    size = 1
    i = 0
    gains = 0
    while size:
        x = queue[i]
        i = i + 1 if i + 1 < k else 0
        size -= 1
        queued[x] = 0
        for p in range(graph.entering[x], graph.entering[x + 1]):
            y = graph.tail[p]
            c = label[x, 0] + cost[graph.entering_cost[p]]
            if reached[y] and y != target and c < label[y, 0] - slack:
                label[y, 0] = c
                following[y] = x
                gains += 1
                if y != source and not queued[y]:
                    queued[y] = 1
                    queue[i + size if i + size < k else i + size - k] = y
                    size += 1
        # one look at all pointers is paid for by as many gains
        if gains >= k or not size:
            gains = 0
            if _has_cycle(following, stamps, k):
                return False
    return True


@kernel
def _has_cycle(following: Array, stamps: Array, k: int) -> bool:
    """Tell whether pointers (-1: none) lead from any of k nodes back to it."""
    for x in range(k):
        stamps[x] = -1
    for x in range(k):
        y = x
        while y >= 0 and stamps[y] < 0:
            stamps[y] = x
            y = following[y]
        if y >= 0 and stamps[y] == x:
            return True
    return False
