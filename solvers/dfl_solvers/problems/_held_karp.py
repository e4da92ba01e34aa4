"""Tours by dynamic programming over sets of nodes, compiled: fastest for up to a dozen nodes."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import kernel, part

# instances that go through the table together, so that its loops run on whole vectors
_LANES = 32


@kernel
def shortest_tours(lo, hi, costs, decisions):  # type: ignore[no-untyped-def]
    """Solve instances of symmetric costs (n(n-1)/2,).

    ``table[s, j]`` is the length of a shortest path from home, the node 0, through the set s to its
    node j. A tour is two such paths that share their last node, so sets of half the nodes do.
    """
    d = costs.shape[1]
    m = int(np.round((1.0 + np.sqrt(1.0 + 8.0 * d)) / 2.0)) - 1
    half = (m + 2) // 2
    everything = (1 << m) - 1
    size = np.zeros(1 << m, np.int64)
    members = np.zeros((1 << m, m), np.int64)
    for s in range(1, 1 << m):
        for j in range(m):
            if s >> j & 1:
                members[s, size[s]] = j
                size[s] += 1
    lanes = min(_LANES, hi - lo)
    table = np.full((1 << m, m, lanes), np.inf)
    between = np.zeros((m, m, lanes))
    best = np.empty(lanes)
    best_set = np.empty(lanes, np.int64)
    middle = np.empty(lanes, np.int64)
    for first in range(lo, hi, lanes):
        count = min(lanes, hi - first)
        for lane in range(count):
            row = costs[first + lane]
            k = m
            for i in range(m):
                table[1 << i, i, lane] = row[i]
                for j in range(i + 1, m):
                    between[i, j, lane] = row[k]
                    between[j, i, lane] = row[k]
                    k += 1
        # a set comes after all its subsets
        for s in range(1, 1 << m):
            if size[s] >= half:
                continue
            for p in range(size[s]):
                here, before = np.uint64(s), np.uint64(members[s, p])
                for j in range(m):
                    if s >> j & 1:
                        continue
                    # unsigned indices, which cannot count from the end: LLVM needs to know
                    there, last = np.uint64(s | 1 << j), np.uint64(j)
                    for lane in range(lanes):
                        length = table[here, before, lane] + between[last, before, lane]
                        shortest = table[there, last, lane] if p > 0 else np.inf
                        table[there, last, lane] = length if length < shortest else shortest
        best[:] = np.inf
        for s in range(1, 1 << m):
            if size[s] == half:
                for p in range(half):
                    j = members[s, p]
                    other = everything ^ s | 1 << j
                    for lane in range(lanes):
                        length = table[s, j, lane] + table[other, j, lane]
                        better = length < best[lane]
                        best[lane] = length if better else best[lane]
                        best_set[lane] = s if better else best_set[lane]
                        middle[lane] = j if better else middle[lane]
        for lane in range(count):
            j = middle[lane]
            decision = decisions[first + lane]
            for s in (best_set[lane], everything ^ best_set[lane] | 1 << j):
                _mark(table[:, :, lane], between[:, :, lane], members, size, s, j, decision)


@part
def _mark(table, between, members, size, s, j, decision):  # type: ignore[no-untyped-def]
    """Write the edges of a shortest path from home through the set s to j."""
    m = len(between)
    while size[s] > 1:
        s ^= 1 << j
        before = members[s, 0]
        for p in range(1, size[s]):
            i = members[s, p]
            if table[s, i] + between[i, j] < table[s, before] + between[before, j]:
                before = i
        low = min(before, j)
        high = max(before, j)
        decision[m + low * (2 * m - low - 1) // 2 + high - low - 1] = 1.0
        j = before
    decision[j] = 1.0
