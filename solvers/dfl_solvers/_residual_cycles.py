"""The nearest tie of a network problem: the residual cycle of least cost per root of its length."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import Array
from dfl_solvers.program import Program


def network_arcs(program: Program) -> tuple[Array, Array] | None:
    """Return tails and heads (k,) of the arcs whose 0/1 flows a program describes, else None.

    Up to signs of rows, each column must have one 1 and one -1 at most: paths, assignments. What a
    column lacks goes to an additional last node. Fixed variables get the tail -1.
    """
    m, k = program.A.shape
    lower, upper = np.asarray(program.lower), np.asarray(program.upper)
    columns = sp.csc_array(program.A)
    columns.eliminate_zeros()
    entries = np.diff(columns.indptr)
    whole = np.round(program.row_lower)
    if (
        not program.identity
        or not np.isin(lower, (0.0, 1.0)).all()
        or not np.isin(upper, (0.0, 1.0)).all()
        or not np.array_equal(program.row_lower, program.row_upper)
        or not np.array_equal(program.row_lower, whole)
        or (entries > 2).any()
        or (np.abs(columns.data) != 1).any()
    ):
        return None
    # ends[i] is the node at the positive end of column i's first entry, and so on
    nodes = np.full((k, 2), m)
    signs = np.zeros((k, 2))
    owner = np.repeat(np.arange(k), entries)
    place = np.arange(len(owner)) - columns.indptr[owner]
    nodes[owner, place] = columns.indices
    signs[owner, place] = columns.data
    # rows whose signs agree in a column must be flipped one without the other: two copies of each
    # row, and no row may be connected with its own second copy
    pairs = entries == 2
    a, b = nodes[pairs].T
    same = signs[pairs].prod(axis=1) > 0
    ends = np.concatenate([np.where(same, b + m, b), np.where(same, b, b + m)])
    links = sp.csr_array((np.ones(len(ends)), (np.concatenate([a, a + m]), ends)), (2 * m, 2 * m))
    component = connected_components(links, directed=False)[1].astype(np.int64)
    if (component[:m] == component[m:]).any():
        return None
    flip = np.append(np.where(component[:m] < component[m:], 1.0, -1.0), 0.0)
    outward = signs * flip[nodes] > 0
    outward[entries == 1, 1] = ~outward[entries == 1, 0]
    outward[entries == 0, 1] = True
    tails = np.where(outward[:, 0], nodes[:, 0], nodes[:, 1])
    heads = np.where(outward[:, 0], nodes[:, 1], nodes[:, 0])
    tails[lower == upper] = -1
    return tails, heads


@kernel
def least_cycle_ratios(
    lo: int,
    hi: int,
    costs: Array,
    decisions: Array,
    tails: Array,
    heads: Array,
    n_nodes: int,
    ratios: Array,
) -> None:
    """Write the least ratio of cost and root of length over the residual cycles, or inf.

    Decisions differ by sets of such cycles, and the ratio of a union is no smaller than the least
    of its parts; for the same reason closed walks may stand in for cycles.
    """
    k = costs.shape[1]
    tail = np.empty(k, np.int64)
    head = np.empty(k, np.int64)
    weight = np.empty(k)
    begin = np.empty(n_nodes + 2, np.int64)
    potential = np.empty(n_nodes)
    reached = np.empty(n_nodes)
    following = np.empty(n_nodes)
    for b in range(lo, hi):
        # arcs by their tails
        begin[:] = 0
        largest = 0.0
        for e in range(k):
            if tails[e] >= 0:
                begin[(heads[e] if decisions[b, e] > 0.5 else tails[e]) + 2] += 1
                largest = max(largest, abs(costs[b, e]))
        for v in range(n_nodes):
            begin[v + 2] += begin[v + 1]
        for e in range(k):
            if tails[e] >= 0:
                taken = decisions[b, e] > 0.5
                v = heads[e] if taken else tails[e]
                place = begin[v + 1]
                begin[v + 1] += 1
                tail[place] = v
                head[place] = tails[e] if taken else heads[e]
                weight[place] = -costs[b, e] if taken else costs[b, e]
        n_arcs = begin[n_nodes]
        # an optimal decision has no residual cycle of negative cost, so potentials exist
        potential[:] = 0.0
        for _ in range(n_nodes):
            changed = False
            for e in range(n_arcs):
                reach = potential[tail[e]] + weight[e]
                if reach < potential[head[e]] - 1e-13 * largest:
                    potential[head[e]] = reach
                    changed = True
            if not changed:
                break
        for e in range(n_arcs):
            weight[e] = max(0.0, weight[e] + potential[tail[e]] - potential[head[e]])
        best = np.inf
        for start in range(n_nodes):
            # closed walks from their lowest node, edge by edge
            longest = np.sqrt(float(n_nodes - start))
            reached[:] = np.inf
            reached[start] = 0.0
            for length in range(1, n_nodes - start + 1):
                following[:] = np.inf
                for v in range(start, n_nodes):
                    if reached[v] < best * longest:
                        for e in range(begin[v], begin[v + 1]):
                            if head[e] >= start:
                                reach = reached[v] + weight[e]
                                following[head[e]] = min(following[head[e]], reach)
                best = min(best, following[start] / np.sqrt(float(length)))
                following[start] = np.inf
                if not following[start:].min() < best * longest:
                    break
                reached, following = following, reached
        ratios[b] = best
