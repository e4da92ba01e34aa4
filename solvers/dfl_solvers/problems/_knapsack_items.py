"""What the searches for knapsacks share: sorting, bounds between sums, a plain search."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import part
from dfl_solvers.oracle import Array

# how far sums of weights may exceed a capacity by rounding, relative to the capacity
ROUNDING = 1e-9
# a bound this little above the incumbent, relative to it, does not count as above
_CLOSE = 1e-12


@part
def sort(order: Array, ratio: Array, k: int) -> None:
    """Sort k items by falling ratio, ties by index: insertion, over shrinking gaps where many."""
    gap = 1
    while 9 * gap < k:
        gap = 3 * gap + 1
    while gap > 0:
        for p in range(gap, k):
            j = order[p]
            r = ratio[j]
            q = p
            while q >= gap:
                i = order[q - gap]
                if ratio[i] > r or (ratio[i] == r and i < j):
                    break
                order[q] = i
                q -= gap
            order[q] = j
        gap //= 3


@part
def step_of(value: Array, k: int) -> float:
    """Return a unit of which all values are multiples, 0 where none is worth knowing.

    Two different sums then differ by at least this much.
    """
    total = 0.0
    for p in range(k):
        total += value[p]
    scale = 1.0
    for _ in range(4):
        whole = True
        for p in range(k):
            scaled = value[p] * scale
            if abs(scaled - np.rint(scaled)) > 1e-13 * scaled:
                whole = False
                break
        if whole:
            # where rounding errors come near the unit, it proves nothing
            if total * scale > 1e8:
                return 0.0
            unit = 0
            for p in range(k):
                rest = int(np.rint(value[p] * scale))
                while rest > 0:
                    unit, rest = rest, unit % rest
                if unit == 1:
                    break
            return unit / scale
        scale *= 10.0
    return 0.0


@part
def cut_of(found: float, step: float) -> float:
    """Return what a bound must exceed for a better decision than the one found."""
    return max(found * (1.0 + _CLOSE), found + step * (1.0 - 1e-6))


@part
def select(
    costs: Array, w: Array, cap: Array, items: Array, value: Array, load: Array, total: Array,
    ratio: Array,
) -> int:  # fmt: skip
    """List the items that pay and fit, best value for the weight first; return how many.

    ``load`` (k, m) is in units of the capacities, ``total`` its sum over them.
    """
    m, n = w.shape
    k = 0
    for j in range(n):
        if costs[j] >= 0.0:
            continue
        weight = 0.0
        fits = True
        for i in range(m):
            if w[i, j] > cap[i] * (1.0 + ROUNDING):
                fits = False
                break
            if w[i, j] > 0.0:
                weight += w[i, j] / cap[i]
        if fits:
            items[k] = j
            ratio[j] = np.inf if weight == 0.0 else -costs[j] / weight
            k += 1
    sort(items, ratio, k)
    for p in range(k):
        j = items[p]
        value[p] = -costs[j]
        total[p] = 0.0
        for i in range(m):
            load[p, i] = w[i, j] / cap[i] if w[i, j] > 0.0 else 0.0
            total[p] += load[p, i]
    return k


@part
def surrogate_search(
    value: Array, load: Array, total: Array, k: int, room: float, free: Array, current: float,
    found: float, step: float, limit: int, taken: Array, best: Array,
) -> tuple[bool, float]:  # fmt: skip
    """Search k items depth first, bounded by one knapsack of weights ``total`` and capacity room.

    ``free`` is what is left of each capacity, ``current`` the value of what is taken already; items
    come by falling value over total. Return whether the search ended within ``limit`` nodes, and
    the best value; ``best`` is written where that is better than ``found``.
    """
    m = load.shape[1]
    for p in range(k):
        taken[p] = False
    cut = cut_of(found, step)
    bound = 0.0
    stale = True  # taking an item leaves the bound as it is
    p = 0
    nodes = 0
    while True:
        if stale:
            # fill what is left of the summed capacity, the last item in part
            bound = current
            left = room
            for q in range(p, k):
                if total[q] <= left:
                    left -= total[q]
                    bound += value[q]
                else:
                    bound += value[q] * left / total[q]
                    break
        if p < k and bound > cut:
            nodes += 1
            if nodes > limit:
                return False, found
            stale = False
            for i in range(m):
                if load[p, i] > free[i]:
                    stale = True
                    break
            if not stale:
                taken[p] = True
                current += value[p]
                room -= total[p]
                for i in range(m):
                    free[i] -= load[p, i]
                if current > found:
                    found = current
                    cut = cut_of(found, step)
                    for q in range(k):
                        best[q] = taken[q] and q <= p
            p += 1
            continue
        # back to the last item taken, and on without it
        p -= 1
        while p >= 0 and not taken[p]:
            p -= 1
        if p < 0:
            return True, found
        taken[p] = False
        current -= value[p]
        room += total[p]
        for i in range(m):
            free[i] += load[p, i]
        p += 1
        stale = True
