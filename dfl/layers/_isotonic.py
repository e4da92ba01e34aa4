"""Projection on permutahedra by isotonic regression: pool adjacent violators, compiled."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import kernel


@kernel
def project(lo, hi, points, weights, mask, found, order, first):  # type: ignore[no-untyped-def]
    """Project points (n, d) on the hulls of the permutations of weights (1 or n, d).

    Weights descend. Of a row with m entries in ``mask`` (n, d), the m largest are permuted; the
    other entries of ``found`` are zero. ``order`` (n, d) gets the places of the m points, the
    largest first, then the others; ``first`` (n, d) where in this order the block of each begins.
    """
    d = points.shape[1]
    sums, sizes = np.empty(d), np.empty(d, np.int64)
    for b in range(lo, hi):
        own = weights[min(b, len(weights) - 1)]
        sorted_places = np.argsort(-points[b], kind="mergesort")
        m = 0
        for j in sorted_places:
            if mask[b, j]:
                order[b, m] = j
                m += 1
        last = m
        for j in range(d):
            if not mask[b, j]:
                order[b, last] = j
                first[b, last] = last
                found[b, j] = 0.0
                last += 1
        # the nearest descending numbers to the differences: means of blocks that descend
        blocks = 0
        for i in range(m):
            sums[blocks] = points[b, order[b, i]] - own[i]
            sizes[blocks] = 1
            blocks += 1
            while (
                blocks > 1
                and sums[blocks - 2] * sizes[blocks - 1] <= sums[blocks - 1] * sizes[blocks - 2]
            ):
                blocks -= 1
                sums[blocks - 1] += sums[blocks]
                sizes[blocks - 1] += sizes[blocks]
        start = 0
        for k in range(blocks):
            mean = sums[k] / sizes[k]
            for i in range(start, start + sizes[k]):
                j = order[b, i]
                found[b, j] = points[b, j] - mean
                first[b, i] = start
            start += sizes[k]


@kernel
def average(lo, hi, values, order, first, found):  # type: ignore[no-untyped-def]
    """Average values (n, d) over the blocks of a projection, in the places of the points."""
    d = values.shape[1]
    for b in range(lo, hi):
        start = 0
        while start < d:
            stop, total = start, 0.0
            while stop < d and first[b, stop] == start:
                total += values[b, order[b, stop]]
                stop += 1
            for i in range(start, stop):
                found[b, order[b, i]] = total / (stop - start)
            start = stop
