"""Assignment problems, compiled: reductions of columns and rows, then shortest augmenting paths.

Every scan of a row is two branch-free loops that compilers turn into vector instructions: the least
reduced cost, then the first column that has it. Minima are taken over the bits of the numbers, read
as integers: for numbers >= 0 that order is the same, and minima of integers vectorize. Reduced
costs are >= 0 in floating point too, since a column's potential starts at its least cost and only
ever falls.
"""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array, Status

# compiled code takes plain numbers
_OPTIMAL, _INFEASIBLE = int(Status.OPTIMAL), int(Status.INFEASIBLE)
_LARGEST = 0x7FFFFFFFFFFFFFFF
# costs beyond this are scaled down, by a power of two, so that no difference overflows
_HUGE = 1e290
_SCALE = 2.0**-100


@kernel
def assign(
    lo: int,
    hi: int,
    n: int,
    costs: Array,
    allowed: Array,
    decisions: Array,
    objectives: Array,
    status: Array,
) -> None:
    """Write the cheapest permutation of each instance; ``allowed`` without rows allows all."""
    # rows are padded by columns of infinite cost up to whole vectors
    width = (n + 3) // 4 * 4
    cost = np.full((n, width), np.inf)
    v = np.zeros(width)  # potentials of the columns
    row_of = np.empty(width, np.int64)
    # order among equally good columns: unassigned ones first, then by number; assigned: + width
    rank = np.arange(width)
    column_of = np.empty(n, np.int64)
    free = np.empty(n, np.int64)  # rows not assigned yet
    key = np.empty(width, np.int64)
    distance = np.empty(width)
    previous = np.empty(width, np.int64)
    done = np.empty(width, np.int64)
    for b in range(lo, hi):
        _load(n, costs[b], cost)
        if len(allowed):
            _forbid(n, allowed[b], cost)
        n_free = _reduce_columns(n, cost, v, row_of, rank, column_of, free, previous)
        n_free = _reduce_rows(n, cost, v, row_of, rank, column_of, free, n_free, key)
        for f in range(n_free):
            _augment(free[f], cost, v, row_of, rank, column_of, key, distance, previous, done)
        total = costs[b, 0] * 0
        status[b] = _OPTIMAL
        for i in range(n):
            chosen = i * n + column_of[i]
            total += costs[b, chosen]
            decisions[b, chosen] = 1
            if len(allowed) and not allowed[b, chosen]:
                status[b] = _INFEASIBLE
        objectives[b] = total


@kernel
def _bits(x: float) -> np.int64:
    """Read a number's bits as an integer."""
    return np.float64(x).view(np.int64)


@kernel
def _number(bits: int) -> np.float64:
    """Read an integer's bits as a number."""
    return np.int64(bits).view(np.float64)


@kernel
def _load(n: int, given: Array, cost: Array) -> None:
    """Copy the costs of an instance into padded rows."""
    for i in range(n):
        row = cost[i]
        for j in range(n):
            # -0.0 becomes 0.0: its bits are in order
            row[j] = np.float64(given[i * n + j]) + 0.0
    largest = 0
    for k in range(n * n):
        largest = max(largest, _bits(abs(given[k])))
    if _number(largest) > _HUGE:
        for i in range(n):
            for j in range(n):
                cost[i, j] = cost[i, j] * _SCALE + 0.0


@kernel
def _forbid(n: int, allowed: Array, cost: Array) -> None:
    """Make one forbidden pair dearer than any permutation without."""
    largest = 0.0
    for i in range(n):
        for j in range(n):
            largest = max(largest, abs(cost[i, j]))
    if largest == 0.0:
        largest = 1.0
    for i in range(n):
        for j in range(n):
            if not allowed[i * n + j]:
                cost[i, j] = 2 * n * largest


@kernel
def _reduce_columns(
    n: int,
    cost: Array,
    v: Array,
    row_of: Array,
    rank: Array,
    column_of: Array,
    free: Array,
    cheapest: Array,
) -> int:
    """Assign columns to their cheapest rows; return how many rows are left in ``free``."""
    width = len(v)
    v[:n] = cost[0, :n]
    cheapest[:n] = 0
    for i in range(1, n):
        row = cost[i]
        for j in range(n):
            less = row[j] < v[j]
            v[j] = row[j] if less else v[j]
            cheapest[j] = i if less else cheapest[j]
    # of several columns with the same cheapest row, the row takes the first
    free[:] = 0  # until it is read, the number of columns of each row
    for j in range(n - 1, -1, -1):
        column_of[cheapest[j]] = j
        free[cheapest[j]] += 1
    for j in range(n):
        row_of[j] = cheapest[j]
        rank[j] = j + width * (column_of[cheapest[j]] == j)
    # a row with one column only can lower it to where its second best column is as good
    n_free = 0
    for i in range(n):
        n_columns = free[i]
        free[n_free] = i
        n_free += n_columns == 0
        if n_columns == 1:
            row = cost[i]
            own = column_of[i]
            second = _LARGEST
            for j in range(width):
                second = min(second, _LARGEST if j == own else _bits(row[j] - v[j]))
            v[own] -= _number(second)
    return n_free


@kernel
def _reduce_rows(
    n: int,
    cost: Array,
    v: Array,
    row_of: Array,
    rank: Array,
    column_of: Array,
    free: Array,
    n_free: int,
    key: Array,
) -> int:
    """Let free rows take their best columns from others; return how many rows stay free.

    A taken column is lowered to where the taker's second best is as good, as in an auction. At most
    n takings: rows may otherwise outbid each other for long, or, by rounding, for ever.
    """
    width = len(v)
    p = 0
    left = 0
    for _ in range(n):
        if p == n_free:
            break
        i = free[p]
        row = cost[i]
        best = _LARGEST
        for j in range(width):
            x = _bits(row[j] - v[j])
            key[j] = x
            best = min(best, x)
        second = _LARGEST
        at = 2 * width
        ties = 0
        for j in range(width):
            same = key[j] == best
            at = min(at, rank[j] if same else 2 * width)
            second = min(second, _LARGEST if same else key[j])
            ties += same
        column = at - width if at >= width else at
        lowered = v[column]
        if ties == 1:
            lowered -= _number(second) - _number(best)
        if at < width:
            p += 1
        elif lowered < v[column]:
            free[p] = row_of[column]  # the one pushed out is next
        else:
            free[left] = i
            left += 1
            p += 1
            continue
        v[column] = lowered
        row_of[column] = i
        rank[column] = column + width
        column_of[i] = column
    for q in range(p, n_free):
        free[left] = free[q]
        left += 1
    return left


@kernel
def _augment(
    start: int,
    cost: Array,
    v: Array,
    row_of: Array,
    rank: Array,
    column_of: Array,
    key: Array,
    distance: Array,
    previous: Array,
    done: Array,
) -> None:
    """Assign one more row along the shortest path to an unassigned column (Dijkstra)."""
    width = len(v)
    distance[:] = np.inf
    done[:] = 0
    i = start
    reached = 0.0
    shift = 0.0
    while True:
        row = cost[i]
        for j in range(width):
            x = (row[j] - v[j]) + shift
            x = reached if x < reached else x  # by rounding only
            less = x < distance[j]
            distance[j] = x if less else distance[j]
            previous[j] = i if less else previous[j]
        best = _LARGEST
        for j in range(width):
            x = _bits(distance[j]) | done[j]
            key[j] = x
            best = min(best, x)
        at = 2 * width
        for j in range(width):
            at = min(at, rank[j] if key[j] == best else 2 * width)
        reached = _number(best)
        if at < width:
            break
        column = at - width
        done[column] = _LARGEST
        i = row_of[column]
        shift = reached - (cost[i, column] - v[column])
    for j in range(width):
        x = distance[j] - reached
        v[j] += x if x < 0.0 else 0.0
    column = at
    while True:
        i = previous[column]
        row_of[column] = i
        rank[column] = column + width
        column, column_of[i] = column_of[i], column
        if i == start:
            break
