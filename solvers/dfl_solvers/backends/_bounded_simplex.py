"""The primal simplex method on a dictionary of bounded variables, compiled."""

from __future__ import annotations

import numpy as np

from dfl_solvers.backends._dictionary import (
    Dictionary,
    Vertex,
    assign,
    copy_of,
    price_outer,
    price_vertex,
    prove,
    write,
)
from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array, Status

# compiled code takes plain numbers
_OPTIMAL, _UNBOUNDED, _FAILED = int(Status.OPTIMAL), int(Status.UNBOUNDED), int(Status.FAILED)
# reduced costs below this may enter; the largest cost is about 1
_ENTER = 1e-11
# in units of the scaled variables: the smallest pivot
_PIVOT = 1e-9
# bits of an infinite number
_INFINITY = 0x7FF0000000000000


@kernel
def solve_all(
    lo: int,
    hi: int,
    objective: Array,
    dictionary: Dictionary,
    start: Vertex,
    limit: int,
    x: Array,
    status: Array,
) -> None:
    """Minimize each row of objective (n, variables); a row without a proof is FAILED."""
    k = len(dictionary.transposed)
    vertex = copy_of(start)
    costs = np.empty(k)
    d = np.empty(k)
    values = np.empty(len(dictionary.spans))
    for i in range(lo, hi):
        status[i] = _FAILED
        if not price_outer(objective[i], dictionary, costs):
            continue
        assign(vertex, start)
        price_vertex(costs, vertex, d)
        pivots = _improve(vertex, d, dictionary, limit)
        if pivots == -_UNBOUNDED:
            status[i] = _UNBOUNDED
        elif pivots >= 0 and prove(dictionary, vertex, costs, d, values):
            write(dictionary, values, x[i])
            status[i] = _OPTIMAL


@kernel
def approach(
    mean: Array, trials: Array, dictionary: Dictionary, first: Vertex, vertex: Vertex, limit: int
) -> bool:
    """Take a copy of the first vertex to the optimum for mean costs.

    True if objectives on trial (t, variables) are solved in fewer steps from there.
    """
    if _steps(mean, dictionary, vertex, limit) < 0:
        return False
    scratch = copy_of(first)
    saved = 0
    for i in range(len(trials)):
        assign(scratch, first)
        saved += _steps(trials[i], dictionary, scratch, limit)
        assign(scratch, vertex)
        saved -= _steps(trials[i], dictionary, scratch, limit)
    return saved > 0


@kernel
def _steps(objective: Array, dictionary: Dictionary, vertex: Vertex, limit: int) -> int:
    """Take a vertex to an optimum; return the number of steps, or less than 0."""
    costs = np.empty(len(dictionary.transposed))
    d = np.empty(len(dictionary.transposed))
    if not price_outer(objective, dictionary, costs):
        return -1
    price_vertex(costs, vertex, d)
    return _improve(vertex, d, dictionary, limit)


@kernel
def _improve(vertex: Vertex, d: Array, dictionary: Dictionary, limit: int) -> int:
    """Step to the optimum along steepest edges; return the number of steps or minus a status."""
    table, weights, values, exact = vertex.table, vertex.weights, vertex.values, vertex.exact
    inner, outer, flipped = vertex.inner, vertex.outer, vertex.flipped
    spans, moved = dictionary.spans, dictionary.moved
    m, k = len(inner), len(outer)
    row = np.empty(k)
    products = np.empty(k)
    scores = np.empty(k)
    column = np.zeros(m + 1)
    ratios = np.empty(m)
    width = np.empty(m)
    touched = np.empty(m + 4, np.int64)
    mask = np.int64(1)
    while mask <= max(m, k):
        mask <<= 1
    mask -= 1
    for i in range(m):
        width[i] = moved[inner[i]]
    for steps in range(limit):
        q = _choose_entering(d, weights, scores, mask)
        if q < 0:
            return steps
        entering = outer[q]
        r = _choose_leaving(table, q, values, width, column, ratios, mask)
        step = ratios[r] if r >= 0 else np.inf
        if moved[entering] <= step:
            # it reaches its own other bound first
            step = moved[entering]
            if step == np.inf:
                return -_UNBOUNDED
            for i in range(m):
                values[i] -= step * column[i]
                exact[i] -= spans[entering] * column[i]
                table[i, q] = -column[i]
            d[q] = -d[q]
            flipped[entering] = not flipped[entering]
            continue
        leaving = inner[r]
        room = exact[r]
        if column[r] < 0.0:
            room = spans[leaving] - room
            flipped[leaving] = not flipped[leaving]
        size = abs(column[r])
        room /= size
        norm = 1.0
        for i in range(m):
            a = column[i]
            norm += a * a
            values[i] -= step * a
            exact[i] -= room * a
        values[r] = step
        exact[r] = room
        _exchange(table, r, q, row, column, products, touched)
        part = d[q]
        d[q] = 0.0
        rest = norm - 2.0 * size * size
        for j in range(k):
            e = row[j]
            d[j] -= part * e
            square = e * e
            weights[j] = max(weights[j] + square * rest - 2.0 * e * products[j], 1.0 + square)
        weights[q] = max(norm / (size * size), 1.0)
        inner[r] = entering
        width[r] = moved[entering]
        outer[q] = leaving
    return -_FAILED


@kernel
def _choose_entering(d: Array, weights: Array, scores: Array, mask: int) -> int:
    """Return the outer variable along whose edge costs fall most per distance; -1 if none do.

    Scores are not negative, so they compare as integers do, and an integer has room for the place
    in its last bits: the search for the best then runs in vector registers.
    """
    for j in range(len(d)):
        gain = min(d[j] + _ENTER, 0.0)
        scores[j] = gain * gain / weights[j]
    keys = scores.view(np.int64)
    best = np.int64(0)
    for j in range(len(d)):
        best = max(best, (keys[j] & ~mask) | j)
    return int(best & mask) if best > mask else -1


@kernel
def _choose_leaving(
    table: Array, q: int, values: Array, width: Array, column: Array, ratios: Array, mask: int
) -> int:
    """Copy the column and return the row that stops its variable first; -1 if none does."""
    m = len(values)
    for i in range(m):
        column[i] = table[i, q]
    for i in range(m):
        a = column[i]
        room = values[i] if a > 0.0 else width[i] - values[i]
        size = abs(a)
        ratios[i] = max(room, 0.0) / size if size > _PIVOT else np.inf
    keys = ratios.view(np.int64)
    best = np.int64(_INFINITY) | mask
    for i in range(m):
        best = min(best, (keys[i] & ~mask) | i)
    return int(best & mask) if best < _INFINITY else -1


@kernel
def _exchange(
    table: Array, r: int, q: int, row: Array, column: Array, products: Array, touched: Array
) -> None:
    """Pivot on (r, q); write the new row, and the products of all old columns with column q."""
    m = len(table) - 1
    inverse = 1.0 / column[r]
    for j in range(len(row)):
        row[j] = table[r, j] * inverse
        products[j] = 0.0
    row[q] = abs(inverse)
    # rows that change, in groups of four, the last filled up with the row of zeros
    n = 0
    for i in range(m):
        touched[n] = i
        n += column[i] != 0.0 and i != r
        table[i, q] = 0.0
    touched[n] = touched[n + 1] = touched[n + 2] = m
    for g in range(0, n, 4):
        i0, i1, i2, i3 = touched[g], touched[g + 1], touched[g + 2], touched[g + 3]
        t0, t1, t2, t3 = table[i0], table[i1], table[i2], table[i3]
        f0, f1, f2, f3 = column[i0], column[i1], column[i2], column[i3]
        for j in range(len(row)):
            e = row[j]
            a0, a1, a2, a3 = t0[j], t1[j], t2[j], t3[j]
            t0[j] = a0 - f0 * e
            t1[j] = a1 - f1 * e
            t2[j] = a2 - f2 * e
            t3[j] = a3 - f3 * e
            products[j] += (f0 * a0 + f1 * a1) + (f2 * a2 + f3 * a3)
    for j in range(len(row)):
        table[r, j] = row[j]
