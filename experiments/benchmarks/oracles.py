"""Time of one solve, oracle by oracle, against PyEPO's Gurobi models and the nearest specialist.

A peer gets the same costs. Gurobi's model is built once and re-solved with new costs, which is how
PyEPO trains; specialists that take batches get batches. Rounds are interleaved, and every objective
is compared.

Run ``python experiments/benchmarks/oracles.py [--write docs/_generated/oracles_benchmark.md]``
with the extras ``pyepo`` and ``benchmarks`` installed.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import combinations
from typing import Any

import highspy  # noqa: F401  (must be loaded before the ortools that PyEPO loads)
import numpy as np
from _common import quietly, report

from dfl.datasets import (
    make_knapsack,
    make_portfolio,
    make_shortest_path,
    make_traveling_salesman,
)
from dfl_solvers import (
    Assignment,
    DiverseMatching,
    GridPerfectMatching,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    Maximize,
    MeanVariancePortfolio,
    MinimumSpanningTree,
    MixedIntegerProgram,
    Newsvendor,
    NodeGridShortestPath,
    Oracle,
    Program,
    ShortestPath,
    TopK,
    TravelingSalesman,
    WithBackend,
)
from dfl_solvers.kernels import set_threads
from dfl_solvers.oracle import Array, minimizing

ROUNDS = 5
LAPX = ("lapjvr_batch", "lapjvh_batch")  # the fastest two of lapx's batch solvers
SHORTEST = 0.05  # seconds of a timing
Peer = Callable[[Array], Array]  # costs (n, d) -> objectives (n,), in the oracle's own sense


@dataclass
class Case:
    """An oracle, its costs, and whom it is compared with: name -> (function, its instances)."""

    name: str
    oracle: Oracle
    costs: Array
    gurobi: Callable[[], Any] | None = None
    n_gurobi: int = 100
    peers: dict[str, tuple[Peer, int]] = field(default_factory=dict)


def cases() -> list[Case]:
    """Return the problems."""
    rng = np.random.default_rng(0)
    return [
        *paths(rng),
        *knapsacks(rng),
        *portfolios(rng),
        *salesmen(),
        *others(rng),
        *networks(rng),
    ]


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


def knapsacks(rng: np.random.Generator) -> list[Case]:
    """Return easy and hard knapsacks."""
    found = []
    for name, m, share in (
        ("3 capacities of 20", 3, None),
        ("3 capacities of half their weight", 3, 0.5),
        ("1 capacity of half their weight", 1, 0.5),
    ):
        data = make_knapsack(2048, n_dimensions=m, degree=4, noise=0.5, random_state=0)
        weights = minimizing(data.oracle)[0].weights
        capacities = np.full(m, 20.0) if share is None else share * weights.sum(1)
        found.append(
            Case(
                f"knapsack, 32 items, {name}",
                Maximize(Knapsack(weights, capacities)),
                data.C,
                lambda w=weights, c=capacities: gurobi_model("knapsackModel", w, list(c)),
            )
        )
    return found


def portfolios(rng: np.random.Generator) -> list[Case]:
    """Return portfolios with a bound on risk, and with risk in the objective."""
    data = make_portfolio(2048, n_assets=50, degree=4, random_state=0)
    covariance = minimizing(data.oracle)[0].covariance
    mean_variance = MeanVariancePortfolio(covariance, 10.0)
    return [
        Case(
            "portfolio, 50 assets, bound on risk",
            data.oracle,
            data.C,
            lambda: gurobi_model("portfolioModel", 50, covariance),
        ),
        Case(
            "portfolio, 50 assets, mean-variance",
            mean_variance,
            -data.C,
            peers={"Clarabel": (clarabel_mean_variance(covariance, 10.0), 50)},
        ),
    ]


def salesmen() -> list[Case]:
    """Return tours of 10, 20 and 30 cities."""
    found = []
    for cities, n, n_gurobi in ((10, 1024, 100), (20, 512, 30), (30, 256, 15)):
        data = make_traveling_salesman(n, n_cities=cities, degree=4, noise=0.5, random_state=0)
        found.append(
            Case(
                f"traveling salesman, {cities} cities",
                TravelingSalesman(cities),
                data.C,
                lambda cities=cities: gurobi_model("tspDFJModel", cities),
                n_gurobi,
            )
        )
    return found


def others(rng: np.random.Generator) -> list[Case]:
    """Return assignment, linear programs, selection and orders."""
    A = rng.uniform(0, 1, (30, 50))
    program = Program(A, np.full(30, -np.inf), A.sum(1) / 2, np.zeros(50), np.ones(50))
    demand = rng.gamma(4.0, 5.0, (50, 20))
    orders = Newsvendor(demand, np.full(20, 4.0), np.full(20, 0.5), capacity=300.0)
    return [
        Case(
            "assignment 20 x 20",
            Assignment(20),
            rng.uniform(0, 1, (2048, 400)),
            peers={
                **{f"lapx {name}": (lapx_batch(name), 2048) for name in LAPX},
                "scipy": (scipy_assignment, 500),
            },
        ),
        Case(
            "linear program, 50 variables, 30 rows",
            LinearProgram(program),
            rng.normal(size=(2048, 50)),
            peers={"HiGHS, hot": (hot_highs(program), 100)},
        ),
        Case("top 5 of 100", TopK(100, 5), rng.normal(size=(2048, 100)),
             peers={"NumPy argpartition": (top_5, 2048)}),
        Case(
            "newsvendor, 20 items, 50 scenarios, one capacity",
            orders,
            rng.uniform(0.5, 3, (2048, 20)),
            peers={"HiGHS, hot": (hot_highs(orders.program()), 20)},
        ),
    ]  # fmt: skip


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


def dijkstra(edges: Array, n_nodes: int) -> Peer:
    """Return scipy's shortest path from node 0 to the last, one instance at a time."""
    from scipy.sparse import csgraph, csr_array

    graph = csr_array((np.arange(len(edges)), tuple(edges.T)), shape=(n_nodes, n_nodes))
    order = graph.data.copy()

    def solve(costs: Array) -> Array:
        found = np.empty(len(costs))
        for i, row in enumerate(costs):
            own = csr_array((row[order], graph.indices, graph.indptr), shape=graph.shape)
            found[i] = csgraph.dijkstra(own, indices=0)[n_nodes - 1]
        return found

    return solve


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
    """Return scipy's minimum spanning tree, one instance at a time."""
    from scipy.sparse import csgraph, csr_array

    graph = csr_array((np.arange(len(edges)), tuple(edges.T)), shape=(n_nodes, n_nodes))
    order = graph.data.copy()

    def solve(costs: Array) -> Array:
        found = np.empty(len(costs))
        for i, row in enumerate(costs):
            own = csr_array((row[order], graph.indices, graph.indptr), shape=graph.shape)
            found[i] = csgraph.minimum_spanning_tree(own).sum()
        return found

    return solve


def scipy_grid_matching(grid: GridPerfectMatching) -> Peer:
    """Return scipy's matching of sparse bipartite graphs, one instance at a time."""
    from scipy.sparse import csgraph, csr_array

    pairs, n = grid.edges(), grid.rows * grid.cols // 2
    color = (pairs // grid.cols + pairs % grid.cols) % 2
    ends = pairs[color == 0] // 2, pairs[color == 1] // 2
    graph = csr_array((np.arange(len(pairs)), ends), shape=(n, n))
    order = graph.data.copy()

    def solve(costs: Array) -> Array:
        found = np.empty(len(costs))
        for i, row in enumerate(costs):
            own = csr_array((row[order], graph.indices, graph.indptr), shape=graph.shape)
            matched = csgraph.min_weight_full_bipartite_matching(own)
            found[i] = own[matched].sum()
        return found

    return solve


def top_5(costs: Array) -> Array:
    """Sum the five smallest costs."""
    return np.take_along_axis(costs, np.argpartition(costs, 5, axis=1)[:, :5], 1).sum(1)


def microseconds(solve: Callable[[Array], Any], costs: Array) -> float:
    """Return the time of one solve; short calls are repeated, as they are in training."""
    calls, spent = 0, 0.0
    start = time.perf_counter()
    while spent < SHORTEST:
        solve(costs)
        calls += 1
        spent = time.perf_counter() - start
    return 1e6 * spent / (calls * len(costs))


def row(case: Case) -> str:
    """Measure one problem, and return its row."""
    found = case.oracle.solve(case.costs).objectives  # compiles, too
    _, sign = minimizing(case.oracle)
    others: dict[str, tuple[Peer, int]] = dict(case.peers)
    if case.gurobi is not None:
        others = {"Gurobi": (resolved(case.gurobi(), sign), case.n_gurobi), **others}
    for name, (peer, n) in others.items():
        theirs = peer(case.costs[:n])
        worse = sign * (found[:n] - theirs) / (1.0 + np.abs(theirs))
        if worse.max() > 1e-5 or (name != "Gurobi" and -worse.min() > 1e-5):
            raise SystemExit(f"{case.name}: {name} and ours differ by {np.abs(worse).max():.2g}")
    own, one, times = [], [], {name: [] for name in others}
    for _ in range(ROUNDS):
        own.append(microseconds(case.oracle.solve, case.costs))
        set_threads(1)
        one.append(microseconds(case.oracle.solve, case.costs))
        set_threads(None)
        for name, (peer, n) in others.items():
            times[name].append(microseconds(peer, case.costs[:n]))
    mine = statistics.median(own)
    median = {name: statistics.median(values) for name, values in times.items()}
    against = [f"{name} {shown(value)} ({ratio(value / mine)})" for name, value in median.items()]
    gurobi = [text for text in against if text.startswith("Gurobi ")]
    rest = [text for text in against if not text.startswith("Gurobi ")]
    cells = [case.name, shown(mine), shown(statistics.median(one))]
    cells += [gurobi[0].removeprefix("Gurobi ") if gurobi else "", ", ".join(rest)]
    return f"| {' | '.join(cells)} |"


def shown(number: float) -> str:
    """Write a time with two digits."""
    return f"{float(f'{number:.2g}'):.2f}" if number < 1 else f"{float(f'{number:.2g}'):,g}"


def ratio(number: float) -> str:
    """Write a ratio with two or three digits."""
    return f"{number:,.0f} x" if number >= 10 else f"{number:.1f} x"


def overhead() -> str:
    """Return what a call costs beyond the kernel at n = 1, in words."""
    from dfl_solvers.problems.shortest_path import _walk

    oracle = GridShortestPath(5, 5)
    costs = np.random.default_rng(0).uniform(1, 2, (1, 40))
    decisions, objectives, status = np.empty((1, 40)), np.empty(1), np.empty(1, np.int8)

    def calls(function: Callable[[], Any]) -> float:
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            for _ in range(2000):
                function()
            times.append((time.perf_counter() - start) / 2000)
        return 1e6 * statistics.median(times)

    whole = calls(lambda: oracle.solve(costs))
    kernel = calls(lambda: _walk(0, 1, costs, decisions, objectives, status, 5, 5))
    return (
        f"One instance alone: a call of `GridShortestPath(5, 5).solve` takes {whole:.1f} "
        f"microseconds, {whole - kernel:.1f} more than its kernel."
    )


def table() -> str:
    """Measure, and return a row per problem."""
    return "\n".join(
        [
            f"Microseconds a solve, float64 unless said, checks included, {os.cpu_count()} cores; "
            f"median of {ROUNDS} interleaved rounds; in brackets how many times slower than ours. "
            f"Gurobi is {version('gurobipy')} through PyEPO {version('pyepo')}, re-solved with new "
            "costs.",
            "",
            "| | dfl | dfl, one thread | Gurobi | others |",
            "|---|---|---|---|---|",
            *(row(case) for case in cases()),
            "",
            overhead(),
        ]
    )


if __name__ == "__main__":
    report(__doc__, table)
