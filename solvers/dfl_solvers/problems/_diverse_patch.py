"""Matchings between two that a multiplier makes equally good, compiled.

One of the two has too few pairs of a kind, the other has enough. Together their pairs form cycles,
over rows and columns by turns, once those that are left over are paired for nothing. A cycle may
be as in the one or as in the other; or a part of it may be as in the other, if one pair closes it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array

# a share may be missed by so many pairs, so that decimals add up
MISSED = 1e-9


class Case(NamedTuple):
    """An instance: costs and kinds (rows, cols) of pairs, and the least shares of both kinds."""

    given: Array
    kind: Array
    same_share: float
    different_share: float


class Pair(NamedTuple):
    """Two matchings by the column of each row, whether it is a pair, and the row of each column."""

    columns: Array
    paired: Array
    row_of: Array
    toward: Array
    toward_paired: Array


@kernel
def misses(case: Case, n_same: int, n_different: int) -> int:
    """Return 1 if there are too few pairs of the same kind, -1 if too few others, 0 if neither."""
    n = n_same + n_different
    if case.same_share * n - n_same > MISSED:
        return 1
    return -1 if case.different_share * n - n_different > MISSED else 0


@kernel
def count(case: Case, columns: Array, paired: Array) -> tuple[int, int, float]:
    """Return how many pairs a matching has of either kind, and what they cost."""
    n_same, n_different, total = 0, 0, 0.0
    for i in range(len(columns)):
        if paired[i]:
            n_same += case.kind[i, columns[i]]
            n_different += not case.kind[i, columns[i]]
            total += case.given[i, columns[i]]
    return n_same, n_different, total


@kernel
def copy_pairs(columns: Array, paired: Array, chosen: Array) -> None:
    """Write a matching as zeros and ones."""
    chosen[:] = 0
    for i in range(len(columns)):
        if paired[i]:
            chosen[i, columns[i]] = 1


@kernel
def approach(
    case: Case,
    outer: Array,
    outer_paired: Array,
    toward: Array,
    toward_paired: Array,
    best: float,
    chosen: Array,
) -> float:
    """Keep the cheapest matching found between two ones if it costs less than the best one known.

    ``outer`` and ``toward`` (n,) are the column of each row in the one that misses a share and in
    the one that does not; not all rows are really paired.
    """
    n = len(outer)
    row_of = np.empty(n, np.int64)
    for i in range(n):
        row_of[outer[i]] = i
    two = Pair(outer.copy(), outer_paired.copy(), row_of, toward, toward_paired)
    n_same, n_different, total = count(case, outer, outer_paired)
    miss = misses(case, n_same, n_different)
    share = case.same_share if miss > 0 else case.different_share
    # cycles by their first rows; those that would do more than is needed are left for the end
    seen = np.zeros(n, np.bool_)
    left = np.empty(n, np.int64)
    n_left = 0
    for first in range(n):
        if seen[first]:
            continue
        best = _cut(first, case, two, n_same, n_different, total, best, chosen)
        same, different, cost = 0, 0, 0.0
        i = first
        while not seen[i]:
            seen[i] = True
            for sign, j, on in (
                (-1, two.columns[i], two.paired[i]),
                (1, toward[i], toward_paired[i]),
            ):
                if on:
                    same += sign * case.kind[i, j]
                    different += sign * (not case.kind[i, j])
                    cost += sign * case.given[i, j]
            i = row_of[toward[i]]
        if misses(case, n_same + same, n_different + different) != miss:
            left[n_left] = first
            n_left += 1
        elif (same if miss > 0 else different) > share * (same + different):
            n_same += same
            n_different += different
            total += cost
            i = first
            while True:
                two.columns[i], two.paired[i] = toward[i], toward_paired[i]
                i = row_of[toward[i]]
                if i == first:
                    break
    for k in range(n_left):
        best = _cut(left[k], case, two, n_same, n_different, total, best, chosen)
    return best


@kernel
def _cut(
    first: int,
    case: Case,
    two: Pair,
    n_same: int,
    n_different: int,
    total: float,
    best: float,
    chosen: Array,
) -> float:
    """Try all parts of the cycle of a row, each with and without the pair that closes it."""
    rows, cols = chosen.shape
    given, kind = case.given, case.kind
    start = first
    while True:
        # rows from start on take their columns of the other matching, one more at a time
        free = two.columns[start]
        same, different, cost = n_same, n_different, total
        if two.paired[start]:
            same -= kind[start, free]
            different -= not kind[start, free]
            cost -= given[start, free]
        i = start
        while True:
            j = two.toward[i]
            if two.toward_paired[i]:
                same += kind[i, j]
                different += not kind[i, j]
                cost += given[i, j]
            end = two.row_of[j]  # its column is taken now
            if end != start and two.paired[end]:
                same -= kind[end, j]
                different -= not kind[end, j]
                cost -= given[end, j]
            if cost < best and misses(case, same, different) == 0:
                best = cost
                _write(start, end, -1, two, chosen)
            if end != start and end < rows and free < cols:
                closed = cost + given[end, free]
                more = same + kind[end, free], different + (not kind[end, free])
                if closed < best and misses(case, *more) == 0:
                    best = closed
                    _write(start, end, free, two, chosen)
            i = end
            if i == start:
                break
        start = two.row_of[two.toward[start]]
        if start == first:
            break
    return best


@kernel
def _write(start: int, end: int, closing: int, two: Pair, chosen: Array) -> None:
    """Write a matching whose rows from start to before end are as in the other one."""
    copy_pairs(two.columns, two.paired, chosen)
    if two.paired[end]:
        chosen[end, two.columns[end]] = 0
    for value in (0, 1):
        i = start
        while True:
            if value == 0 and two.paired[i]:
                chosen[i, two.columns[i]] = 0
            if value == 1 and two.toward_paired[i]:
                chosen[i, two.toward[i]] = 1
            i = two.row_of[two.toward[i]]
            if i == end:
                break
    if closing >= 0:
        chosen[end, closing] = 1
