"""Knapsacks with few items left: the sums of two halves of them, joined; compiled."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from dfl_solvers.kernels import part
from dfl_solvers.oracle import Array
from dfl_solvers.problems._knapsack_items import cut_of, sort

# gain, loss and changed items (as bits) of each state, by rising gain
States: TypeAlias = tuple[Array, Array, Array]

# items that each half may have: lists of 262 144 states, some 20 MiB in all
_HALF = 18
# pairs tried until branching is the better way: some tens of milliseconds
_PAIRS = 20_000_000
# states in a cell, on average; and cells at most
_PER_CELL, _CELLS = 16, 256
# what sums of the same values may differ by in another order; values are at most one
_NOISE = 1e-12


@part
def join(
    v: Array, rows: Array, fixed: Array, k: int, free: Array, taken: float, dual: Array,
    found: float, step: float, chosen: Array,
) -> tuple[bool, float]:  # fmt: skip
    """Search the items left, if few, by lists of what each half of them may change.

    Against the decision that takes the items of positive reduced cost, a change gains value, and
    loses against the bound what its items' reduced costs say. A state is a set of changes in one
    half that leaves the bound above the best value found. Two states are a better decision if
    their gains suffice and all rows hold: sorted by gain, and by one row into cells, few pairs have
    to be tried. Return whether the search ended, and the best value; ``chosen`` is written where
    that is better than ``found``.
    """
    m = len(rows)
    items, gain, loss = np.empty(k, np.int64), np.empty(k), np.empty(k)
    moves, left, over = np.empty((m, k)), np.empty(m), np.empty(m)
    count = 0
    base = taken
    for i in range(m):
        left[i] = free[i]
    for j in range(k):
        if fixed[j] < 0:
            reduced = v[j]
            for i in range(m):
                reduced -= dual[i] * rows[i, j]
            sign = -1.0 if reduced > 0.0 else 1.0
            for i in range(m):
                moves[i, j] = sign * rows[i, j]
            if reduced > 0.0:
                base += v[j]
                for i in range(m):
                    left[i] -= rows[i, j]
            gain[j], loss[j] = sign * v[j], abs(reduced)
            items[count] = j
            count += 1
    if count > 2 * _HALF:
        return False, found
    # to each half its share of large losses, which keep the lists short
    sort(items, loss, count)
    one, two = items[:count:2].copy(), items[1:count:2].copy()
    most = 0.0  # what all rows together can add to the base
    row = 0
    for i in range(m):
        most += dual[i] * left[i]
        if dual[i] * rows[i, :k].sum() > dual[row] * rows[row, :k].sum():
            row = i
    cut = cut_of(found, step)
    gap = base + most - cut + _NOISE
    if gap < 0.0:
        return True, found
    n, states = _list(one, len(one), gain, loss, gap)
    gains, losses, bits, moved, start, _, _ = _into_cells(
        states, n, _tables(one, len(one), moves), row
    )
    n, states = _list(two, len(two), gain, loss, gap)
    other_gains, _, other_bits, other_moved, other_start, low, rate = _into_cells(
        states, n, _tables(two, len(two), moves), row
    )
    last = len(other_start) - 2
    narrow = 1.0 / dual[row] if dual[row] > 0.0 else 1e300
    best, best_other = -1, -1
    pairs = 0
    for own in range(len(start) - 1):
        at = other_start[1:].copy()
        for a in range(start[own], start[own + 1]):
            rest = base + most - losses[a] + _NOISE  # bound of what the other half makes of it
            for i in range(m):
                over[i] = left[i] - moved[i, a]
            end = (over[row] - low) * rate
            if end < 0.0 or rest <= cut:
                continue
            first = int(min(max((over[row] - (rest - cut) * narrow - low) * rate, 0.0), last))
            want, top = cut - base - gains[a], rest - base - gains[a]
            for c in range(first, int(min(end, last)) + 1):
                q = at[c]
                while q > other_start[c] and other_gains[q - 1] > want:
                    q -= 1
                while q < other_start[c + 1] and other_gains[q] <= want:
                    q += 1
                at[c] = q
                while q < other_start[c + 1] and other_gains[q] <= top:
                    pairs += 1
                    fits = other_gains[q] > want
                    for i in range(m):
                        if other_moved[i, q] > over[i]:
                            fits = False
                            break
                    if fits:
                        found = base + gains[a] + other_gains[q]
                        cut = cut_of(found, step)
                        want = cut - base - gains[a]
                        best, best_other = bits[a], other_bits[q]
                    q += 1
        if pairs > _PAIRS:
            break
    if best >= 0:
        for j in range(k):
            chosen[j] = fixed[j] == 1
        for p in range(len(one)):
            chosen[one[p]] = (gain[one[p]] < 0.0) != (best >> p & 1 == 1)
        for p in range(len(two)):
            chosen[two[p]] = (gain[two[p]] < 0.0) != (best_other >> p & 1 == 1)
    return pairs <= _PAIRS, found


@part
def _list(items: Array, k: int, gain: Array, loss: Array, gap: float) -> tuple[int, States]:
    """List the changes of k items that lose no more than ``gap``, by rising gain."""
    size = 1 << k
    gains, losses, bits = np.empty(size + 1), np.empty(size + 1), np.empty(size + 1, np.int32)
    to_gains, to_losses = np.empty(size + 1), np.empty(size + 1)
    to_bits = np.empty(size + 1, np.int32)
    gains[0], losses[0], bits[0] = 0.0, 0.0, 0
    n = 1
    for p in range(k):
        more, less, bit = gain[items[p]], loss[items[p]], np.int32(1 << p)
        # merge the states with what they are once the item changes too; nothing here branches
        gains[n] = np.inf
        a = b = count = 0
        for _ in range(2 * n):
            own, changed = gains[a], gains[b] + more
            plain = own <= changed
            source = a if plain else b
            lost = losses[source] + (0.0 if plain else less)
            to_gains[count] = own if plain else changed
            to_losses[count] = lost
            to_bits[count] = bits[source] | (np.int32(0) if plain else bit)
            a += plain
            b += not plain
            count += lost <= gap
        gains, to_gains = to_gains, gains
        losses, to_losses = to_losses, losses
        bits, to_bits = to_bits, bits
        n = count
    return n, (gains, losses, bits)


@part
def _low_half(k: int) -> int:
    """Return how many of k items the first of two tables has."""
    return (k + 1) // 2


@part
def _tables(items: Array, k: int, moves: Array) -> Array:
    """Return the moves (m, 2, 2^h) of all changes of the first h items, and of the others."""
    m = len(moves)
    h = _low_half(k)
    table = np.zeros((m, 2, 1 << h))
    for i in range(m):
        for p in range(k):
            side, bit = (0, 1 << p) if p < h else (1, 1 << (p - h))
            for q in range(bit):
                table[i, side, bit + q] = table[i, side, q] + moves[i, items[p]]
    return table


@part
def _into_cells(
    states: States, n: int, table: Array, row: int
) -> tuple[Array, Array, Array, Array, Array, float, float]:
    """Sort states by cells of one row's moves, within a cell by gain.

    Return gains, bits and moves (m, n), where each cell starts (and the last ends), the lowest move
    and the cells in a unit.
    """
    gains, losses, bits = states
    m, h = len(table), 0
    while 1 << h < table.shape[2]:
        h += 1
    low_bits = (1 << h) - 1
    along = np.empty(n)
    for q in range(n):
        along[q] = table[row, 0, bits[q] & low_bits] + table[row, 1, bits[q] >> h]
    low = along.min()
    spread = along.max() - low
    n_cells = min(1 + n // _PER_CELL, _CELLS)
    rate = n_cells / spread if spread > 0.0 else 0.0
    start = np.zeros(n_cells + 1, np.int64)
    for q in range(n):
        start[min(int((along[q] - low) * rate), n_cells - 1) + 1] += 1
    for c in range(n_cells):
        start[c + 1] += start[c]
    at = start[:-1].copy()
    to_gains, to_losses, to_bits = np.empty(n), np.empty(n), np.empty(n, np.int32)
    moved = np.empty((m, n))
    for q in range(n):
        c = min(int((along[q] - low) * rate), n_cells - 1)
        to_gains[at[c]], to_losses[at[c]], to_bits[at[c]] = gains[q], losses[q], bits[q]
        for i in range(m):
            moved[i, at[c]] = table[i, 0, bits[q] & low_bits] + table[i, 1, bits[q] >> h]
        at[c] += 1
    return to_gains, to_losses, to_bits, moved, start, low, rate
