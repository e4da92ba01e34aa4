"""Spanning trees, and matchings other than assignments."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from _oracle_cases.case import Case
from _oracle_cases.peers import hot_highs, scipy_grid_matching, scipy_spanning_tree
from dfl_solvers import (
    DiverseMatching,
    GridPerfectMatching,
    GridShortestPath,
    MinimumSpanningTree,
    MixedIntegerProgram,
    WithBackend,
)


def networks(rng: np.random.Generator) -> list[Case]:
    """Return spanning trees, and matchings other than assignments."""
    found = []
    for name, n_nodes, edges in (
        ("complete graph of 20 nodes", 20, list(combinations(range(20), 2))),
        ("20 x 20 grid", 400, GridShortestPath(20, 20).edges()),
    ):
        tree = MinimumSpanningTree(n_nodes, edges)
        costs = rng.uniform(1, 2, (2048, tree.n_costs))
        peers = {"scipy": (scipy_spanning_tree(tree.edges, n_nodes), 200)}
        found.append(Case(f"spanning tree, {name}", tree, costs, peers=peers))
    for size in (8, 20):
        grid = GridPerfectMatching(size, size)
        peers = {
            "scipy": (scipy_grid_matching(grid), 100),
            "HiGHS, hot": (hot_highs(grid.program()), 30),
        }
        costs = rng.uniform(1, 2, (1024, grid.n_costs))
        found.append(Case(f"perfect matching, {size} x {size} grid", grid, costs, peers=peers))
    fields = rng.integers(0, 7, (2, 40))
    for share in (0.1, 0.25):
        diverse = DiverseMatching(fields[0][:, None] == fields[1], share, share)
        gurobi = WithBackend(diverse, "gurobi")
        highs = MixedIntegerProgram(diverse.program())
        peers = {
            "Gurobi, integer program": (lambda c, o=gurobi: o.solve(c).objectives, 10),
            "HiGHS, integer program": (lambda c, o=highs: o.solve(c).objectives, 5),
        }
        costs = -rng.random((128, diverse.n_costs))
        found.append(Case(f"matching 40 x 40, shares of {share:.0%}", diverse, costs, peers=peers))
    return found
