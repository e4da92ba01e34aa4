"""Shortest paths."""

from __future__ import annotations

import numpy as np

from _oracle_cases.case import Case
from _oracle_cases.peers import cell_dijkstra, dijkstra, gurobi_model
from dfl.datasets import make_shortest_path
from dfl_solvers import GridShortestPath, NodeGridShortestPath, ShortestPath


def paths(rng: np.random.Generator) -> list[Case]:
    """Return shortest paths on grids and on a graph."""
    found = []
    for size, n in ((5, 256), (5, 2048), (20, 256), (20, 2048)):
        data = make_shortest_path(n, grid=(size, size), degree=4, noise=0.5, random_state=0)
        peers = {"scipy Dijkstra": (dijkstra(data.oracle.edges(), size * size), 100)}
        found.append(
            Case(
                f"shortest path {size} x {size}, n = {n}",
                data.oracle,
                data.C,
                lambda size=size: gurobi_model("shortestPathModel", (size, size)),
                peers=peers,
            )
        )
    wide = GridShortestPath(100, 100)
    found.append(
        Case(
            "shortest path 100 x 100, float32, n = 256",
            wide,
            rng.uniform(1, 2, (256, wide.n_costs)).astype(np.float32),
            peers={"scipy Dijkstra": (dijkstra(wide.edges(), 10_000), 10)},
        )
    )
    edges = np.array([[i, j] for i in range(100) for j in rng.choice(100, 4, False) if i != j])
    edges = np.vstack([edges, [(i, i + 1) for i in range(99)]])
    edges = np.unique(edges, axis=0)
    graph = ShortestPath(edges, 0, 99)
    found.append(
        Case(
            f"shortest path, graph of 100 nodes and {len(edges)} edges",
            graph,
            rng.uniform(1, 2, (2048, len(edges))),
            peers={"scipy Dijkstra": (dijkstra(edges, 100), 100)},
        )
    )
    terrain = NodeGridShortestPath(12, 12)
    found.append(
        Case(
            "path through cells 12 x 12, 8 neighbors",
            terrain,
            rng.uniform(1, 2, (2048, 144)),
            peers={"scipy Dijkstra": (cell_dijkstra(12), 100)},
        )
    )
    return found
