"""Whom the oracles are compared with."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from _common import quietly

from _oracle_cases.case import Peer
from dfl_solvers import GridPerfectMatching, LinearProgram, Program
from dfl_solvers.oracle import Array

LAPX = ("lapjvr_batch", "lapjvh_batch")  # the fastest two of lapx's batch solvers


def gurobi_model(name: str, *arguments: Any) -> Any:
    """Build one of PyEPO's Gurobi models."""
    with quietly():
        from pyepo.model import grb

        return getattr(grb, name)(*arguments)


def resolved(model: Any, sign: int) -> Peer:
    """Return the loop in which PyEPO solves a batch; ``sign`` is that of our own oracle."""
    factor = sign * int(model.modelSense)  # both are -1 where something is maximized

    def solve(costs: Array) -> Array:
        objectives = np.empty(len(costs))
        for i, row in enumerate(factor * costs):
            model.setObj(row)
            _, objectives[i] = model.solve()
        return factor * objectives

    return solve


def on_graph(edges: Array, shape: tuple[int, int], total: Callable[[Any], float]) -> Peer:
    """Return a function of a graph of scipy, called with one instance's weights at a time."""
    from scipy.sparse import csr_array

    graph = csr_array((np.arange(len(edges)), tuple(edges.T)), shape=shape)
    order = graph.data.copy()

    def solve(costs: Array) -> Array:
        found = np.empty(len(costs))
        for i, row in enumerate(costs):
            found[i] = total(csr_array((row[order], graph.indices, graph.indptr), shape=shape))
        return found

    return solve


def dijkstra(edges: Array, n_nodes: int) -> Peer:
    """Return scipy's shortest path from node 0 to the last."""
    from scipy.sparse import csgraph

    return on_graph(
        edges, (n_nodes, n_nodes), lambda graph: csgraph.dijkstra(graph, indices=0)[n_nodes - 1]
    )


def cell_dijkstra(size: int) -> Peer:
    """Return scipy's shortest path through the cells of a grid with 8 neighbors."""
    arcs = np.array(
        [
            (i * size + j, k * size + m)
            for i in range(size)
            for j in range(size)
            for k in range(max(i - 1, 0), min(i + 2, size))
            for m in range(max(j - 1, 0), min(j + 2, size))
            if (i, j) != (k, m)
        ]
    )
    along = dijkstra(arcs, size * size)
    return lambda costs: costs[:, 0] + along(costs[:, arcs[:, 1]])


def clarabel_mean_variance(covariance: Array, risk_aversion: float) -> Peer:
    """Return Clarabel on the quadratic program of a portfolio."""
    from dfl_solvers.backends.clarabel import solve_cone_program

    d = len(covariance)
    A, b = np.vstack([np.ones((1, d)), -np.eye(d)]), np.concatenate([[1.0], np.zeros(d)])

    def solve(costs: Array) -> Array:
        found = np.empty(len(costs))
        for i, row in enumerate(costs):
            w, _ = solve_cone_program(
                row, A, b, quadratic=risk_aversion * covariance, n_equal=1, n_at_most=d
            )
            found[i] = row @ w + risk_aversion * w @ covariance @ w / 2
        return found

    return solve


def hot_highs(program: Program) -> Peer:
    """Return HiGHS on one model whose costs change, restarted from the last basis."""
    oracle = LinearProgram(program, backend="highs")
    return lambda costs: oracle.solve(costs).objectives


def lapx_batch(name: str) -> Peer:
    """Return one of lapx's solvers of a batch of assignments, on all cores."""
    import lap

    solver, n_threads = getattr(lap, name), os.cpu_count()

    def solve(costs: Array) -> Array:
        n = int(np.sqrt(costs.shape[1]))
        return np.asarray(solver(costs.reshape(-1, n, n), n_threads=n_threads)[0])

    return solve


def scipy_assignment(costs: Array) -> Array:
    """Solve assignments by scipy, one by one."""
    from scipy.optimize import linear_sum_assignment

    n = int(np.sqrt(costs.shape[1]))
    squares = costs.reshape(-1, n, n)
    return np.array([square[linear_sum_assignment(square)].sum() for square in squares])


def scipy_spanning_tree(edges: Array, n_nodes: int) -> Peer:
    """Return scipy's minimum spanning tree."""
    from scipy.sparse import csgraph

    return on_graph(
        edges, (n_nodes, n_nodes), lambda graph: csgraph.minimum_spanning_tree(graph).sum()
    )


def scipy_grid_matching(grid: GridPerfectMatching) -> Peer:
    """Return scipy's matching of sparse bipartite graphs."""
    from scipy.sparse import csgraph

    pairs, n = grid.edges(), grid.rows * grid.cols // 2
    color = (pairs // grid.cols + pairs % grid.cols) % 2
    ends = np.column_stack([pairs[color == 0] // 2, pairs[color == 1] // 2])
    return on_graph(
        ends, (n, n), lambda graph: graph[csgraph.min_weight_full_bipartite_matching(graph)].sum()
    )


def top_5(costs: Array) -> Array:
    """Sum the five smallest costs."""
    return np.take_along_axis(costs, np.argpartition(costs, 5, axis=1)[:, :5], 1).sum(1)
