"""The linear relaxation of a knapsack with several capacities, compiled."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import part
from dfl_solvers.oracle import Array

# values within this of a basis's bounds or of an integer count as there
_SMALL = 1e-9


@part
def reset(inverse: Array, basis: Array, row_of: Array, k: int) -> None:
    """Start again from the basis of slacks: variable k + i is the slack of row i."""
    m = len(basis)
    row_of[:k] = -1
    for i in range(m):
        for q in range(m):
            inverse[i, q] = 0.0
        inverse[i, i] = 1.0
        basis[i] = k + i
        row_of[k + i] = i


@part
def dual_bound(
    value: Array, rows: Array, fixed: Array, k: int, free: Array, taken: float, inverse: Array,
    basis: Array, dual: Array, reduced: Array,
) -> float:  # fmt: skip
    """Compute duals and reduced costs of the basis afresh; return their bound, safe for any basis.

    ``free`` is what the items fixed at one leave of each capacity, ``taken`` their value.
    """
    m = len(basis)
    for i in range(m):
        dual[i] = 0.0
    for p in range(m):
        if basis[p] < k:
            v = value[basis[p]]
            for i in range(m):
                dual[i] += v * inverse[p, i]
    bound = taken
    for j in range(k):
        reduced[j] = value[j]
    for i in range(m):
        u = dual[i]
        if u > 0.0:
            bound += u * free[i]
            for j in range(k):
                reduced[j] -= u * rows[i, j]
        else:
            dual[i] = 0.0
    for j in range(k):
        bound += max(reduced[j], 0.0) if fixed[j] < 0 else 0.0
    return bound


@part
def relax(
    value: Array, rows: Array, fixed: Array, k: int, free: Array, taken: float, cut: float,
    limit: int, inverse: Array, basis: Array, row_of: Array, at: Array, dual: Array,
    reduced: Array, primal: Array, left: Array, along: Array,
) -> float:  # fmt: skip
    """Solve the linear relaxation by the dual simplex method with long steps; return its bound.

    Stops as soon as the bound is down to ``cut``. Items are between 0 and 1, those fixed at one
    are already out of ``free``. On return, ``primal`` holds the values of the basis.
    """
    m = len(basis)
    for pivot in range(limit + 1):
        bound = dual_bound(value, rows, fixed, k, free, taken, inverse, basis, dual, reduced)
        if bound <= cut:
            return bound
        for i in range(m):
            left[i] = free[i]
        for j in range(k):
            if row_of[j] < 0:
                if fixed[j] < 0:
                    if reduced[j] > _SMALL:
                        at[j] = 1
                    elif reduced[j] < -_SMALL:
                        at[j] = 0
                    if at[j] == 1:
                        for i in range(m):
                            left[i] -= rows[i, j]
            elif fixed[j] == 1:
                for i in range(m):
                    left[i] += rows[i, j]
        leaving = -1
        worst = _SMALL
        sign = 1.0
        for p in range(m):
            x = 0.0
            for i in range(m):
                x += inverse[p, i] * left[i]
            primal[p] = x
            j = basis[p]
            low = 1.0 if j < k and fixed[j] == 1 else 0.0
            high = np.inf
            if j < k:
                high = 0.0 if fixed[j] == 0 else 1.0
            if low - x > worst:
                worst = low - x
                leaving = p
                sign = -1.0
            elif x - high > worst:
                worst = x - high
                leaving = p
                sign = 1.0
        if leaving < 0 or pivot == limit:
            return bound
        # how each variable moves the leaving one
        for j in range(k):
            along[j] = 0.0
        for i in range(m):
            a = sign * inverse[leaving, i]
            along[k + i] = a
            for j in range(k):
                along[j] += a * rows[i, j]
        slope = worst
        entering = -1
        while True:
            entering = -1
            least = np.inf
            for j in range(k):
                if row_of[j] < 0 and fixed[j] < 0:
                    a = along[j] if at[j] == 0 else -along[j]
                    if a > _SMALL and abs(reduced[j]) < least * a:
                        least = abs(reduced[j]) / a
                        entering = j
            for i in range(m):
                a = along[k + i] if row_of[k + i] < 0 else 0.0
                if a > _SMALL and dual[i] < least * a:
                    least = dual[i] / a
                    entering = k + i
            if entering < 0 or entering >= k:
                break
            slope -= abs(along[entering])
            if slope <= 0.0:
                break
            # past its breakpoint: to its other bound
            at[entering] = 1 - at[entering]
            reduced[entering] = 0.0
            along[entering] = 0.0
        if entering < 0:
            return bound
        out = basis[leaving]
        row_of[out] = -1
        if out < k:
            at[out] = 1 if sign > 0.0 else 0
        pivot_value = sign * along[entering]
        for q in range(m):
            inverse[leaving, q] /= pivot_value
        for p in range(m):
            if p != leaving:
                a = inverse[p, entering - k] if entering >= k else 0.0
                if entering < k:
                    for i in range(m):
                        a += inverse[p, i] * rows[i, entering]
                for q in range(m):
                    inverse[p, q] -= a * inverse[leaving, q]
        basis[leaving] = entering
        row_of[entering] = leaving
    return bound


@part
def branch(basis: Array, primal: Array, fixed: Array, k: int) -> tuple[int, int]:
    """Return the free item nearest to one half and where to send it first; -1 if none is free."""
    chosen = -1
    first = 1
    most = _SMALL
    for p in range(len(basis)):
        j = basis[p]
        if j < k and fixed[j] < 0:
            part = min(primal[p], 1.0 - primal[p])
            if part > most:
                most = part
                chosen = j
                first = 1 if primal[p] > 0.5 else 0
    if chosen < 0:
        # all are integral, yet the bound is not reached: rounding errors, or pivots ran out
        for j in range(k):
            if fixed[j] < 0:
                return j, 1
    return chosen, first


@part
def round_off(
    value: Array, rows: Array, fixed: Array, k: int, free: Array, taken: float, basis: Array,
    row_of: Array, at: Array, primal: Array, left: Array, chosen: Array,
) -> float:  # fmt: skip
    """Round the relaxed decision down and fill up with what fits; return its value, -1 if none."""
    m = len(basis)
    for i in range(m):
        left[i] = free[i]
    for j in range(k):
        chosen[j] = fixed[j] == 1
        if fixed[j] < 0:
            p = row_of[j]
            if (p < 0 and at[j] == 1) or (p >= 0 and primal[p] > 1.0 - _SMALL):
                chosen[j] = True
                taken += value[j]
                for i in range(m):
                    left[i] -= rows[i, j]
    for i in range(m):
        if left[i] < 0.0:
            return -1.0
    for j in range(k):
        if fixed[j] < 0 and not chosen[j]:
            fits = True
            for i in range(m):
                if rows[i, j] > left[i]:
                    fits = False
                    break
            if fits:
                chosen[j] = True
                taken += value[j]
                for i in range(m):
                    left[i] -= rows[i, j]
    return taken


@part
def fix(
    value: Array, rows: Array, fixed: Array, k: int, free: Array, taken: float, gap: float,
    row_of: Array, reduced: Array,
) -> float:  # fmt: skip
    """Fix the items whose other value costs the bound more than ``gap``; return the value taken."""
    m = len(rows)
    for j in range(k):
        if fixed[j] < 0 and row_of[j] < 0:
            if reduced[j] >= gap:
                fixed[j] = 1
                taken += value[j]
                for i in range(m):
                    free[i] -= rows[i, j]
            elif reduced[j] <= -gap:
                fixed[j] = 0
    for j in range(k):
        if fixed[j] < 0:
            for i in range(m):
                if rows[i, j] > free[i]:
                    fixed[j] = 0
                    break
    return taken
