"""Perfect matchings in sparse bipartite graphs, compiled: shortest augmenting paths."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array, Status

# compiled code takes plain numbers
_OPTIMAL, _INFEASIBLE = int(Status.OPTIMAL), int(Status.INFEASIBLE)
# costs beyond this are scaled down, by a power of two, so that no difference overflows
_HUGE = 1e290
_SCALE = 2.0**-100


@kernel
def match(
    lo: int,
    hi: int,
    columns: Array,
    edges: Array,
    costs: Array,
    allowed: Array,
    decisions: Array,
    status: Array,
) -> None:
    """Write the cheapest perfect matching of each instance.

    Row i may be matched with ``columns[i]`` (n, degree) by ``edges[i]``; -1 where it has fewer.
    ``allowed`` without rows allows all edges.

    Columns have potentials v, and a matched row is matched where its costs less v are least. First
    rows take their best columns, also from others, as in an auction; then each row that is left is
    matched along the shortest path to a free column (Dijkstra).
    """
    n, degree = columns.shape
    cost = np.empty((n, degree))
    v = np.empty(n)
    row_of = np.empty(n, np.int64)
    slot_of = np.empty(n, np.int64)  # which of its edges a row is matched by
    free = np.empty(n, np.int64)
    distance = np.empty(n)
    previous = np.empty(n, np.int64)  # row and edge that a column was reached by
    by = np.empty(n, np.int64)
    done = np.empty(n, np.bool_)
    ahead = np.empty(n, np.int64)  # columns that are reached, but not done
    for b in range(lo, hi):
        _load(columns, edges, costs[b], allowed[b : b + 1], cost, v)
        decisions[b] = 0
        status[b] = _OPTIMAL
        row_of[:] = -1
        n_free = _take(columns, cost, v, row_of, slot_of, free)
        for f in range(n_free):
            distance[:] = np.inf
            done[:] = False
            n_ahead = 0
            i = free[f]
            reached, shift = 0.0, 0.0
            found = False
            while not found:
                for s in range(degree):
                    j = columns[i, s]
                    if cost[i, s] < np.inf and not done[j]:
                        x = max(reached, cost[i, s] - v[j] + shift)  # less by rounding only
                        if distance[j] == np.inf:
                            ahead[n_ahead] = j
                            n_ahead += 1
                        if x < distance[j]:
                            distance[j] = x
                            previous[j] = i
                            by[j] = s
                if n_ahead == 0:
                    break
                best = 0
                for k in range(1, n_ahead):
                    if distance[ahead[k]] < distance[ahead[best]]:
                        best = k
                column = ahead[best]
                n_ahead -= 1
                ahead[best] = ahead[n_ahead]
                done[column] = True
                reached = distance[column]
                i = row_of[column]
                found = i < 0
                # from the column back along its own edge, whose reduced cost is zero
                shift = 0.0 if found else reached - (cost[i, slot_of[i]] - v[column])
            if not found:
                status[b] = _INFEASIBLE
                break
            for j in range(n):
                if done[j]:
                    v[j] += distance[j] - reached
            while True:
                i = previous[column]
                slot = slot_of[i]
                slot_of[i] = by[column]
                row_of[column] = i
                if i == free[f]:
                    break
                column = columns[i, slot]
        if status[b] == _OPTIMAL:
            for i in range(n):
                decisions[b, edges[i, slot_of[i]]] = 1


@kernel
def _load(columns: Array, edges: Array, row: Array, allowed: Array, cost: Array, v: Array) -> None:
    """Copy the costs of an instance, infinite where there is no edge; a column's least is its v."""
    n, degree = columns.shape
    largest = 0.0
    for e in range(len(row)):
        largest = max(largest, abs(np.float64(row[e])))
    scale = _SCALE if largest > _HUGE else 1.0
    v[:] = np.inf
    for i in range(n):
        for s in range(degree):
            e = edges[i, s]
            cost[i, s] = np.inf
            if e >= 0 and (len(allowed) == 0 or allowed[0, e]):
                cost[i, s] = np.float64(row[e]) * scale
                v[columns[i, s]] = min(v[columns[i, s]], cost[i, s])


@kernel
def _take(columns: Array, cost: Array, v: Array, row_of: Array, slot_of: Array, free: Array) -> int:
    """Let rows take their best columns; return how many rows stay free.

    A column that is taken is lowered to where the taker's second best is as good. At most four
    takings a row: rows may otherwise outbid each other for long, or, by rounding, for ever.
    """
    n, degree = columns.shape
    n_free = 0
    for i in range(n):
        free[i] = i
    p, end = 0, n
    for _ in range(4 * n):
        if p == end:
            break
        i = free[p]
        best, second, at = np.inf, np.inf, -1
        for s in range(degree):
            if cost[i, s] < np.inf:
                x = cost[i, s] - v[columns[i, s]]
                if x < best or (x == best and row_of[columns[i, s]] < 0 <= row_of[columns[i, at]]):
                    second = best
                    best, at = x, s
                elif x < second:
                    second = x
        if at < 0:
            free[n_free] = i
            n_free += 1
            p += 1
            continue
        j = columns[i, at]
        lowered = v[j] - (second - best) if second < np.inf else v[j]
        taken = row_of[j]
        if taken < 0:
            p += 1
        elif lowered < v[j]:
            free[p] = taken  # the one pushed out is next
        else:
            free[n_free] = i
            n_free += 1
            p += 1
            continue
        v[j] = lowered
        row_of[j] = i
        slot_of[i] = at
    for q in range(p, end):
        free[n_free] = free[q]
        n_free += 1
    return n_free
