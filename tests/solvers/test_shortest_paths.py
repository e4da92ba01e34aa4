"""Shortest paths on graphs and terrains against enumeration, other libraries and by hand."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse.csgraph import bellman_ford, dijkstra

from dfl_solvers.exceptions import InfeasibleError, InvalidInputError, UnboundedError
from dfl_solvers.kernels import set_threads
from dfl_solvers.problems._path_labels import sweep_often
from dfl_solvers.problems.graph_shortest_path import ShortestPath
from dfl_solvers.problems.node_grid_shortest_path import NodeGridShortestPath
from dfl_solvers.problems.shortest_path import GridShortestPath
from dfl_solvers.program import Program
from dfl_solvers.testing import check_oracle

TRIANGLE = [(0, 1), (1, 2), (0, 2)]
BOTH_WAYS = [(0, 1), (1, 2), (2, 1), (2, 3), (0, 3)]  # 1 and 2 are a cycle


def random_graph(rng: np.random.Generator, n_nodes: int, n_edges: int) -> np.ndarray:
    """Draw edges, loops and parallels among them, that lead from node 0 to the last."""
    edges = rng.integers(0, n_nodes, (n_edges, 2))
    way = np.concatenate([[0], 1 + rng.permutation(n_nodes - 2)[: n_nodes // 2], [n_nodes - 1]])
    edges[rng.permutation(n_edges)[: len(way) - 1]] = np.column_stack([way[:-1], way[1:]])
    return edges


def simple_paths(edges: np.ndarray, source: int, target: int) -> np.ndarray:
    """Enumerate all simple paths as decisions, by recursion."""
    found: list[np.ndarray] = []

    def walk(node: int, visited: set[int], taken: list[int]) -> None:
        if node == target:
            decision = np.zeros(len(edges))
            decision[taken] = 1
            found.append(decision)
            return
        for e, (tail, head) in enumerate(edges):
            if tail == node and head not in visited:
                walk(head, visited | {head}, [*taken, e])

    walk(source, {source}, [])
    return np.array(found)


def assert_simple_path(decision: np.ndarray, edges: np.ndarray, source: int, target: int) -> None:
    used = [tuple(edge) for edge in edges[decision == 1].tolist()]
    assert set(np.unique(decision)) <= {0.0, 1.0}
    following = dict(used)
    assert len(following) == len(used)
    node, visited = source, [source]
    while node != target:
        node = following.pop(node)
        visited.append(node)
    assert not following
    assert len(set(visited)) == len(visited)


def matrix(edges: np.ndarray, costs: np.ndarray, n_nodes: int) -> sp.csr_array:
    """Return the cheapest of parallel edges, without loops, for scipy."""
    dense = np.full((n_nodes, n_nodes), np.inf)
    np.minimum.at(dense, tuple(edges.T), costs)
    np.fill_diagonal(dense, np.inf)
    rows, cols = np.nonzero(np.isfinite(dense))
    return sp.csr_array((dense[rows, cols], (rows, cols)), shape=(n_nodes, n_nodes))


def optimum(program: Program, costs: np.ndarray) -> float:
    """Solve a program of equations by scipy."""
    bounds = np.column_stack([program.lower, program.upper])
    found = linprog(
        program.objective(costs[None])[0], A_eq=program.A, b_eq=program.row_lower, bounds=bounds
    )
    assert found.status == 0
    return float(found.fun)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("n", [1, 7, 8, 33, 70])  # around what fills the lanes
def test_small_graphs_against_all_simple_paths(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    n_nodes = int(rng.integers(2, 7))
    edges = random_graph(rng, n_nodes, int(rng.integers(n_nodes, 14)))
    oracle = ShortestPath(edges, 0, n_nodes - 1)
    paths = simple_paths(edges, 0, n_nodes - 1)
    for costs in (rng.random((n, len(edges))), rng.integers(0, 3, (n, len(edges))).astype(float)):
        found = oracle.solve(costs)
        np.testing.assert_allclose(found.objectives, (costs @ paths.T).min(1), rtol=1e-14)
        assert all((paths == w).all(1).any() for w in found.decisions)


@pytest.mark.parametrize("seed", range(150))
def test_negative_costs_against_all_simple_paths(seed: int) -> None:
    """An answer is the best of all simple paths; an error has a negative cycle to show."""
    rng = np.random.default_rng(seed)
    n_nodes = int(rng.integers(2, 7))
    edges = random_graph(rng, n_nodes, int(rng.integers(n_nodes, 12)))
    oracle = ShortestPath(edges, 0, n_nodes - 1)
    paths = simple_paths(edges, 0, n_nodes - 1)
    # what no simple path can use, is not in the graph
    inside = edges[(edges[:, 0] != edges[:, 1]) & (edges[:, 1] != 0) & (edges[:, 0] != n_nodes - 1)]
    graph = nx.DiGraph([tuple(edge) for edge in inside.tolist()])
    between = (nx.descendants(graph, 0) | {0}) & (nx.ancestors(graph, n_nodes - 1) | {n_nodes - 1})
    for shift in (0.0, 0.5, 1.0):
        costs = rng.integers(-3, 5, (1, len(edges))) + shift
        weighted = nx.DiGraph()
        for (tail, head), cost in zip(edges.tolist(), costs[0], strict=True):
            if tail in between and head in between and graph.has_edge(tail, head):
                least = weighted.get_edge_data(tail, head, {"weight": np.inf})["weight"]
                weighted.add_edge(tail, head, weight=min(cost, least))
        if nx.negative_edge_cycle(weighted):
            with pytest.raises(UnboundedError, match="instance 0: a negative cycle"):
                oracle.solve(costs)
        else:
            found = oracle.solve(costs)
            assert found.objectives[0] == (costs @ paths.T).min()
            assert_simple_path(found.decisions[0], edges, 0, n_nodes - 1)


@pytest.mark.parametrize(("n_nodes", "n_edges"), [(30, 90), (60, 1500), (120, 400)])
def test_larger_graphs_against_scipy_and_networkx(n_nodes: int, n_edges: int) -> None:
    rng = np.random.default_rng(n_nodes)
    edges = random_graph(rng, n_nodes, n_edges)
    oracle = ShortestPath(edges, 0, n_nodes - 1)
    costs = rng.exponential(size=(40, n_edges))
    potential = rng.normal(size=(40, n_nodes))
    # the same paths are cheapest, but costs are negative: every cycle keeps its cost
    shifted = costs + potential[:, edges[:, 0]] - potential[:, edges[:, 1]]
    assert (shifted < 0).any(1).all()
    found, other = oracle.solve(costs), oracle.solve(shifted)
    np.testing.assert_array_equal(found.decisions, other.decisions)
    for i in range(40):
        assert_simple_path(found.decisions[i], edges, 0, n_nodes - 1)
        best = dijkstra(matrix(edges, costs[i], n_nodes), indices=0)[-1]
        assert found.objectives[i] == pytest.approx(best, rel=1e-12)
        best = bellman_ford(matrix(edges, shifted[i], n_nodes), indices=0)[-1]
        assert other.objectives[i] == pytest.approx(best, rel=1e-9)
        graph = nx.DiGraph(matrix(edges, costs[i], n_nodes))
        assert found.objectives[i] == pytest.approx(
            nx.dijkstra_path_length(graph, 0, n_nodes - 1), rel=1e-12
        )


@pytest.mark.parametrize("seed", range(6))
def test_graphs_without_cycles_take_any_costs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = np.sort(rng.integers(0, 25, (80, 2)), axis=1)
    edges[0] = 0, 24
    edges = rng.permutation(25)[edges]
    source, target = edges[0].tolist()
    oracle = ShortestPath(edges, source, target)
    check_oracle(oracle)
    for n in (1, 3, 4, 32, 45):
        costs = rng.normal(size=(n, 80))
        found = oracle.solve(costs)
        for i in range(n):
            assert_simple_path(found.decisions[i], edges, source, target)
            best = nx.bellman_ford_path_length(
                nx.DiGraph(matrix(edges, costs[i], 25)), source, target
            )
            assert found.objectives[i] == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize(("rows", "cols"), [(4, 5), (1, 6), (20, 20)])
@pytest.mark.parametrize("integral", [False, True])
def test_the_grid_is_a_graph(rows: int, cols: int, integral: bool) -> None:
    """Ties included: the first edge that leaves a node is the one to the right."""
    grid = GridShortestPath(rows, cols)
    oracle = ShortestPath(grid.edges(), 0, rows * cols - 1)
    rng = np.random.default_rng(rows)
    for n in (1, 40):
        costs = rng.normal(size=(n, grid.n_costs))
        costs = costs.round() if integral else costs
        np.testing.assert_array_equal(oracle.solve(costs).decisions, grid.solve(costs).decisions)


def test_the_contract_on_graphs_with_cycles() -> None:
    rng = np.random.default_rng(0)
    for n_nodes, n_edges in ((5, 12), (20, 60)):
        oracle = ShortestPath(random_graph(rng, n_nodes, n_edges), 0, n_nodes - 1)
        check_oracle(oracle, rng.random((20, n_edges)))
        rebuilt = eval(repr(oracle))  # noqa: S307
        costs = rng.random((9, n_edges))
        np.testing.assert_array_equal(rebuilt.solve(costs).decisions, oracle.solve(costs).decisions)
    for rows, cols in ((3, 4), (1, 5), (6, 2), (5, 5), (1, 2)):
        check_oracle(NodeGridShortestPath(rows, cols), rng.random((20, rows * cols)))


def test_mask_and_ends_of_each_instance() -> None:
    rng = np.random.default_rng(3)
    edges = random_graph(rng, 8, 30)
    acyclic = np.sort(edges, axis=1)
    for arcs, low in ((edges, 0.0), (acyclic, -1.0)):
        arcs[0] = 0, 7
        oracle = ShortestPath(arcs, 0, 7)
        costs = rng.uniform(low, 1, (60, 30))
        mask = rng.random((60, 30)) < 0.8
        source, target = rng.integers(0, 8, (2, 60))
        solved = 0
        for fields in (("mask",), ("source",), ("target",), ("mask", "source", "target")):
            everything = {"mask": mask, "source": source, "target": target}
            own_data = {name: everything[name] for name in fields}
            possible = []
            for i in range(60):
                usable = arcs[mask[i]] if "mask" in own_data else arcs
                start = source[i] if "source" in own_data else 0
                end = target[i] if "target" in own_data else 7
                paths = simple_paths(usable, start, end)
                one = {name: value[i : i + 1] for name, value in own_data.items()}
                if not len(paths):
                    with pytest.raises(InfeasibleError, match="ShortestPath: instance 0"):
                        oracle.solve(costs[i : i + 1], one)
                    continue
                possible.append(i)
                decision = oracle.solve(costs[i : i + 1], one).decisions[0]
                own = costs[i][mask[i]] if "mask" in own_data else costs[i]
                assert costs[i] @ decision == pytest.approx((own @ paths.T).min(), abs=1e-12)
                assert_simple_path(decision, arcs, start, end)
                assert "mask" not in own_data or not decision[~mask[i]].any()
                program = oracle.program({name: value[0] for name, value in one.items()})
                assert costs[i] @ decision == pytest.approx(optimum(program, costs[i]), abs=1e-9)
            rows = np.array(possible)
            batch = {name: value[rows] for name, value in own_data.items()}
            together = oracle.solve(costs[rows], batch).decisions
            for j, i in enumerate(rows):
                one = {name: value[i : i + 1] for name, value in own_data.items()}
                alone = oracle.solve(costs[i : i + 1], one).decisions[0]
                np.testing.assert_array_equal(together[j], alone)
            solved += len(rows)
        assert solved > 60


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_ties_and_free_cycles_leave_simple_paths(data: st.DataObject) -> None:
    n_nodes = data.draw(st.integers(2, 6))
    node = st.integers(0, n_nodes - 1)
    edges = np.array([*data.draw(st.lists(st.tuples(node, node), max_size=14)), (0, n_nodes - 1)])
    cost = st.integers(0, 2).map(float)
    costs = np.array([data.draw(st.lists(cost, min_size=len(edges), max_size=len(edges)))])
    oracle = ShortestPath(edges, 0, n_nodes - 1)
    alone = oracle.solve(costs)
    many = oracle.solve(np.repeat(costs, 40, axis=0))
    assert (many.decisions == alone.decisions).all()
    assert_simple_path(alone.decisions[0], edges, 0, n_nodes - 1)
    paths = simple_paths(edges, 0, n_nodes - 1)
    assert alone.objectives[0] == (costs @ paths.T).min()
    if (costs > 0).all():
        # of the best paths, the first edge wins at every node
        best = paths[(paths @ costs[0]) == alone.objectives[0]]
        chosen, at = best, 0
        while at != n_nodes - 1:
            first = min(e for e in np.flatnonzero(chosen.any(0)) if edges[e, 0] == at)
            chosen, at = chosen[chosen[:, first] == 1], edges[first, 1]
        np.testing.assert_array_equal(alone.decisions, chosen)


def test_zero_costs_around_a_cycle() -> None:
    ring = np.array([(i, (i + 1) % 6) for i in range(6)] + [((i + 1) % 6, i) for i in range(6)])
    oracle = ShortestPath(ring, 0, 3)
    for n in (1, 50):
        found = oracle.solve(np.zeros((n, 12)))
        np.testing.assert_array_equal(found.decisions, [[1, 1, 1] + [0] * 9] * n)
    terrain = NodeGridShortestPath(6, 7)
    for n in (1, 50):
        for w in terrain.solve(np.zeros((n, 42))).decisions:
            assert_way(w, 6, 7)


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1.0, 1e150, 1.7e308])
def test_scale_and_rounding_do_not_matter(scale: float) -> None:
    rng = np.random.default_rng(0)
    oracle = ShortestPath(BOTH_WAYS, 0, 3)
    costs = rng.random((50, 5)).clip(1e-3, 1 - 1e-3)
    mask = np.ones((50, 5), dtype=bool)
    plain = oracle.solve(costs).decisions
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(oracle.solve(costs * scale).decisions, plain)
        np.testing.assert_array_equal(oracle.solve(costs * scale, {"mask": mask}).decisions, plain)
        # costs nothing around, up to rounding: no negative cycle
        around = np.array([[3.0, -(0.1 + 0.2), 0.3, 1.0, 9.0], [3.0, 0.3, -(0.1 + 0.2), 1.0, 9.0]])
        found = oracle.solve(around / 9 * scale).decisions
    np.testing.assert_array_equal(found, [[1, 1, 0, 1, 0]] * 2)


def test_potentials_make_all_cycles_free() -> None:
    """Every path costs the same, and every cycle nothing but rounding."""
    rng = np.random.default_rng(0)
    edges = random_graph(rng, 40, 300)
    potential = rng.normal(size=(30, 40))
    costs = potential[:, edges[:, 0]] - potential[:, edges[:, 1]]
    found = ShortestPath(edges, 0, 39).solve(costs)
    np.testing.assert_allclose(found.objectives, potential[:, 0] - potential[:, -1], atol=1e-10)
    for w in found.decisions:
        assert_simple_path(w, edges, 0, 39)


def test_negative_cycles_are_named() -> None:
    oracle = ShortestPath([*BOTH_WAYS, (4, 5), (5, 4), (3, 4), (1, 0)], 0, 3)
    costs = np.ones((20, 9))
    # beyond the target, and through the source: on no simple path
    costs[:, 5:7] = -1.0
    costs[:, 8] = -9.0
    np.testing.assert_array_equal(oracle.solve(costs).decisions, [[0, 0, 0, 0, 1, 0, 0, 0, 0]] * 20)
    costs[7, 1:3] = 1.0, -1.1
    costs[9, 1:3] = -1.1, 1.0
    with pytest.raises(
        UnboundedError,
        match=r"ShortestPath: instance 7 \(and 1 more\): a negative cycle.*clip.*SPO\+",
    ):
        oracle.solve(costs)
    mask = np.ones((20, 9), dtype=bool)
    mask[:, 1] = False
    assert (oracle.solve(costs, {"mask": mask}).decisions[:, 4] == 1).all()
    mask[3] = False
    mask[7] = True
    with pytest.raises(InfeasibleError, match=r"instance 3 \(and 1 more\): the feasible set"):
        oracle.solve(costs, {"mask": mask})


def test_loops_parallels_and_empty_paths_by_hand() -> None:
    oracle = ShortestPath([(0, 0), (0, 1), (0, 1), (1, 1), (1, 0)], 0, 1, n_nodes=9)
    costs = np.array([[-5.0, 2.0, 1.0, -5.0, -5.0], [0.0, 1.0, 1.0, 0.0, 0.0]])
    np.testing.assert_array_equal(oracle.solve(costs).decisions, [[0, 0, 1, 0, 0], [0, 1, 0, 0, 0]])
    check_oracle(oracle)
    same = ShortestPath(BOTH_WAYS, 2, 2)
    assert not same.solve(np.ones((3, 5))).decisions.any()
    check_oracle(same)
    assert ShortestPath(TRIANGLE, 0, 2).solve(np.zeros((0, 3))).decisions.shape == (0, 3)
    nowhere = {"source": np.array([8])}
    with pytest.raises(InfeasibleError, match="instance 0"):
        oracle.solve(costs[:1], nowhere)


def test_giving_up_on_sweeps_changes_nothing() -> None:
    """Dijkstra's algorithm and the sweeps agree to the last bit, ties included."""
    rng = np.random.default_rng(1)
    edges = random_graph(rng, 50, 200)
    oracle, terrain = ShortestPath(edges, 0, 49), NodeGridShortestPath(9, 11)
    for own in (oracle, terrain):
        for costs in (rng.random((64, own.n_costs)), rng.integers(0, 3, (64, own.n_costs))):
            together = own.solve(costs).decisions
            alone = [own.solve(c[None]).decisions[0] for c in costs]
            np.testing.assert_array_equal(together, alone)
    # each of 100 entries is cheaper, but found a sweep later, and changes a chain of 200 nodes
    entries = np.column_stack([np.arange(299, 249, -1), np.arange(50)]).ravel()
    chain = np.arange(50, 250)
    parts = [
        [(entries[0], 300)],
        np.column_stack([entries[1:], entries[:-1]]),
        np.column_stack([np.full(100, 50), entries]),
        np.column_stack([chain[1:], chain[:-1]]),
        [(50, 51)],
    ]
    oracle, other = (ShortestPath(np.concatenate(parts), *ends) for ends in ((249, 300), (51, 50)))
    costs = np.concatenate([np.ones(100), 1000.0 - 3.0 * np.arange(100), np.ones(200)])
    costs = costs * rng.uniform(1, 1 + 1e-4, (32, 400))
    ends = np.full(32, 249), np.full(32, 300)
    found = other.solve(costs, {"source": ends[0], "target": ends[1]}).decisions
    np.testing.assert_array_equal(found, [oracle.solve(c[None]).decisions[0] for c in costs])
    assert (found[:, 199] == 1).all()
    # the sweeps did give up
    search = other._any_ends
    sources, targets = (search.number[nodes] for nodes in ends)
    labels, marks = np.full((301, 32), np.inf), np.empty(301, dtype=bool)
    labels[targets[0]] = 0.0
    block = np.ascontiguousarray(costs.T)
    assert not sweep_often(block, search.graph, sources, targets, labels, marks)


def test_any_number_of_threads_gives_the_same() -> None:
    rng = np.random.default_rng(0)
    oracle = ShortestPath(random_graph(rng, 12, 40), 0, 11)
    costs = rng.integers(0, 4, (1300, 40)).astype(float)
    costs[5::100, 3] = -0.01
    try:
        set_threads(1)
        one = oracle.solve(costs).decisions
        set_threads(3)
        three = oracle.solve(costs).decisions
    finally:
        set_threads(None)
    np.testing.assert_array_equal(one, three)


def assert_way(w: np.ndarray, rows: int, cols: int) -> None:
    """Check that steps between these cells lead from the first to the last."""
    cells = {divmod(int(v), cols) for v in np.flatnonzero(w)}
    assert (0, 0) in cells
    assert (rows - 1, cols - 1) in cells
    graph = nx.Graph()
    graph.add_nodes_from(cells)
    graph.add_edges_from(
        (a, b)
        for a, b in itertools.combinations(cells, 2)
        if max(abs(a[0] - b[0]), abs(a[1] - b[1])) == 1
    )
    assert nx.has_path(graph, (0, 0), (rows - 1, cols - 1))


def terrain_edges(rows: int, cols: int) -> np.ndarray:
    cells = list(itertools.product(range(rows), range(cols)))
    return np.array(
        [
            (a * cols + b, c * cols + d)
            for (a, b), (c, d) in itertools.product(cells, cells)
            if max(abs(a - c), abs(b - d)) == 1
        ]
    )


@pytest.mark.parametrize(("rows", "cols"), [(1, 2), (2, 2), (1, 7), (7, 1), (3, 4), (12, 12)])
def test_terrain_against_networkx(rows: int, cols: int) -> None:
    rng = np.random.default_rng(rows)
    oracle, edges = NodeGridShortestPath(rows, cols), terrain_edges(rows, cols)
    for n in (1, 8, 40):
        costs = rng.uniform(0.8, 9.2, (n, rows * cols))
        found = oracle.solve(costs)
        for i in range(n):
            graph = matrix(edges, costs[i, edges[:, 1]], rows * cols)
            best = costs[i, 0] + nx.dijkstra_path_length(nx.DiGraph(graph), 0, rows * cols - 1)
            assert found.objectives[i] == pytest.approx(best, rel=1e-12)
            assert_way(found.decisions[i], rows, cols)


@pytest.mark.parametrize(("rows", "cols"), [(2, 2), (2, 3), (3, 3)])
def test_terrain_against_all_ways(rows: int, cols: int) -> None:
    rng = np.random.default_rng(0)
    d = rows * cols
    edges = terrain_edges(rows, cols)
    ways = np.zeros((0, d))
    for path in simple_paths(edges, 0, d - 1):
        way = np.zeros(d)
        way[edges[path == 1]] = 1
        ways = np.vstack([ways, way])
    oracle = NodeGridShortestPath(rows, cols)
    solved = 0
    for _ in range(300):
        costs = rng.integers(-1, 6, (1, d)).astype(float)
        costs[0, [0, -1]] -= 4.0  # the ends may cost anything
        inner = costs[0].copy()
        inner[[0, -1]] = np.inf
        if (inner[edges].sum(1) < 0).any():
            with pytest.raises(UnboundedError, match="NodeGridShortestPath: instance 0: a neg"):
                oracle.solve(costs)
            continue
        found = oracle.solve(costs)
        assert found.objectives[0] == (costs @ ways.T).min()
        assert (ways == found.decisions[0]).all(1).any()
        solved += 1
    assert solved > 30


def test_terrain_masks() -> None:
    oracle = NodeGridShortestPath(3, 3)
    costs = np.ones((2, 9))
    mask = np.array([[1, 1, 1, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 1, 1, 0, 1]], dtype=bool)
    found = oracle.solve(costs, {"mask": mask}).decisions
    np.testing.assert_array_equal(found, [[1, 1, 0, 0, 0, 1, 0, 0, 1]] * 2)
    for i in range(2):
        assert optimum(oracle.program({"mask": mask[i]}), costs[i]) == pytest.approx(4.0)
    for closed in ([0], [8], [1, 3, 4]):
        wall = np.ones((2, 9), dtype=bool)
        wall[1, closed] = False
        with pytest.raises(InfeasibleError, match="NodeGridShortestPath: instance 1"):
            oracle.solve(costs, {"mask": wall})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ShortestPath([0, 1], 0, 1), r"edges of shape \(2,\), expected \(d, 2\)"),
        (lambda: ShortestPath(np.zeros((0, 2)), 0, 0), r"edges of shape \(0, 2\)"),
        (lambda: ShortestPath([(0, 1), (1,)], 0, 1), "edges are no pairs"),
        (lambda: ShortestPath([("a", "b")], 0, 1), "edges of type"),
        (lambda: ShortestPath([(0, 1.5)], 0, 1), r"edges is 1.5 at \(0, 1\)"),
        (lambda: ShortestPath([(0, np.inf)], 0, 1), r"edges is inf at \(0, 1\)"),
        (lambda: ShortestPath([(0, 1), (1, -2)], 0, 1), r"edge 1 is \(1, -2\).*from 0 to 1"),
        (lambda: ShortestPath([(0, 1), (1, 5)], 0, 1, n_nodes=5), r"edge 1 is \(1, 5\).*0 to 4"),
        (lambda: ShortestPath(TRIANGLE, 0, 3, n_nodes=3), "target=3.*from 0 to 2"),
        (lambda: ShortestPath(TRIANGLE, -1, 2), "source=-1"),
        (lambda: ShortestPath(TRIANGLE, "a", 2), "source='a', expected an integer"),
        (lambda: ShortestPath(TRIANGLE, 0, None), "target=None, expected an integer"),
        (lambda: ShortestPath(TRIANGLE, 2, 0), "no edges lead from source=2 to target=0"),
        (lambda: ShortestPath(TRIANGLE, 0, 3), "no edges lead from source=0 to target=3"),
        (lambda: NodeGridShortestPath(1, 1), "grid of 1 x 1"),
        (lambda: NodeGridShortestPath(0, 4), "rows=0, expected an integer of at least 1"),
    ],
)
def test_bad_parameters_are_named(make, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        make()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("source", [0], r"'source' of shape \(1,\)"),
        ("target", [[0], [1]], r"'target' of shape \(2, 1\), expected \(2,\)"),
        ("target", [1, 3], "instance 1: got target 3, expected a node number from 0 to 2"),
        ("source", [-1, 0], "instance 0: got source -1"),
        ("source", [0.5, 0], r"'source' is 0.5 at \(0,\)"),
        ("mask", [[True], [True]], r"mask of shape \(2, 1\)"),
    ],
)
def test_bad_instance_data_are_named(field: str, value: list, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        ShortestPath(TRIANGLE, 0, 2).solve(np.ones((2, 3)), {field: np.array(value)})
