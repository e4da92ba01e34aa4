"""Second-best and tied paths through a grid, over the potentials of its dynamic program."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array


@kernel
def _reduce(costs: Array, across: Array, down: Array, first: Array, last: Array) -> None:
    """Write what leaving the best way costs at each node, and the columns the path has by row.

    The reduced cost of an edge, ``c_ij + v(j) - v(i)``, is zero on best ways and positive off them.
    """
    rows, cols = across.shape
    to_go = np.zeros(cols)
    for i in range(rows - 1, -1, -1):
        edge = i * (2 * cols - 1)
        for j in range(cols - 1, -1, -1):
            right = np.inf
            below = np.inf
            if j < cols - 1:
                right = costs[edge + j] + to_go[j + 1]
            if i < rows - 1:
                below = costs[edge + cols - 1 + j] + to_go[j]
            least = min(right, below)
            if i == rows - 1 and j == cols - 1:
                least = 0.0
            to_go[j] = least
            across[i, j] = right - least
            down[i, j] = below - least
    j = 0
    for i in range(rows):
        first[i] = j
        while j < cols - 1 and across[i, j] == 0.0:
            j += 1
        last[i] = j


@kernel
def _leave_downward(
    across: Array, down: Array, first: Array, last: Array, roots: Array, value: Array, best: float
) -> float:
    """Return the least ratio of ``best`` and all detours that leave the path downward."""
    rows, cols = across.shape
    for i in range(rows - 1):
        for j in range(first[i], last[i]):
            longest = roots[rows - 1 - i + cols - 1 - j]
            if down[i, j] >= best * longest:
                continue
            # from (i + 1, j) on, nodes left of the path; the path is met from its left only
            value[j] = down[i, j]
            open_until = j + 1
            for r in range(i + 1, rows):
                least = np.inf
                for k in range(j, first[r]):
                    reached = np.inf
                    if k < open_until:
                        reached = value[k]
                        if r > i + 1:
                            reached += down[r - 1, k]
                    if k > j:
                        reached = min(reached, value[k - 1] + across[r, k - 1])
                    value[k] = reached
                    least = min(least, reached)
                open_until = first[r]
                gap = value[open_until - 1] + across[r, open_until - 1]
                best = min(best, gap / roots[r - i + open_until - j])
                if least >= best * longest:
                    break
    return best


@kernel
def nearest_detours(lo: int, hi: int, costs: Array, rows: int, cols: int, ratios: Array) -> None:
    """Write the least ratio of extra cost and distance of all other paths, or inf without any.

    Ratios are those of single detours: a path that leaves several times is a sum of such, and the
    ratio of a sum is no smaller. A detour of k edges is at the distance sqrt(2 k).
    """
    across = np.empty((rows, cols))
    down = np.empty((rows, cols))
    turned_across = np.empty((cols, rows))
    turned_down = np.empty((cols, rows))
    first = np.empty(rows, np.int64)
    last = np.empty(rows, np.int64)
    turned_first = np.empty(cols, np.int64)
    turned_last = np.empty(cols, np.int64)
    value = np.empty(max(rows, cols))
    roots = np.sqrt(2.0 * np.arange(rows + cols))
    for b in range(lo, hi):
        _reduce(costs[b], across, down, first, last)
        for i in range(rows):
            for j in range(cols):
                turned_across[j, i] = down[i, j]
                turned_down[j, i] = across[i, j]
            for j in range(first[i], last[i] + 1):
                if i == 0 or j > first[i]:
                    turned_first[j] = i
                turned_last[j] = i
        best = _leave_downward(across, down, first, last, roots, value, np.inf)
        ratios[b] = _leave_downward(
            turned_across, turned_down, turned_first, turned_last, roots, value, best
        )


@kernel
def tied_paths(
    lo: int,
    hi: int,
    costs: Array,
    rows: int,
    cols: int,
    slack: Array,
    limit: int,
    starts: Array,
    counts: Array,
    decisions: Array,
) -> None:
    """Count the paths within ``slack`` of the best, at most limit + 1, and write them if asked to.

    They go to ``decisions`` from row ``starts[b]`` on; if that has no rows, they are only counted.
    """
    steps = rows + cols - 2
    across = np.empty((rows, cols))
    down = np.empty((rows, cols))
    first = np.empty(rows, np.int64)
    last = np.empty(rows, np.int64)
    spent = np.zeros(steps + 1)
    tried = np.zeros(steps + 1, np.int64)  # 1: went right from here, 2: went down
    for b in range(lo, hi):
        _reduce(costs[b], across, down, first, last)
        count = 0
        i, j = 0, 0
        tried[0] = 0
        while count <= limit:
            depth = i + j
            forward = False
            if depth == steps:
                if len(decisions):
                    r, k = 0, 0
                    for step in range(steps):
                        edge = r * (2 * cols - 1) + k
                        if tried[step] == 1:
                            decisions[starts[b] + count, edge] = 1.0
                            k += 1
                        else:
                            decisions[starts[b] + count, edge + cols - 1] = 1.0
                            r += 1
                count += 1
            elif tried[depth] == 0 and spent[depth] + across[i, j] <= slack[b]:
                tried[depth] = 1
                spent[depth + 1] = spent[depth] + across[i, j]
                j += 1
                forward = True
            elif tried[depth] < 2 and spent[depth] + down[i, j] <= slack[b]:
                tried[depth] = 2
                spent[depth + 1] = spent[depth] + down[i, j]
                i += 1
                forward = True
            if forward:
                tried[i + j] = 0
            elif depth == 0:
                break
            elif tried[depth - 1] == 1:
                j -= 1
            else:
                i -= 1
        counts[b] = count
