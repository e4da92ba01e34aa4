"""Directed graphs, made ready for the compiled searches for shortest paths."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import breadth_first_order

from dfl_solvers.exceptions import UnboundedError
from dfl_solvers.kernels import run
from dfl_solvers.oracle import Array, Status
from dfl_solvers.problems._path_labels import Graph
from dfl_solvers.problems._path_search import find_paths, find_paths_acyclic
from dfl_solvers.program import Program

# beyond this, sums of costs might overflow
_LARGE = 1e300


class PathSearch:
    """A compiled graph.

    Parameters
    ----------
    edges : ndarray of shape (m, 2)
        From and to.
    prices : ndarray of shape (m,)
        Which cost each edge pays.
    keep : ndarray of shape (m,)
        Edges that are in the graph.
    order : ndarray of shape (k,)
        All nodes of these edges, as sweeps had best visit them: heads before tails if ``acyclic``.
    n_nodes : int
        How many nodes there are, in the graph or not.
    acyclic : bool
        Whether the graph has no cycle.
    """

    def __init__(
        self, edges: Array, prices: Array, keep: Array, order: Array, n_nodes: int, acyclic: bool
    ) -> None:
        self.acyclic = acyclic
        self.number = np.full(n_nodes, -1)
        self.number[order] = np.arange(len(order))
        tail, head = self.number[edges[keep]].T
        cost = prices[keep]
        used, slot = np.unique(cost, return_inverse=True)
        leaving = np.argsort(tail, kind="stable")
        entering = np.argsort(head, kind="stable")
        nodes = np.arange(len(order) + 1)
        self.graph = Graph(
            np.searchsorted(tail[leaving], nodes),
            head[leaving].copy(),
            cost[leaving],
            slot[leaving],
            used,
            np.searchsorted(head[entering], nodes),
            tail[entering].copy(),
            cost[entering],
        )

    def solve(
        self, costs: Array, mask: Array | None, sources: Array, targets: Array
    ) -> tuple[Array, Array]:
        """Mark the costs that cheapest paths pay; return decisions (n, d) and status (n,).

        Costs can only be paid where the mask (n, d) is True; sources and targets (1,) or (n,).
        """
        if costs.min() < -_LARGE or costs.max() > _LARGE:
            costs = np.ldexp(costs, -64)
        if mask is not None:
            costs = np.where(mask, costs, np.inf)
        costs = np.ascontiguousarray(costs)
        decisions = np.zeros(costs.shape)
        status = np.empty(len(costs), dtype=np.int8)
        ends = self.number[sources], self.number[targets]
        compiled = find_paths_acyclic if self.acyclic else find_paths
        run(compiled, len(costs), costs, self.graph, *ends, decisions, status)
        return decisions, status


def on_the_way(edges: Array, source: int, target: int, n_nodes: int) -> Array:
    """Tell which edges (m, 2) lie between source and target, apart from those no path needs.

    No simple path has a loop, an edge into its source or one out of its target.
    """
    keep = (edges[:, 0] != edges[:, 1]) & (edges[:, 1] != source) & (edges[:, 0] != target)
    after = np.zeros(n_nodes, dtype=bool)
    after[reachable(edges[keep], source, n_nodes)] = True
    before = np.zeros(n_nodes, dtype=bool)
    before[reachable(edges[keep, ::-1], target, n_nodes)] = True
    return keep & (after & before)[edges].all(1)


def reachable(edges: Array, node: int, n_nodes: int) -> Array:
    """Return the nodes that a node reaches, itself included, nearest first."""
    ones = np.ones(len(edges), dtype=np.int8)
    matrix = sp.csr_array((ones, (edges[:, 0], edges[:, 1])), shape=(n_nodes, n_nodes))
    return np.asarray(breadth_first_order(matrix, node, return_predecessors=False))


def heads_first(edges: Array, n_nodes: int) -> Array | None:
    """Order all nodes, the head of every edge before its tail; None if there is a cycle."""
    pending = np.bincount(edges[:, 0], minlength=n_nodes)
    tails: list[list[int]] = [[] for _ in range(n_nodes)]
    for tail, head in edges.tolist():
        tails[head].append(tail)
    order = np.flatnonzero(pending == 0).tolist()
    left = pending.tolist()
    for node in order:
        for tail in tails[node]:
            left[tail] -= 1
            if left[tail] == 0:
                order.append(tail)
    return np.array(order) if len(order) == n_nodes else None


def unit_flow(
    edges: Array,
    upper: Array,
    source: int,
    target: int,
    n_nodes: int,
    decision_map: sp.csr_array | None = None,
) -> Program:
    """Return the flow of one unit from source to target as a linear program."""
    m = len(edges)
    ends, columns = edges.T.ravel(), np.tile(np.arange(m), 2)
    A = sp.csr_array((np.repeat([1.0, -1.0], m), (ends, columns)), shape=(n_nodes, m))
    supply = np.zeros(n_nodes)
    supply[source] += 1.0
    supply[target] -= 1.0
    return Program(A, supply, supply, np.zeros(m), upper, decision_map=decision_map)


def raise_for_cycles(name: str, status: Array) -> None:
    """Say what to do if the first instance without an answer has a negative cycle."""
    if not np.count_nonzero(status):
        return
    bad = np.flatnonzero(status > Status.FEASIBLE)
    if len(bad) and status[bad[0]] == Status.UNBOUNDED:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise UnboundedError(
            f"{name}: instance {bad[0]}{more}: a negative cycle lies between source and target, so "
            "no path is cheapest; on a graph with cycles costs must be nonnegative: clip "
            "predictions or make the output positive, and take a loss that asks for no other costs "
            "(SPO+ asks for 2 * prediction - cost, which may be negative)"
        )
