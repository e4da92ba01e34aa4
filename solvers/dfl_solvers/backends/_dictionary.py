"""Linear programs as dictionaries of bounded variables, and the proof of an optimum, compiled."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array

# reduced costs of the wrong sign that pass the proof, relative to the largest cost
_DUAL = 1e-9
# in units of the scaled variables: what is feasible, what is at a bound, and what tight rows may
# miss their bounds by before they are corrected
_PRIMAL = 1e-9
_SNAP = 1e-12
_ROUNDING = 1e-13


class Dictionary(NamedTuple):
    """A linear program as ``rows = constant - matrix @ outer`` over scaled variables.

    Each of the k outer variables lies in [0, span] and is 0 at the vertex of the dictionary; so do
    the first m of the rows; the others are free. Variable v is outer for v < k, else row v - k.
    """

    matrix: Array  # (rows, k)
    transposed: Array  # (k, rows)
    constant: Array  # (rows,)
    spans: Array  # (k + rows,); infinite where there is no second bound
    moved: Array  # (k + m,) spans in the search, see Vertex
    # structural variables: x = base + scale * variable[source], and base alone where source < 0
    source: Array
    scale: Array
    base: Array
    lower: Array
    upper: Array


class Vertex(NamedTuple):
    """A basis with its dictionary: where the search for a better vertex starts.

    A flipped variable is counted down from its upper bound, so every outer variable is at 0. In the
    search, bounds of rows are moved outward by next to nothing, each by another amount: then no
    vertex is degenerate and no search cycles. ``exact`` follows the bounds as they are.
    """

    table: Array  # (m + 1, k); the last row is zero
    weights: Array  # (k,) 1 + squared norms of the columns
    values: Array  # (m,) of the inner variables
    exact: Array  # (m,)
    inner: Array  # (m,) basic variables
    outer: Array  # (k,) nonbasic variables
    flipped: Array  # (k + m,)


@kernel
def copy_of(vertex: Vertex) -> Vertex:
    """Copy a vertex."""
    return Vertex(
        vertex.table.copy(),
        vertex.weights.copy(),
        vertex.values.copy(),
        vertex.exact.copy(),
        vertex.inner.copy(),
        vertex.outer.copy(),
        vertex.flipped.copy(),
    )


@kernel
def assign(vertex: Vertex, other: Vertex) -> None:
    """Overwrite a vertex; by loops, since slices take many seconds to compile."""
    table, original = vertex.table, other.table
    m, k = len(vertex.inner), len(vertex.outer)
    for i in range(m):
        for j in range(k):
            table[i, j] = original[i, j]
    for i in range(m):
        vertex.values[i] = other.values[i]
        vertex.exact[i] = other.exact[i]
        vertex.inner[i] = other.inner[i]
    for j in range(k):
        vertex.weights[j] = other.weights[j]
        vertex.outer[j] = other.outer[j]
    for v in range(k + m):
        vertex.flipped[v] = other.flipped[v]


@kernel
def price_outer(objective: Array, dictionary: Dictionary, costs: Array) -> bool:
    """Express costs of x by the outer variables, the largest near 1; False if not finite."""
    source, scale, matrix = dictionary.source, dictionary.scale, dictionary.matrix
    k = len(costs)
    largest = 0.0
    for j in range(len(objective)):
        if source[j] >= 0:
            largest = max(largest, abs(objective[j] * scale[j]))
    for q in range(k):
        costs[q] = 0.0
    if largest == 0.0:
        return True
    if not largest < np.inf:
        return False
    # a power of two, so that ties stay ties; in two parts, since it may exceed all numbers
    exponent = -math.frexp(largest)[1]
    part = math.ldexp(1.0, exponent // 2)
    rest = math.ldexp(1.0, exponent - exponent // 2)
    for j in range(len(objective)):
        v = source[j]
        if v < 0 or objective[j] == 0.0:
            continue
        c = objective[j] * scale[j] * part * rest
        if v < k:
            costs[v] += c
        else:
            for q in range(k):
                costs[q] -= c * matrix[v - k, q]
    return True


@kernel
def price_vertex(costs: Array, vertex: Vertex, d: Array) -> None:
    """Express costs of the outer variables of the dictionary by those of the vertex."""
    table, inner, outer, flipped = vertex.table, vertex.inner, vertex.outer, vertex.flipped
    k = len(costs)
    for j in range(k):
        v = outer[j]
        d[j] = 0.0
        if v < k:
            d[j] = -costs[v] if flipped[v] else costs[v]
    for i in range(len(inner)):
        v = inner[i]
        if v < k:
            c = -costs[v] if flipped[v] else costs[v]
            for j in range(k):
                d[j] -= c * table[i, j]


@kernel
def prove(dictionary: Dictionary, vertex: Vertex, costs: Array, d: Array, values: Array) -> bool:
    """Compute all variables at a vertex; tell whether the first dictionary proves it optimal."""
    spans = dictionary.spans
    inner, outer, flipped = vertex.inner, vertex.outer, vertex.flipped
    k, m = len(outer), len(inner)
    for j in range(k):
        v = outer[j]
        if v < k:
            values[v] = spans[v] if flipped[v] else 0.0
    for i in range(m):
        v = inner[i]
        if v < k:
            values[v] = spans[v] - vertex.exact[i] if flipped[v] else vertex.exact[i]
    _compute_rows(dictionary, values)
    missed = 0.0
    for j in range(k):
        v = outer[j]
        if v >= k:
            missed = max(missed, abs(values[v] - (spans[v] if flipped[v] else 0.0)))
    if missed > _ROUNDING:
        _correct(spans, vertex, values)
        _compute_rows(dictionary, values)
    for v in range(k + m):
        slack = _PRIMAL * (1.0 + abs(values[v]))
        if not (values[v] >= -slack and values[v] <= spans[v] + slack):
            return False
    # reduced costs of the first dictionary, by the multipliers of its rows; d is free after that
    multipliers = vertex.weights
    for j in range(k):
        multipliers[j] = -d[j] if flipped[outer[j]] else d[j]
    for q in range(k):
        d[q] = costs[q]
    for j in range(k):
        v = outer[j]
        y = multipliers[j]
        if v >= k and y != 0.0:
            for q in range(k):
                d[q] += y * dictionary.matrix[v - k, q]
    for j in range(k):
        v = outer[j]
        if v < k and not (-d[v] if flipped[v] else d[v]) >= -_DUAL:
            return False
    for i in range(m):
        v = inner[i]
        if v < k and not abs(d[v]) <= _DUAL:
            return False
    return True


@kernel
def _compute_rows(dictionary: Dictionary, values: Array) -> None:
    """Compute the rows from the outer variables."""
    transposed, constant = dictionary.transposed, dictionary.constant
    k = len(transposed)
    for i in range(len(constant)):
        values[k + i] = constant[i]
    for q in range(k):
        value = values[q]
        if value != 0.0:
            for i in range(len(constant)):
                values[k + i] -= value * transposed[q, i]


@kernel
def _correct(spans: Array, vertex: Vertex, values: Array) -> None:
    """Correct the inner variables for what tight rows miss their bounds by."""
    table, inner, outer, flipped = vertex.table, vertex.inner, vertex.outer, vertex.flipped
    k = len(outer)
    for j in range(k):
        v = outer[j]
        if v < k:
            continue
        missed = spans[v] - values[v] if flipped[v] else values[v]
        for i in range(len(inner)):
            w = inner[i]
            if w < k:
                values[w] += -table[i, j] * missed if flipped[w] else table[i, j] * missed


@kernel
def write(dictionary: Dictionary, values: Array, x: Array) -> None:
    """Write the structural variables; those at a bound are exactly there."""
    for j in range(len(x)):
        v = dictionary.source[j]
        x[j] = dictionary.base[j]
        if v < 0:
            continue
        value, span, scale = values[v], dictionary.spans[v], dictionary.scale[j]
        if abs(value - span) <= _SNAP:
            x[j] = dictionary.upper[j] if scale > 0.0 else dictionary.lower[j]
        elif abs(value) > _SNAP:
            x[j] = min(max(x[j] + scale * value, dictionary.lower[j]), dictionary.upper[j])
