"""Distances to degeneracy and enumerated ties against all vertices."""

from __future__ import annotations

import itertools
import math
from typing import final

import numpy as np
import pytest
import scipy.sparse as sp

from dfl_solvers import (
    AbstractOracle,
    Ball,
    Box,
    Cached,
    Counting,
    DiverseMatching,
    FromCallable,
    GridPerfectMatching,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    Maximize,
    MinimumSpanningTree,
    MixedIntegerProgram,
    Oracle,
    Parallel,
    Program,
    Ranking,
    Simplex,
    Status,
    TopK,
)
from dfl_solvers import _degeneracy_programs as general
from dfl_solvers._residual_cycles import network_arcs
from dfl_solvers.degeneracy import all_optima, degeneracy_distance
from dfl_solvers.exceptions import InfeasibleError, InvalidInputError, SolverError, UnsupportedError
from dfl_solvers.kernels import set_threads
from dfl_solvers.problems.assignment import Assignment
from dfl_solvers.problems.ellipsoid import Ellipsoid
from dfl_solvers.problems.entropy_ball import EntropyBall
from dfl_solvers.problems.log_barrier_simplex import LogBarrierSimplex


def subsets(d: int) -> np.ndarray:
    return np.array(list(itertools.product([0.0, 1.0], repeat=d)))


def paths(rows: int, cols: int) -> np.ndarray:
    """Enumerate all monotone paths as decisions."""
    edge = {pair: k for k, pair in enumerate(map(tuple, GridShortestPath(rows, cols).edges()))}
    found = []
    for downs in itertools.combinations(range(rows + cols - 2), rows - 1):
        node, decision = 0, np.zeros(len(edge))
        for step in range(rows + cols - 2):
            following = node + (cols if step in downs else 1)
            decision[edge[node, following]] = 1
            node = following
        found.append(decision)
    return np.array(found)


def permutations(n: int) -> np.ndarray:
    return np.array([np.eye(n)[list(p)].ravel() for p in itertools.permutations(range(n))])


def feasible(program: Program) -> np.ndarray:
    """Enumerate the points of zeros and ones of a program that is the decision itself."""
    points = subsets(program.n_variables)
    rows = points @ program.A.T
    fits = (rows >= program.row_lower - 1e-9) & (rows <= program.row_upper + 1e-9)
    return points[fits.all(1)]


def trees(n: int, edges: list[tuple[int, int]]) -> np.ndarray:
    """Enumerate the spanning trees of a graph: so many edges that leave no node apart."""
    found = []
    for chosen in itertools.combinations(range(len(edges)), n - 1):
        part = np.arange(n)
        for e in chosen:
            part[part == part[edges[e][0]]] = part[edges[e][1]]
        if (part == part[0]).all():
            found.append(np.isin(np.arange(len(edges)), chosen).astype(float))
    return np.array(found)


def assignment(n: int) -> Program:
    ones = np.ones(n)
    rows = np.vstack([np.kron(np.eye(n), ones), np.kron(ones, np.eye(n))])
    return Program(rows, np.ones(2 * n), np.ones(2 * n), np.zeros(n * n), np.ones(n * n))


def from_vertices(
    vertices: np.ndarray, costs: np.ndarray, fixed: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return distance and the index of the vertex across the nearest tie, by the formula."""
    values = costs @ vertices.T + fixed
    distance, nearest = np.full(len(costs), np.inf), np.full(len(costs), -1)
    for i, row in enumerate(values):
        best = row.argmin()
        apart = np.linalg.norm(vertices - vertices[best], axis=1)
        other = np.flatnonzero(apart > 1e-9)
        if len(other):
            ratios = (row[other] - row[best]) / apart[other]
            distance[i], nearest[i] = ratios.min(), other[ratios.argmin()]
    return distance, nearest


KNAPSACK = Knapsack([[3.0, 4.0, 5.0, 6.0, 2.0, 3.0], [1.0, 4.0, 1.0, 2.0, 5.0, 3.0]], [11.0, 9.0])
FITTING = subsets(6)[(subsets(6) @ KNAPSACK.weights.T <= KNAPSACK.capacities).all(1)]
SAME_FIELD = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]])
NETWORK = [(0, 1), (1, 2), (3, 2), (3, 0), (0, 2), (2, 4), (3, 4), (4, 3)]
CASES: dict[str, tuple[Oracle, np.ndarray]] = {
    "diverse-matching": (
        DiverseMatching(SAME_FIELD, 0.4, 0.25),
        feasible(DiverseMatching(SAME_FIELD, 0.4, 0.25).program()),
    ),
    "grid-matching": (GridPerfectMatching(3, 4), feasible(GridPerfectMatching(3, 4).program())),
    "ranking": (Ranking(5), np.array(list(itertools.permutations(np.arange(1.0, 6.0))))),
    "ranking-weights": (
        Ranking(4, [3.0, 0.0, 0.5, 0.5]),
        np.unique(list(itertools.permutations([3.0, 0.0, 0.5, 0.5])), axis=0),
    ),
    "spanning-tree": (MinimumSpanningTree(5, NETWORK), trees(5, NETWORK)),
    "box": (Box(5), subsets(5)),
    "simplex": (Simplex(5), np.eye(5)),
    "simplex-pair": (Simplex(2), np.eye(2)),
    "top-k": (TopK(7, 3), subsets(7)[subsets(7).sum(1) == 3]),
    "grid": (GridShortestPath(4, 4), paths(4, 4)),
    "grid-wide": (GridShortestPath(2, 6), paths(2, 6)),
    "grid-tall": (GridShortestPath(5, 3), paths(5, 3)),
    "grid-6": (GridShortestPath(6, 6), paths(6, 6)),
    "network-grid": (LinearProgram(GridShortestPath(4, 5).program()), paths(4, 5)),
    "assignment": (Assignment(4), permutations(4)),
    "network-assignment": (LinearProgram(assignment(4)), permutations(4)),
    "knapsack": (KNAPSACK, FITTING),
    "counting": (Counting(GridShortestPath(3, 3)), paths(3, 3)),
    "program-top-k": (
        LinearProgram(TopK(6, 2).program()),
        subsets(6)[subsets(6).sum(1) == 2],
    ),
    "program-box": (LinearProgram(Box(4).program()), subsets(4)),
}
every = pytest.mark.parametrize("name", CASES)


def draw(name: str, n: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, CASES[name][1].shape[1]))


@every
def test_the_distance_is_that_of_all_vertices(name: str) -> None:
    oracle, vertices = CASES[name]
    costs = draw(name)
    before = costs.copy()
    found = degeneracy_distance(oracle, costs)
    expected, _ = from_vertices(vertices, costs)
    assert found.distance.shape == (60,)
    assert found.exact.all()
    assert found.exact.dtype == bool
    np.testing.assert_allclose(found.distance, expected, atol=1e-10)
    np.testing.assert_array_equal(costs, before)


@every
def test_the_decision_changes_at_the_distance_and_not_before(name: str) -> None:
    oracle, vertices = CASES[name]
    rng = np.random.default_rng(1)
    costs = draw(name, n=20)
    distance = degeneracy_distance(oracle, costs).distance[:, None]
    decisions = oracle.solve(costs).decisions
    for _ in range(5):
        step = rng.normal(size=costs.shape)
        step *= 0.999 * distance / np.linalg.norm(step, axis=1, keepdims=True)
        moved = oracle.solve(costs + step).decisions
        np.testing.assert_allclose(moved, decisions, atol=1e-9)
    # straight toward the vertex across the nearest tie
    toward = decisions - vertices[from_vertices(vertices, costs)[1]]
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    inside = oracle.solve(costs + (1 - 1e-5) * distance * toward).decisions
    np.testing.assert_allclose(inside, decisions, atol=1e-9)
    beyond = oracle.solve(costs + (1 + 1e-5) * distance * toward).decisions
    assert (np.abs(beyond - decisions).max(axis=1) > 0.1).all()


@every
def test_it_is_homogeneous_and_changes_no_more_than_the_costs(name: str) -> None:
    oracle, _ = CASES[name]
    costs, other = draw(name, seed=2), draw(name, seed=3) * 0.3
    distance = degeneracy_distance(oracle, costs).distance
    for factor in (1e-6, 7.0, 1e6):
        scaled = degeneracy_distance(oracle, factor * costs).distance
        np.testing.assert_allclose(scaled, factor * distance, rtol=1e-8, atol=1e-10 * factor)
    change = degeneracy_distance(oracle, costs + other).distance - distance
    assert (np.abs(change) <= np.linalg.norm(other, axis=1) + 1e-9).all()


@every
def test_all_optima_are_all_vertices_of_a_tie(name: str) -> None:
    oracle, vertices = CASES[name]
    costs = np.random.default_rng(4).integers(-1, 2, (15, vertices.shape[1])).astype(float)
    costs[0] = 0.0
    found = all_optima(oracle, costs)
    distance = degeneracy_distance(oracle, costs).distance
    assert len(found) == 15
    for row, decisions, margin in zip(costs, found, distance, strict=True):
        values = vertices @ row
        expected = {tuple(v) for v in vertices[values == values.min()]}
        assert {tuple(v) for v in decisions.round(9) + 0.0} == expected
        assert len(decisions) == len(expected)
        # zero exactly at ties
        assert (margin < 1e-9) == (len(expected) > 1)


def test_values_of_a_maximizing_oracle() -> None:
    costs = draw("top-k")
    oracle = TopK(7, 3)
    for wrapped in (Maximize(oracle), Counting(Maximize(oracle)), Maximize(Counting(oracle))):
        found = degeneracy_distance(wrapped, -costs).distance
        np.testing.assert_array_equal(found, degeneracy_distance(oracle, costs).distance)
    tied = all_optima(Maximize(Simplex()), [[3.0, 1.0, 3.0]])
    np.testing.assert_array_equal(tied[0], [[1, 0, 0], [0, 0, 1]])


def test_hand_values() -> None:
    assert degeneracy_distance(Simplex(), [[3.0, 1.0, 2.0]]).distance[0] == pytest.approx(
        math.sqrt(0.5)
    )
    assert degeneracy_distance(Box(), [[3.0, -0.25]]).distance[0] == 0.25
    # the way round the square costs 3 more and shares no edge with the best
    grid = degeneracy_distance(GridShortestPath(2, 2), [[1.0, 4.0, 2.0, 2.0]])
    assert grid.distance[0] == 1.5
    ball = degeneracy_distance(Ball(2, radius=3.0), [[3.0, 4.0], [3e-200, 4e-200]])
    np.testing.assert_allclose(ball.distance, [5.0, 5e-200])
    assert degeneracy_distance(Ellipsoid(np.diag([1.0, 4.0])), [[3.0, 4.0]]).distance[0] == 5.0
    one = degeneracy_distance(GridShortestPath(1, 4), [[1.0, 2.0, 3.0]])
    assert np.isinf(one.distance[0])
    assert one.exact[0]
    assert np.isinf(degeneracy_distance(Simplex(1), [[2.0]]).distance[0])
    assert np.isinf(degeneracy_distance(TopK(3, 3), [[2.0, 1.0, 5.0]]).distance[0])
    none = degeneracy_distance(Box(3), np.zeros((0, 3)))
    assert none.distance.shape == none.exact.shape == (0,)
    assert all_optima(Box(3), np.zeros((0, 3))) == []


def test_smooth_sets_within_the_simplex() -> None:
    costs = np.random.default_rng(0).normal(size=(40, 5))
    off = np.linalg.norm(costs - costs.mean(1, keepdims=True), axis=1)
    found = degeneracy_distance(LogBarrierSimplex(5), costs)
    np.testing.assert_allclose(found.distance, off)
    np.testing.assert_allclose(degeneracy_distance(EntropyBall(5), costs).distance, off)
    whole = degeneracy_distance(EntropyBall(5, level=0.999 * math.log(5)), costs).distance
    np.testing.assert_allclose(whole, degeneracy_distance(Simplex(5), costs).distance)
    # between the two: three costs must tie for a flat face, since equal weights on two are outside
    level = (math.log(5 / 3) + math.log(5 / 2)) / 2
    least = np.sort(costs, axis=1)[:, :3]
    expected = np.linalg.norm(least - least.mean(1, keepdims=True), axis=1)
    np.testing.assert_allclose(degeneracy_distance(EntropyBall(5, level), costs).distance, expected)
    for oracle in (Ball(5), LogBarrierSimplex(5), EntropyBall(5)):
        decisions = oracle.solve(costs).decisions
        np.testing.assert_array_equal(np.concatenate(all_optima(oracle, costs)), decisions)
        with pytest.raises(InvalidInputError, match=r"instance 1 of .*infinitely many"):
            all_optima(oracle, [[1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5])


def test_masks_and_other_data_of_each_instance() -> None:
    rng = np.random.default_rng(0)
    costs, mask = rng.normal(size=(30, 6)), rng.random((30, 6)) < 0.6
    mask[:, :2] = True
    mask[0, 2:] = False
    for oracle, vertices in (
        (Box(6), subsets(6)),
        (Simplex(6), np.eye(6)),
        (TopK(6, 2), subsets(6)[subsets(6).sum(1) == 2]),
        (KNAPSACK, FITTING),
    ):
        found = degeneracy_distance(oracle, costs, {"mask": mask})
        ones = np.zeros_like(costs)
        tied = all_optima(oracle, ones, {"mask": mask.astype(int)})
        for i in range(30):
            own = vertices[~vertices[:, ~mask[i]].any(1)]
            expected, _ = from_vertices(own, costs[i : i + 1])
            assert found.distance[i] == pytest.approx(expected[0], abs=1e-12)
            assert {tuple(v) for v in tied[i]} == {tuple(v) for v in own}
    weights, capacities = rng.uniform(1, 5, (30, 2, 6)), rng.uniform(3, 12, (30, 2))
    instance = {"weights": weights, "capacities": capacities}
    found = degeneracy_distance(KNAPSACK, costs, instance)
    for i in range(30):
        own = subsets(6)[(subsets(6) @ weights[i].T <= capacities[i]).all(1)]
        expected, _ = from_vertices(own, costs[i : i + 1])
        assert found.distance[i] == pytest.approx(expected[0], abs=1e-12)


def polytope_vertices(program: Program) -> np.ndarray:
    """Return all vertices of a small polytope: every choice of k tight rows and bounds."""
    k = program.n_variables
    everything = np.vstack([program.A.toarray(), np.eye(k)])
    low = np.concatenate([program.row_lower, program.lower])
    high = np.concatenate([program.row_upper, program.upper])
    sides = [(a, b) for a, b in zip(np.vstack([everything] * 2), [*low, *high], strict=True)]
    sides = [(a, b) for a, b in sides if np.isfinite(b)]
    found = []
    for chosen in itertools.combinations(sides, k):
        a, b = np.array([s[0] for s in chosen]), np.array([s[1] for s in chosen])
        if abs(np.linalg.det(a)) > 1e-9:
            x = np.linalg.solve(a, b)
            if program.violation(x) < 1e-9:
                found.append(x)
    return np.unique(np.array(found).round(10), axis=0)


@pytest.mark.parametrize("seed", range(6))
def test_linear_programs_against_their_vertices(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(3, 4))
    inside = rng.uniform(0.2, 0.8, 4)
    lower = np.array([-np.inf, A[1] @ inside, A[2] @ inside - 1])
    upper = np.array([A[0] @ inside + 0.3, A[1] @ inside, A[2] @ inside + 0.5])
    decision_map = sp.csr_array(rng.normal(size=(3, 4))) if seed % 2 else None
    fixed = rng.normal(size=4) if seed % 3 == 1 else np.zeros(4)
    program = Program(A, lower, upper, np.zeros(4), np.ones(4), None, fixed, decision_map)
    x = polytope_vertices(program)
    costs = rng.normal(size=(40, program.n_costs))
    found = degeneracy_distance(LinearProgram(program), costs)
    expected, _ = from_vertices(x @ program.decision_map.T, costs, x @ fixed)
    assert found.exact.all()
    np.testing.assert_allclose(found.distance, expected, atol=1e-9)


def test_degenerate_vertices_of_linear_programs() -> None:
    rng = np.random.default_rng(0)
    # a pyramid: four faces meet at the apex, and more planes touch it there
    faces = np.array([[1, 0, 1], [-1, 0, 1], [0, 1, 1], [0, -1, 1], [0.3, 0.3, 1], [0, 0.5, 1]])
    program = Program(faces, np.full(6, -np.inf), np.ones(6), [-1, -1, 0], [1, 1, 1])
    corners = np.array([[1, 1, 0], [1, -1, 0], [-1, 1, 0], [-1, -1, 0], [0, 0, 1]], dtype=float)
    costs = rng.normal(size=(200, 3)) - [0, 0, 1.5]
    found = degeneracy_distance(LinearProgram(program), costs)
    assert (LinearProgram(program).solve(costs).decisions[:, 2] > 0.5).sum() > 50
    assert found.exact.all()
    np.testing.assert_allclose(found.distance, from_vertices(corners, costs)[0], atol=1e-9)


def test_permutations_as_a_degenerate_linear_program() -> None:
    costs = np.random.default_rng(1).normal(size=(25, 25))
    expected, _ = from_vertices(permutations(5), costs)
    distance, exact = general.distance_to_edges(assignment(5), costs)
    assert exact.mean() > 0.9
    np.testing.assert_allclose(distance[exact], expected[exact], atol=1e-9)
    assert (distance <= expected + 1e-9).all()


def test_what_is_too_degenerate_is_a_lower_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = np.random.default_rng(2).normal(size=(40, 25))
    expected, _ = from_vertices(permutations(5), costs)
    monkeypatch.setattr(general, "_MOST_RAYS", 20)
    distance, exact = general.distance_to_edges(assignment(5), costs)
    assert 0 < exact.sum() < 40
    assert (distance >= 0).all()
    assert (distance[~exact] < expected[~exact] + 1e-9).all()
    np.testing.assert_allclose(distance[exact], expected[exact], atol=1e-9)


def test_networks_are_told_from_other_programs() -> None:
    assert network_arcs(assignment(4)) is not None
    assert network_arcs(GridShortestPath(3, 3).program()) is not None
    # edges of a triangle with signs of an odd cycle: no flow
    odd = Program(
        [[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]],
        [1.0] * 3, [1.0] * 3, np.zeros(3), np.ones(3),
    )  # fmt: skip
    assert network_arcs(odd) is None
    assert network_arcs(Knapsack([[1.0, 1.0]], [1.0]).program()) is None


def test_networks_with_cycles_parallel_arcs_and_fixed_ones() -> None:
    rng = np.random.default_rng(0)
    for seed in range(15):
        rng = np.random.default_rng(seed)
        d, m = 8, 4
        tails, heads = rng.integers(0, m, (2, d))
        A = np.zeros((m, d))
        np.add.at(A, (tails, np.arange(d)), 1.0)
        np.add.at(A, (heads, np.arange(d)), -1.0)  # loops cancel
        A *= rng.choice([-1.0, 1.0], (m, 1))
        flow = rng.integers(0, 2, d)
        upper = np.where(rng.random(d) < 0.2, flow, 1.0)
        program = Program(A[:3], A[:3] @ flow, A[:3] @ flow, np.zeros(d), upper)
        assert network_arcs(program) is not None
        points = subsets(d)
        points = points[(points <= upper).all(1) & (points @ A[:3].T == A[:3] @ flow).all(1)]
        costs = rng.normal(size=(10, d))
        found = degeneracy_distance(LinearProgram(program), costs)
        expected, _ = from_vertices(points, costs)
        np.testing.assert_allclose(found.distance, expected, atol=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_binary_programs_by_strata_against_all_points(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    d = 9
    A = rng.integers(-3, 6, (2, d)).astype(float)
    chosen = sp.csr_array(sp.eye_array(d).tocsr()[::2]) if seed == 3 else None
    fixed = rng.normal(size=d) if seed >= 2 else np.zeros(d)
    program = Program(
        A, [-np.inf, 2.0], [9.0, 11.0], np.zeros(d), np.ones(d), np.ones(d), fixed, chosen
    )
    points = subsets(d)
    points = points[((points @ A.T <= [9, 11]) & (points @ A.T >= [-np.inf, 2])).all(1)]
    costs = rng.normal(size=(8, program.n_costs))
    oracle = MixedIntegerProgram(program)
    expected, _ = from_vertices(points @ program.decision_map.T, costs, points @ fixed)
    np.testing.assert_allclose(degeneracy_distance(oracle, costs).distance, expected, atol=1e-9)
    monkeypatch.setattr(general, "ENUMERABLE", 1)
    found = degeneracy_distance(oracle, costs)
    assert found.exact.all()
    np.testing.assert_allclose(found.distance, expected, atol=1e-9)
    whole = rng.integers(-1, 2, (4, program.n_costs)).astype(float)
    if seed < 2:
        for row, tied in zip(whole, all_optima(oracle, whole), strict=True):
            values = points @ row
            best = {tuple(v) for v in points[values == values.min()]}
            assert len(tied) == len(best)
            assert {tuple(v) for v in tied} == best


def test_integers_beyond_one_are_enumerated() -> None:
    rng = np.random.default_rng(0)
    program = Program([[2.0, 3.0, 1.0]], [1.0], [8.0], [-1, 0, 0], [2, 3, 2], [True] * 3)
    points = np.array(list(itertools.product(range(-1, 3), range(4), range(3))), dtype=float)
    points = points[(points @ [2, 3, 1] <= 8) & (points @ [2, 3, 1] >= 1)]
    costs = rng.normal(size=(20, 3))
    found = degeneracy_distance(MixedIntegerProgram(program), costs)
    np.testing.assert_allclose(found.distance, from_vertices(points, costs)[0], atol=1e-10)


def test_a_set_of_one_point_is_never_at_a_tie() -> None:
    one = Program([[1.0, 1.0]], [2.0], [2.0], [0.0, 0.0], [1.0, 1.0])
    for oracle in (
        LinearProgram(one),
        MixedIntegerProgram(Program(one.A, [2.0], [2.0], [0, 0], [1, 1], [True, True])),
        LinearProgram(Program([[1.0, 1.0]], [-np.inf], [2.0], [0.5, 0.5], [0.5, 0.5])),
    ):
        found = degeneracy_distance(oracle, [[1.0, -2.0]])
        assert np.isinf(found.distance[0])
        assert found.exact[0]


def test_any_number_of_threads_gives_the_same() -> None:
    for name in ("grid", "network-assignment"):
        costs = draw(name, n=1100)
        found = []
        try:
            for threads in (1, 3):
                set_threads(threads)
                tied = all_optima(CASES[name][0], costs.round()[:50])
                found.append((degeneracy_distance(CASES[name][0], costs).distance, tied))
        finally:
            set_threads(None)
        np.testing.assert_array_equal(found[0][0], found[1][0])
        np.testing.assert_array_equal(np.concatenate(found[0][1]), np.concatenate(found[1][1]))


def test_batches_are_loops() -> None:
    for name in ("grid", "knapsack", "top-k"):
        costs = draw(name, n=7)
        whole = degeneracy_distance(CASES[name][0], costs).distance
        alone = [degeneracy_distance(CASES[name][0], c[None]).distance[0] for c in costs]
        np.testing.assert_allclose(whole, alone, rtol=1e-12)


def test_the_limit_on_optima() -> None:
    for oracle in (Box(4), TopK(6, 3), GridShortestPath(3, 4), KNAPSACK):
        costs = np.random.default_rng(0).normal(size=(3, oracle.n_costs))
        costs[2] = 0.0
        count = len(all_optima(oracle, costs)[2])
        assert len(all_optima(oracle, costs, limit=count)[2]) == count
        with pytest.raises(InvalidInputError, match=r"instance 2 of .* optimal decisions.*limit"):
            all_optima(oracle, costs, limit=count - 1)
    near = [[1.0, 1.0 + 1e-4, 2.0]]
    assert len(all_optima(Simplex(), near)[0]) == 1
    assert len(all_optima(Simplex(), near, tolerance=1e-3)[0]) == 2
    with pytest.raises(InvalidInputError, match="limit=0"):
        all_optima(Box(), near, limit=0)
    with pytest.raises(InvalidInputError, match="tolerance=-1"):
        all_optima(Box(), near, tolerance=-1)


@final
class Stopped(AbstractOracle):
    """An oracle whose second instance ran out of time."""

    n_costs = 2

    def _solve(self, costs: np.ndarray, instance: object) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros_like(costs), np.array([Status.OPTIMAL, Status.FEASIBLE])


def test_refusals() -> None:
    no_form = FromCallable(lambda c: np.eye(3)[c.argmin()], n_costs=3)
    for ask in (degeneracy_distance, all_optima):
        with pytest.raises(UnsupportedError, match=r"FromCallable.*matrix form"):
            ask(no_form, [[1.0, 2.0, 3.0]])
        with pytest.raises(InvalidInputError, match="instance 1, coordinate 0"):
            ask(Box(2), [[1.0, 2.0], [np.nan, 1.0]])
        with pytest.raises(InvalidInputError, match="got 3 costs per instance, expected 2"):
            ask(Box(2), [[1.0, 2.0, 3.0]])
        with pytest.raises(InvalidInputError, match="array of numbers"):
            ask(Box(2), [["a", "b"]])
        with pytest.raises(InfeasibleError, match="instance 0"):
            ask(Simplex(2), [[1.0, 2.0]], {"mask": np.zeros((1, 2))})
        with pytest.raises(SolverError, match=r"instance 1: a limit on time or gap"):
            ask(Stopped(), np.ones((2, 2)))
        wide = Program(np.ones((1, 2)), [0.0], [9.0], [0, 0], [1e6, 9.0], [True, True])
        with pytest.raises(UnsupportedError, match=r"MixedIntegerProgram.*not binary"):
            ask(MixedIntegerProgram(wide), [[1.0, 2.0]])
    with pytest.raises(UnsupportedError, match="LinearProgram cannot be enumerated"):
        all_optima(LinearProgram(Program([[1.0, 2.0]], [0], [2], [0, 0], [1, 1])), [[1.0, 2.0]])


def test_a_cache_in_between_changes_nothing() -> None:
    costs = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]])
    for oracle in (Ball(3), Box(3), Simplex(3)):
        plain = degeneracy_distance(oracle, costs)
        for wrapped in (Counting(Cached(oracle)), Parallel(oracle)):
            found = degeneracy_distance(wrapped, costs)
            np.testing.assert_array_equal(plain.distance, found.distance)
            assert found.exact.all()


def test_a_basis_that_leads_nowhere_is_given_up(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    oracle = LinearProgram(Program(np.ones((1, 4)), [2.0], [2.0], np.zeros(4), np.ones(4)))
    costs = rng.normal(size=(5, 4))
    expected = degeneracy_distance(TopK(4, 2), costs).distance
    run, failures = general.run_highs, []

    def stuck_once(highs):
        status = run(highs)
        if len(failures) < 1:
            failures.append(status)
            return None
        return status

    monkeypatch.setattr(general, "run_highs", stuck_once)
    ratios, _ = general.distance_to_edges(oracle.program(), costs)
    np.testing.assert_allclose(ratios, expected)
    assert failures
    monkeypatch.setattr(general, "run_highs", lambda highs: None)
    with pytest.raises(SolverError, match="instance 0: HiGHS found no best vertex"):
        general.distance_to_edges(oracle.program(), costs)
