"""Matchings with shares of two kinds of pairs: branch and bound by a multiplier, compiled.

A pair falls short of the share of its own kind by s - 1, of the other's by that share; a matching
must fall short of neither in sum. Shares add up to one at most, so only one kind can be missed, and
one multiplier prices it. The bound is concave and piecewise linear in the multiplier. Its pieces
are matchings, and one that misses the share and one that meets it enclose the best: where their
lines meet, the next matching is found, until it lies on both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array, Status
from dfl_solvers.problems._diverse_patch import Case, approach, copy_pairs, count, misses
from dfl_solvers.problems._hungarian import _augment, _reduce_columns, _reduce_rows

# compiled code takes plain numbers
_OPTIMAL, _FAILED = int(Status.OPTIMAL), int(Status.FAILED)
# what counts as equal, relative to the largest cost times the number of pairs
_ROUNDING = 1e-12
# multipliers that a bound may try; a handful is enough
_STEPS = 100


class Work(NamedTuple):
    """Memory of an assignment problem; columns are padded by infinite costs to whole vectors."""

    cost: Array
    v: Array  # potentials of the columns
    row_of: Array
    rank: Array
    column_of: Array
    free: Array
    key: Array
    distance: Array
    previous: Array
    done: Array


@kernel
def search(
    lo: int,
    hi: int,
    rows: int,
    cols: int,
    costs: Array,
    same: Array,
    same_share: float,
    different_share: float,
    limit: int,
    decisions: Array,
    status: Array,
) -> None:
    """Write the best matching of each instance; those that take too many nodes have failed.

    Depth first: of the two matchings that enclose the best bound of a node, the one that misses the
    share has a pair that the other has not. Without this pair, and with it, one of them is gone.
    """
    n = max(rows, cols)
    width = (n + 3) // 4 * 4
    work = Work(
        np.full((n, width), np.inf),
        np.zeros(width),
        np.empty(width, np.int64),
        np.arange(width),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.empty(width, np.int64),
        np.empty(width),
        np.empty(width, np.int64),
        np.empty(width, np.int64),
    )
    # the columns of rows, and which are really paired: in the last matching, in the one that misses
    # the share, and in the one that meets it
    paired = np.empty(n, np.bool_)
    outer, outer_paired = np.empty(n, np.int64), np.empty(n, np.bool_)
    inner, inner_paired = np.empty(n, np.int64), np.empty(n, np.bool_)
    # pairs that are forbidden (-1) or forced (1), those that were decided upon, and multipliers,
    # negative for the share of different fields
    fixed = np.zeros((rows, cols), np.int8)
    path = np.empty((rows * cols, 2), np.int64)
    start = np.empty(rows * cols + 1)
    for b in range(lo, hi):
        case = Case(
            costs[b].reshape(rows, cols),
            same[b if len(same) > 1 else 0],
            same_share,
            different_share,
        )
        chosen = decisions[b].reshape(rows, cols)
        chosen[:] = 0
        best = 0.0  # no pairs at all
        fixed[:] = 0
        largest = np.abs(case.given).max()
        rounding = _ROUNDING * largest * n
        # without a price
        n_same, n_different, total = _match(case, fixed, True, 0.0, largest, work, paired)
        miss = misses(case, n_same, n_different)
        status[b] = _OPTIMAL
        if miss == 0:
            copy_pairs(work.column_of, paired, chosen)
            continue
        depth = 0
        start[0] = 0.1 * largest * miss
        for node in range(limit + 1):
            if node == limit:
                status[b] = _FAILED
                break
            wanted, multiplier = start[depth] > 0.0, abs(start[depth])
            share = same_share if wanted else different_share
            has_outer, has_inner, closed = False, False, False
            outer_total, missed, inner_total, spare = 0.0, 0.0, 0.0, 0.0
            for step in range(_STEPS):
                n_same, n_different, total = _match(
                    case, fixed, wanted, multiplier, largest, work, paired
                )
                short = share * (n_same + n_different) - (n_same if wanted else n_different)
                value = total + multiplier * short
                miss = misses(case, n_same, n_different)
                if miss == 0 and total < best:
                    best = total
                    copy_pairs(work.column_of, paired, chosen)
                closed = value >= best - rounding
                if closed:
                    break
                line = outer_total + multiplier * missed
                if has_outer and has_inner and value >= line - rounding:
                    break
                if short > 0.0:
                    outer_total, missed, has_outer = total, short, True
                    outer[:], outer_paired[:] = work.column_of, paired
                else:
                    inner_total, spare, has_inner = total, short, True
                    inner[:], inner_paired[:] = work.column_of, paired
                if has_outer and has_inner:
                    multiplier = (inner_total - outer_total) / (missed - spare)
                elif has_outer:
                    multiplier = 2.0 * multiplier + 0.1 * largest
                elif multiplier > 0.0:
                    multiplier = 0.8 * multiplier if step == 0 else 0.0
                else:  # here the share is met without a price, but the other is missed
                    wanted = not wanted
                    share = same_share if wanted else different_share
                    missed = share * (n_same + n_different) - (n_same if wanted else n_different)
                    outer_total, has_outer, has_inner = total, True, False
                    outer[:], outer_paired[:] = work.column_of, paired
                    multiplier = 0.1 * largest
            if not closed:
                best = approach(case, outer, outer_paired, inner, inner_paired, best, chosen)
                closed = value >= best - rounding
            if closed:
                while depth > 0 and fixed[path[depth - 1, 0], path[depth - 1, 1]] > 0:
                    depth -= 1
                    fixed[path[depth, 0], path[depth, 1]] = 0
                if depth == 0:
                    break
                fixed[path[depth - 1, 0], path[depth - 1, 1]] = 1
                start[depth] = start[depth - 1]
                continue
            i, j = _difference(case, outer, outer_paired, inner, inner_paired)
            fixed[i, j] = -1
            path[depth] = i, j
            depth += 1
            start[depth] = multiplier if wanted else -multiplier


@kernel
def _match(
    case: Case,
    fixed: Array,
    wanted: bool,
    multiplier: float,
    largest: float,
    work: Work,
    paired: Array,
) -> tuple[int, int, float]:
    """Find the best matching at a price of the share; return its pairs of both kinds and costs."""
    rows, cols = case.given.shape
    cost, column_of = work.cost, work.column_of
    n = len(column_of)
    share = case.same_share if wanted else case.different_share
    # forced pairs are cheaper than all others together
    forced = 4.0 * n * (largest + multiplier)
    for i in range(n):
        for j in range(n):
            price = 0.0
            if i < rows and j < cols and fixed[i, j] >= 0:
                price = case.given[i, j] + multiplier * (share - (case.kind[i, j] == wanted))
                price = price - forced if fixed[i, j] > 0 else min(0.0, price)
            cost[i, j] = price + 0.0  # -0.0 becomes 0.0: its bits are in order
    v, row_of, rank, free, previous = work.v, work.row_of, work.rank, work.free, work.previous
    n_free = _reduce_columns(n, cost, v, row_of, rank, column_of, free, previous)
    n_free = _reduce_rows(n, cost, v, row_of, rank, column_of, free, n_free, work.key)
    for f in range(n_free):
        _augment(
            free[f], cost, v, row_of, rank, column_of, work.key, work.distance, previous, work.done
        )
    for i in range(n):
        paired[i] = cost[i, column_of[i]] < 0.0  # others are paired for nothing
    return count(case, column_of, paired)


@kernel
def _difference(
    case: Case, outer: Array, outer_paired: Array, inner: Array, inner_paired: Array
) -> tuple[int, int]:
    """Return the best pair that the outer matching has and the inner has not, or else any pair."""
    row, column, least = -1, -1, 0.0
    for i in range(len(outer)):
        j = outer[i]
        shared = inner_paired[i] and inner[i] == j
        if outer_paired[i] and not shared and (row < 0 or case.given[i, j] < least):
            row, column, least = i, j, case.given[i, j]
    if row < 0:  # then all its pairs are in the inner one, which has more
        for i in range(len(outer)):
            if inner_paired[i] and not outer_paired[i]:
                row, column = i, inner[i]
    return row, column
