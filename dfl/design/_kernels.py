"""Compiled parts of the criteria: directions, and the two members that are farthest apart.

Members are turned to (d, M) first: sums then run along the lanes of the vector registers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dfl_solvers.kernels import kernel, part


@part
def peaks(turned: Any, largest: Any) -> None:
    """Write the largest size of the entries of (d, M) to (M,)."""
    largest[:] = 0.0
    for k in range(len(turned)):
        for a in range(len(largest)):
            size = abs(turned[k, a])
            if size > largest[a]:
                largest[a] = size


@part
def take_directions(own: Any, normal: Any, least: Any, turned: Any, work: Any, lost: Any) -> None:
    """Write the directions of costs (M, d) to (d, M): projected, of length one, or zero if lost.

    ``normal`` (r, d) is taken off. A member is lost where what is left is at most ``least`` of its
    length. ``work`` is (2, M).
    """
    m, d = own.shape
    factor, square = work[0], work[1]
    for a in range(m):
        for k in range(d):
            turned[k, a] = own[a, k]
    peaks(turned, factor)
    for a in range(m):  # divided by their largest entry, so that no square overflows or vanishes
        factor[a] = 1.0 / factor[a] if factor[a] > 1e-300 else 0.0
    square[:] = 0.0
    for k in range(d):
        for a in range(m):
            turned[k, a] *= factor[a]
            square[a] += turned[k, a] * turned[k, a]
    for a in range(m):
        lost[a] = square[a] == 0.0
        square[a] *= least * least
    for j in range(len(normal)):
        factor[:] = 0.0
        for k in range(d):
            share = normal[j, k]
            for a in range(m):
                factor[a] += share * turned[k, a]
        for k in range(d):
            share = normal[j, k]
            for a in range(m):
                turned[k, a] -= share * factor[a]
    factor[:] = 0.0
    for k in range(d):
        for a in range(m):
            factor[a] += turned[k, a] * turned[k, a]
    for a in range(m):
        lost[a] = lost[a] or factor[a] <= square[a]
        factor[a] = 0.0 if lost[a] else 1.0 / np.sqrt(factor[a])
    for k in range(d):
        for a in range(m):
            turned[k, a] *= factor[a]


@part
def widest(turned: Any, single: Any, work: Any) -> Any:
    """Return the largest distance between two of M points (d, M) with entries of at most one.

    All pairs are compared in single precision, and those that may be the farthest ones again in
    double precision. ``single`` is (d, M) and ``work`` (2, M), of single precision.
    """
    d, m = turned.shape
    product, square = work[0], work[1]
    square[:] = 0.0
    for k in range(d):
        first = turned[k, 0]
        for a in range(m):
            # from the first point on: digits are those of the distances, whatever the points
            single[k, a] = np.float32(turned[k, a] - first)
            square[a] += single[k, a] * single[k, a]
    best, bound = 0.0, np.float32(0.0)
    share = 1.0 - 3e-7 * (d + 10)  # more than single precision can be off by
    for a in range(m - 1):
        # slices: with indices from zero on the compiler uses the vector registers
        rest = product[a + 1 :]
        squares = square[a + 1 :]
        n = m - a - 1
        rest[:] = 0.0
        k = 0
        while k + 4 <= d:
            f0, f1, f2, f3 = single[k, a], single[k + 1, a], single[k + 2, a], single[k + 3, a]
            r0, r1 = single[k, a + 1 :], single[k + 1, a + 1 :]
            r2, r3 = single[k + 2, a + 1 :], single[k + 3, a + 1 :]
            for b in range(n):
                rest[b] += (f0 * r0[b] + f1 * r1[b]) + (f2 * r2[b] + f3 * r3[b])
            k += 4
        while k < d:
            f0, r0 = single[k, a], single[k, a + 1 :]
            for b in range(n):
                rest[b] += f0 * r0[b]
            k += 1
        own, two, top = square[a], np.float32(2.0), np.float32(0.0)
        for b in range(n):
            rest[b] = own + squares[b] - two * rest[b]
            if rest[b] > top:
                top = rest[b]
        if not top > bound:
            continue
        for b in range(n):
            if rest[b] > bound:
                total = 0.0
                for k in range(d):
                    step = turned[k, a] - turned[k, a + 1 + b]
                    total += step * step
                if total > best:
                    best = total
                    bound = np.float32(max(best * share, 0.0))
    return np.sqrt(best)


@kernel
def directions(lo: Any, hi: Any, costs: Any, normal: Any, least: Any, lost: Any) -> None:
    """Replace costs (n, M, d) by their directions, and mark those (n, M) that have none."""
    _, m, d = costs.shape
    turned, work = np.empty((d, m)), np.empty((2, m))
    for i in range(lo, hi):
        take_directions(costs[i], normal, least, turned, work, lost[i])
        for a in range(m):
            for k in range(d):
                costs[i, a, k] = turned[k, a]


@kernel
def farthest_directions(
    lo: Any, hi: Any, costs: Any, normal: Any, least: Any, lost: Any, found: Any
) -> None:
    """Write the largest distance between directions of the members (n, M, d) to (n,)."""
    _, m, d = costs.shape
    turned, work = np.empty((d, m)), np.empty((2, m))
    single, single_work = np.empty((d, m), np.float32), np.empty((2, m), np.float32)
    for i in range(lo, hi):
        take_directions(costs[i], normal, least, turned, work, lost[i])
        found[i] = widest(turned, single, single_work)


@kernel
def around_mean(
    lo: Any, hi: Any, costs: Any, normal: Any, least: Any, lost: Any, found: Any
) -> None:
    """Write twice the largest distance of a direction (n, M, d) from the mean one to (n,)."""
    _, m, d = costs.shape
    turned, work = np.empty((d, m)), np.empty((2, m))
    for i in range(lo, hi):
        take_directions(costs[i], normal, least, turned, work, lost[i])
        square = work[0]
        square[:] = 0.0
        for k in range(d):
            mean = turned[k].sum() / m
            for a in range(m):
                step = turned[k, a] - mean
                square[a] += step * step
        found[i] = min(2.0, 2.0 * np.sqrt(square.max()))


@kernel
def farthest(lo: Any, hi: Any, members: Any, found: Any) -> None:
    """Write the largest distance between two of the members (n, M, d) of each row to (n,)."""
    _, m, d = members.shape
    turned, largest = np.empty((d, m)), np.empty(m)
    single, single_work = np.empty((d, m), np.float32), np.empty((2, m), np.float32)
    for i in range(lo, hi):
        for a in range(m):
            for k in range(d):
                turned[k, a] = members[i, a, k] - members[i, 0, k]
        peaks(turned, largest)
        size = largest.max()
        if size > 0.0:
            turned /= size
        found[i] = size * widest(turned, single, single_work)
