"""Branch and bound for knapsacks with several capacities, compiled."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import kernel, part
from dfl_solvers.oracle import Array
from dfl_solvers.problems._knapsack_halves import join
from dfl_solvers.problems._knapsack_items import (
    ROUNDING,
    cut_of,
    select,
    sort,
    step_of,
    surrogate_search,
)
from dfl_solvers.problems._knapsack_relaxation import branch, fix, relax, reset, round_off

# nodes of a plain search within the thorough one
_PLAIN = 2000
# nodes until the basis starts afresh: its inverse gathers rounding errors
_REFRESH = 200
# nodes until the search starts again from the root, now joining lists where it can
_PATIENCE = 300


@part
def _finish(
    v: Array, rows: Array, fixed: Array, k: int, free: Array, taken: float, dual: Array,
    found: float, step: float, few: int, chosen: Array, items: Array, value: Array, load: Array,
    total: Array, ratio: Array, inside: Array, best: Array, left: Array,
) -> tuple[bool, float]:  # fmt: skip
    """Search the items left with the duals as surrogate, if few; return as that search does."""
    m = len(rows)
    count = 0
    for j in range(k):
        if fixed[j] < 0:
            count += 1
    if count > few:
        return False, found
    count = 0
    for j in range(k):
        if fixed[j] < 0:
            weight = 0.0
            for i in range(m):
                weight += dual[i] * rows[i, j]
            total[count] = weight
            ratio[count] = v[j] / weight if weight > 0.0 else np.inf
            items[count] = count
            inside[count] = j
            count += 1
    sort(items, ratio, count)
    for q in range(count):
        j = inside[items[q]]
        value[q] = v[j]
        ratio[q] = total[items[q]]
        for i in range(m):
            load[q, i] = rows[i, j]
    room = 0.0
    for i in range(m):
        left[i] = free[i]
        room += dual[i] * free[i]
    done, got = surrogate_search(
        value, load[:, :m], ratio, count, room, left, taken, found, step, _PLAIN, chosen, best
    )
    if got > found:
        for j in range(k):
            chosen[j] = fixed[j] == 1
        for q in range(count):
            chosen[inside[items[q]]] = best[q]
    return done, got


@part
def _scratch(n: int, m: int) -> tuple[Array, ...]:
    """Allocate what the search of one core needs."""
    return (
        np.empty(n), np.empty((m, n)), np.empty((m, m)), np.empty(m, np.int64),
        np.empty(n + m, np.int64), np.empty(n, np.int64), np.empty(m), np.empty(n), np.empty(m),
        np.empty(m), np.empty(n + m), np.empty(n, np.bool_), np.empty((n + 1, n), np.int64),
        np.empty((n + 1, m)), np.empty(n + 1), np.empty(n + 1, np.int64), np.empty(n, np.int64),
        np.empty(n, np.bool_), np.empty(n), np.empty((n, m)), np.empty(n), np.empty(n),
        np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.bool_),
    )  # fmt: skip


@part
def _compress(
    v: Array, rows: Array, fixed: Array, k: int, basis: Array, row_of: Array, at: Array,
    core: Array, base: Array, inverse: Array,
) -> int:  # fmt: skip
    """Keep the free items only; return how many. The basis stays if all its items do."""
    m = len(basis)
    lost = False
    for p in range(m):
        if basis[p] < k and fixed[basis[p]] >= 0:
            lost = True
    count = 0
    for j in range(k):
        base[core[j]] = fixed[j] == 1
        if fixed[j] < 0:
            v[count] = v[j]
            core[count] = core[j]
            at[count] = at[j]
            row_of[count] = row_of[j]
            for i in range(m):
                rows[i, count] = rows[i, j]
            if row_of[j] >= 0:
                basis[row_of[j]] = count
            count += 1
    for j in range(count):
        fixed[j] = -1
    for i in range(m):
        row_of[count + i] = row_of[k + i]
        if row_of[k + i] >= 0:
            basis[row_of[k + i]] = count + i
    if lost:
        reset(inverse, basis, row_of, count)
    return count


@part
def _descend(
    v: Array, rows: Array, k: int, level_fixed: Array, level_free: Array, level_taken: Array,
    depth: int, j: int, to: int,
) -> int:  # fmt: skip
    """Open the child with item j fixed; copies, since sums undone again and again would drift."""
    child = depth + 1
    for q in range(k):
        level_fixed[child, q] = level_fixed[depth, q]
    level_fixed[child, j] = to
    for i in range(len(rows)):
        level_free[child, i] = level_free[depth, i] - to * rows[i, j]
    level_taken[child] = level_taken[depth] + to * v[j]
    return child


@part
def _binding(load: Array, n: int, rows: Array) -> int:
    """Copy the rows that can bind, transposed; return how many."""
    m = 0
    for i in range(load.shape[1]):
        total = 0.0
        for j in range(n):
            total += load[j, i]
        if total > 1.0:
            for j in range(n):
                rows[m, j] = load[j, i]
            m += 1
    return m


@part
def relaxation_search(
    values: Array, load: Array, n: int, step: float, found: float, best: Array, few: int,
    scratch: tuple[Array, ...],
) -> int:  # fmt: skip
    """Search depth first, bounded by the linear relaxation; return the number of nodes.

    Where ``few`` items or fewer are left free, a plain search is tried first: it is faster.
    """
    (v, rows, inverse, basis, row_of, at, dual, reduced, primal, left, along, chosen, level_fixed,
     level_free, level_taken, level_next, core, base, p_value, p_load, p_total, p_ratio, p_items,
     p_inside, p_best) = scratch  # fmt: skip
    m = _binding(load, n, rows)
    rows, inverse, basis = rows[:m], inverse[:m, :m], basis[:m]
    level_free[0] = 1.0 + ROUNDING
    level_taken[0] = 0.0
    # tolerances are absolute; by a power of two, so that whole numbers stay as exact as they are
    unit = 2.0 ** np.ceil(np.log2(values[:n].max()))
    found, step = found / unit, step / unit
    for j in range(n):
        v[j] = values[j] / unit
        core[j] = j
        at[j] = 0
        base[j] = False
        level_fixed[0, j] = -1
    k = n
    cut = cut_of(found, step)
    depth = 0
    nodes = 0
    while depth >= 0:
        if nodes % _REFRESH == 0:
            reset(inverse, basis, row_of, k)
        nodes += 1
        if nodes == _PATIENCE:
            # what is known by now fixes more items at the root
            depth = 0
        fixed, free = level_fixed[depth], level_free[depth, :m]
        taken = level_taken[depth]
        j = -1
        first = 1
        bound = relax(
            v, rows, fixed, k, free, taken, cut, (100 if nodes == 1 else 20) + 5 * m, inverse,
            basis, row_of, at, dual, reduced, primal, left, along,
        )  # fmt: skip
        if bound > cut:
            got = round_off(v, rows, fixed, k, free, taken, basis, row_of, at, primal, left, chosen)
            if got > found:
                found = got
                cut = cut_of(found, step)
                _record(best, base, core, chosen, n, k)
        if bound > cut:
            taken = fix(v, rows, fixed, k, free, taken, bound - cut, row_of, reduced)
            level_taken[depth] = taken
            if depth == 0:
                k = _compress(v, rows, fixed, k, basis, row_of, at, core, base, inverse)
            done, got = _finish(
                v, rows, fixed, k, free, taken, dual, found, step, few, chosen, p_items, p_value,
                p_load, p_total, p_ratio, p_inside, p_best, left,
            )  # fmt: skip
            if got > found:
                found = got
                cut = cut_of(found, step)
                _record(best, base, core, chosen, n, k)
            if not done and nodes >= _PATIENCE:
                done, got = join(v, rows, fixed, k, free, taken, dual, found, step, chosen)
                if got > found:
                    found = got
                    cut = cut_of(found, step)
                    _record(best, base, core, chosen, n, k)
            if not done:
                j, first = branch(basis, primal, fixed, k)
        if j < 0:
            # back to the last level with a child to open
            depth -= 1
            while depth >= 0 and level_next[depth] < 0:
                depth -= 1
            if depth < 0:
                break
            j, first = level_next[depth] // 2, level_next[depth] % 2
            level_next[depth] = -1
        else:
            level_next[depth] = 2 * j + 1 - first
        depth = _descend(v, rows, k, level_fixed, level_free, level_taken, depth, j, first)
    return nodes


@part
def _record(best: Array, base: Array, core: Array, chosen: Array, n: int, k: int) -> None:
    """Write down a decision on the core, with what was fixed before it."""
    for j in range(n):
        best[j] = base[j]
    for j in range(k):
        best[core[j]] = chosen[j]


@kernel
def search(
    lo: int,
    hi: int,
    costs: Array,
    weights: Array,
    capacities: Array,
    limit: int,
    few: int,
    decisions: Array,
) -> None:
    """Solve instances lo to hi - 1: a quick search of ``limit`` nodes, then a thorough one."""
    n = costs.shape[1]
    m = weights.shape[1]
    items = np.empty(n, np.int64)
    value = np.empty(n)
    ratio = np.empty(n)
    load = np.empty((n, m))
    total = np.empty(n)
    free = np.empty(m)
    taken = np.empty(n, np.bool_)
    best = np.empty(n, np.bool_)
    scratch = _scratch(n, m)
    for b in range(lo, hi):
        w = weights[b if weights.shape[0] > 1 else 0]
        cap = capacities[b if capacities.shape[0] > 1 else 0]
        k = select(costs[b], w, cap, items, value, load, total, ratio)
        step = step_of(value, k)
        for i in range(m):
            free[i] = 1.0 + ROUNDING
        best[:k] = False
        done, found = surrogate_search(
            value, load, total, k, m * (1.0 + ROUNDING), free, 0.0, 0.0, step, limit, taken, best
        )
        if not done:
            relaxation_search(value, load, k, step, found, best, few, scratch)
        for p in range(k):
            if best[p]:
                decisions[b, items[p]] = 1.0
