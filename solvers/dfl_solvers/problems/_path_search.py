"""Compiled searches for shortest paths.

On graphs without cycles, one sweep over the nodes in topological order, many instances side by
side. On others, where no cost is negative, sweeps there and back until no label changes, and
Dijkstra's algorithm for the instances that need too many sweeps and for those too few to fill the
lanes; elsewhere, the algorithm of Bellman and Ford.
"""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array, Status
from dfl_solvers.problems._path_labels import (
    LANES,
    Graph,
    bellman_ford,
    dijkstra,
    sweep_often,
    sweep_once,
)

# compiled code takes plain numbers
_OPTIMAL, _INFEASIBLE = int(Status.OPTIMAL), int(Status.INFEASIBLE)
_UNBOUNDED = int(Status.UNBOUNDED)
# how many instances make all lanes worthwhile: one sweep; many
_FEW, _SOME = 4, 8
# number of arcs beyond which the lanes outgrow the caches
_ROOM = 1 << 16


@kernel
def find_paths_acyclic(
    lo: int,
    hi: int,
    costs: Array,
    graph: Graph,
    sources: Array,
    targets: Array,
    decisions: Array,
    status: Array,
) -> None:
    """Mark the costs that a cheapest path pays, on a graph without cycles.

    Costs are finite, or infinite where an arc cannot be used; sources and targets (1,) or (n,).
    """
    k = len(graph.start) - 1
    width = LANES if hi - lo >= _FEW and len(graph.head) <= _ROOM else 1
    block = np.zeros((len(graph.used), width))
    labels = np.empty((k, width))
    seen = np.zeros(k, np.int64)
    work = np.empty((2, k), np.int64)
    for first in range(lo, hi, width):
        lanes = min(width, hi - first)
        labels[:] = np.inf
        for lane in range(lanes):
            _load(costs[first + lane], graph.used, block, lane)
            labels[targets[min(first + lane, len(targets) - 1)], lane] = 0.0
        sweep_once(block, graph, labels)
        for lane in range(lanes):
            row = first + lane
            source = sources[min(row, len(sources) - 1)]
            target = targets[min(row, len(targets) - 1)]
            found = _trace(
                labels, lane, costs[row], graph, source, target, seen, row + 1, work, decisions[row]
            )
            status[row] = _OPTIMAL if found else _INFEASIBLE


@kernel
def find_paths(
    lo: int,
    hi: int,
    costs: Array,
    graph: Graph,
    sources: Array,
    targets: Array,
    decisions: Array,
    status: Array,
) -> None:
    """Mark the costs that a cheapest simple path pays, on any graph; arguments as above."""
    k = len(graph.start) - 1
    size = max(k, len(graph.head)) + 1
    width = LANES if hi - lo >= _SOME and len(graph.head) <= _ROOM else 1
    block = np.empty((len(graph.used), width))
    labels = np.empty((k, width))
    label = np.empty((k, 1))
    negative = np.empty(LANES, np.bool_)
    first_node = np.empty(LANES, np.int64)
    last_node = np.empty(LANES, np.int64)
    keys = np.empty(size)
    work = np.empty((4, size), np.int64)
    seen = np.zeros(k, np.int64)
    marks = np.empty(k, np.bool_)
    for first in range(lo, hi, width):
        fit = 0
        for lane in range(width):
            row = min(first + lane, hi - 1)
            first_node[lane] = sources[min(row, len(sources) - 1)]
            last_node[lane] = targets[min(row, len(targets) - 1)]
            negative[lane] = _load(costs[row], graph.used, block, lane) < 0.0
            if negative[lane] or row < first + lane:
                block[:, lane] = np.inf  # an empty lane
            else:
                fit += 1
        swept = False
        if width == LANES and fit >= _SOME:
            labels[:] = np.inf
            for lane in range(width):
                labels[last_node[lane], lane] = 0.0
            swept = sweep_often(block, graph, first_node, last_node, labels, marks)
        for lane in range(min(width, hi - first)):
            row = first + lane
            cost, source, target = costs[row], first_node[lane], last_node[lane]
            if negative[lane]:
                if not bellman_ford(cost, graph, source, target, label, work, marks):
                    status[row] = _UNBOUNDED
                    continue
            elif not swept:
                dijkstra(cost, graph, source, target, label, keys, work[0])
            own, column = (labels, lane) if swept and not negative[lane] else (label, 0)
            found = _trace(
                own, column, cost, graph, source, target, seen, row + 1, work, decisions[row]
            )
            status[row] = _OPTIMAL if found else _INFEASIBLE


@kernel
def _load(cost: Array, used: Array, block: Array, lane: int) -> float:
    """Bring the costs of one instance into a lane; return the least of them and zero."""
    least = 0.0
    for q in range(len(used)):
        c = cost[used[q]]
        block[q, lane] = c
        least = min(least, c)
    return least


@kernel
def _trace(
    labels: Array,
    lane: int,
    cost: Array,
    graph: Graph,
    source: int,
    target: int,
    seen: Array,
    stamp: int,
    work: Array,
    decision: Array,
) -> bool:
    """Mark the path of first arcs that keep to the labels; False if there is none.

    A depth-first search, since arcs without cost may lead around in circles.
    """
    if labels[source, lane] == np.inf:
        return False
    path, following = work[0], work[1]
    path[0] = source
    following[source] = graph.start[source]
    seen[source] = stamp
    depth = 0
    while depth >= 0:
        x = path[depth]
        if x == target:
            for i in range(depth):
                decision[graph.cost[following[path[i]] - 1]] = 1.0
            return True
        p = following[x]
        depth -= 1
        while p < graph.start[x + 1]:
            y = graph.head[p]
            p += 1
            if seen[y] != stamp and labels[y, lane] + cost[graph.cost[p - 1]] <= labels[x, lane]:
                seen[y] = stamp
                following[y] = graph.start[y]
                depth += 2
                path[depth] = y
                break
        following[x] = p
    return False
