"""TravelingSalesman against enumeration, a plain dynamic program and integer programming."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from dfl_solvers.exceptions import InvalidInputError, SolverError
from dfl_solvers.kernels import run, set_threads
from dfl_solvers.oracle import Status
from dfl_solvers.problems import _tour_cuts, traveling_salesman
from dfl_solvers.problems._held_karp import shortest_tours
from dfl_solvers.problems._tour_cuts import HotTours, small_cuts
from dfl_solvers.problems._tour_search import search_tours
from dfl_solvers.problems.mixed_integer_program import MixedIntegerProgram
from dfl_solvers.problems.traveling_salesman import TravelingSalesman
from dfl_solvers.testing import check_oracle

KINDS = ("uniform", "normal", "ties", "euclidean", "skewed", "shifted")


def draw(kind: str, n_instances: int, n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = n_instances, n * (n - 1) // 2
    i, j = np.triu_indices(n, 1)
    if kind == "uniform":
        return rng.uniform(size=shape)
    if kind == "normal":
        return rng.normal(size=shape)
    if kind == "ties":
        return rng.integers(-1, 3, shape).astype(float)
    if kind == "euclidean":
        points = rng.uniform(size=(n_instances, n, 2))
        return np.ascontiguousarray(np.linalg.norm(points[:, i] - points[:, j], axis=2))
    if kind == "skewed":
        return np.exp(4 * rng.normal(size=shape)) * rng.choice([-1, 1], shape)
    # potentials shift every tour alike
    potentials = 50 * rng.normal(size=(n_instances, n))
    return rng.uniform(size=shape) + potentials[:, i] + potentials[:, j]


def search(costs: np.ndarray, trees: int = 10**8) -> tuple[np.ndarray, np.ndarray]:
    decisions, status = np.zeros(costs.shape), np.empty(len(costs), dtype=np.int8)
    run(search_tours, len(costs), costs, trees, decisions, status)
    return decisions, status


def table(costs: np.ndarray) -> np.ndarray:
    decisions = np.zeros(costs.shape)
    run(shortest_tours, len(costs), costs, decisions)
    return decisions


def cut(costs: np.ndarray, n: int) -> np.ndarray:
    """Solve by integer programming, from the tour 0, 1, 2, ..."""
    hot = HotTours(n)
    tour = indicator(range(n), n)
    found = [hot.solve(row, tour) for row in costs]
    assert all(status == Status.OPTIMAL for _, status in found)
    return np.array([decision for decision, _ in found])


def indicator(tour, n: int) -> np.ndarray:
    matrix = np.zeros((n, n))
    tour = np.array(tour)
    matrix[tour, np.roll(tour, 1)] = matrix[np.roll(tour, 1), tour] = 1
    return matrix[np.triu_indices(n, 1)]


def check_tours(decisions: np.ndarray, n: int) -> None:
    for decision in decisions:
        assert set(np.unique(decision)) <= {0.0, 1.0}
        used = np.zeros((n, n))
        used[np.triu_indices(n, 1)] = decision
        assert ((used + used.T).sum(axis=0) == 2).all()
        assert connected_components(used, directed=False)[0] == 1


def lengths(costs: np.ndarray, decisions: np.ndarray) -> np.ndarray:
    return np.vecdot(costs, decisions)


def assert_same_lengths(costs, decisions, others) -> None:
    size = np.abs(costs).max(axis=1)
    gaps = np.abs(lengths(costs, decisions) - lengths(costs, others))
    assert (gaps <= 1e-9 * size).all()


def held_karp(costs: np.ndarray, n: int) -> float:
    """Length of an optimal tour, by the textbook recursion."""
    matrix = np.zeros((n, n))
    matrix[np.triu_indices(n, 1)] = costs
    matrix += matrix.T
    m = n - 1
    best = np.full((1 << m, m), np.inf)
    for s in range(1, 1 << m):
        for j in range(m):
            if s == 1 << j:
                best[s, j] = matrix[m, j]
            elif s >> j & 1:
                best[s, j] = (best[s ^ (1 << j)] + matrix[j, :m]).min()
    return float((best[-1] + matrix[m, :m]).min())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_no_tour_is_shorter(n: int, kind: str) -> None:
    tours = [indicator((0, *order), n) for order in itertools.permutations(range(1, n))]
    costs = draw(kind, 40, n, seed=n)
    best = (costs @ np.array(tours).T).min(axis=1)
    for decisions in (table(costs), search(costs)[0], TravelingSalesman(n).solve(costs).decisions):
        check_tours(decisions, n)
        gaps = lengths(costs, decisions) - best
        assert (np.abs(gaps) <= 1e-9 * np.abs(costs).max(axis=1)).all()


@pytest.mark.parametrize("n", [9, 12])
def test_agrees_with_a_plain_dynamic_program(n: int) -> None:
    oracle = TravelingSalesman(n)
    for kind in KINDS:
        costs = draw(kind, 3, n, seed=n)
        best = [held_karp(row, n) for row in costs]
        for found in (oracle.solve(costs).objectives, lengths(costs, table(costs))):
            assert (np.abs(found - best) <= 1e-9 * np.abs(costs).max(axis=1)).all()


def test_agrees_with_highs_on_the_compact_program() -> None:
    oracle = TravelingSalesman(9)
    general = MixedIntegerProgram(oracle.program())
    for kind in ("uniform", "normal", "ties"):
        costs = draw(kind, 3, 9)
        expected = general.solve(costs)
        check_tours(np.round(expected.decisions), 9)
        np.testing.assert_allclose(oracle.solve(costs).objectives, expected.objectives, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [8, 10, 11])
def test_the_search_agrees_with_the_table(n: int, kind: str) -> None:
    costs = draw(kind, 300, n, seed=1)
    decisions, status = search(costs)
    assert (status == Status.OPTIMAL).all()
    check_tours(decisions[:50], n)
    assert_same_lengths(costs, decisions, table(costs))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [12, 15, 20])
def test_the_search_agrees_with_cuts(n: int, kind: str) -> None:
    costs = draw(kind, 6, n, seed=2)
    decisions, status = search(costs)
    assert (status == Status.OPTIMAL).all()
    cuts = cut(costs, n)
    check_tours(decisions, n)
    check_tours(cuts, n)
    assert_same_lengths(costs, decisions, cuts)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uniform", "normal", "ties", "euclidean"])
def test_forty_cities_two_ways(kind: str) -> None:
    costs = draw(kind, 5, 40, seed=3)
    decisions, status = search(costs)
    assert (status == Status.OPTIMAL).all()
    cuts = cut(costs, 40)
    check_tours(decisions, 40)
    check_tours(cuts, 40)
    assert_same_lengths(costs, decisions, cuts)


def test_what_the_search_gives_up_is_still_exact(monkeypatch) -> None:
    costs = draw("euclidean", 30, 14)
    expected, _ = search(costs)
    tours, status = search(costs, trees=10)
    check_tours(tours, 14)
    assert (status == Status.FAILED).any()
    monkeypatch.setattr(traveling_salesman, "_TREES", 10)
    solution = TravelingSalesman(14).solve(costs)
    check_tours(solution.decisions, 14)
    assert (solution.status == Status.OPTIMAL).all()
    assert_same_lengths(costs, solution.decisions, expected)


def test_a_failure_of_highs_is_reported(monkeypatch) -> None:
    monkeypatch.setattr(traveling_salesman, "_TREES", 0)
    monkeypatch.setattr(_tour_cuts, "run_highs", lambda model: None)
    costs = draw("euclidean", 5, 14)
    with pytest.raises(SolverError, match="TravelingSalesman: instance"):
        TravelingSalesman(14).solve(costs)


def test_cuts_serve_later_instances_and_are_dropped_in_the_end(monkeypatch) -> None:
    hot = HotTours(12)
    costs = draw("euclidean", 12, 12)
    tour = indicator(range(12), 12)
    first = [hot.solve(row, tour)[0] for row in costs]
    kept = hot._pair().n_cuts
    assert kept > 0
    again = [hot.solve(row, tour)[0] for row in costs]
    assert_same_lengths(costs, np.array(again), np.array(first))
    assert hot._pair().n_cuts == kept  # nothing new to learn
    monkeypatch.setattr(_tour_cuts, "_KEPT", 0)
    assert hot._pair().n_cuts == 0


@pytest.mark.parametrize("seed", range(20))
def test_small_cuts_find_a_minimum_cut(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 8
    capacity = np.triu(rng.uniform(size=(n, n)) * (rng.uniform(size=(n, n)) < 0.5), 1)
    capacity += capacity.T
    weights = {}
    for bits in range(1, 1 << (n - 1)):
        side = (bits >> np.arange(n)) & 1 > 0
        weights[bits] = capacity[side][:, ~side].sum()
    least = min(weights.values())
    assert len(small_cuts(capacity, least - 1e-9)) == 0
    sides = small_cuts(capacity, least + 1e-9)
    assert len(sides) > 0
    for side in small_cuts(capacity, 1.0):
        assert capacity[side][:, ~side].sum() < 1.0


@pytest.mark.parametrize("n", [7, 16])
def test_names_of_cities_do_not_matter(n: int, rng) -> None:
    costs = draw("normal", 40, n)
    matrix = np.zeros((40, n, n))
    i, j = np.triu_indices(n, 1)
    matrix[:, i, j] = matrix[:, j, i] = costs
    order = rng.permutation(n)
    renamed = matrix[:, order][:, :, order][:, i, j]
    oracle = TravelingSalesman(n)
    np.testing.assert_allclose(
        oracle.solve(renamed).objectives, oracle.solve(costs).objectives, atol=1e-9
    )


@pytest.mark.parametrize("n", [7, 16])
def test_potentials_of_cities_do_not_matter(n: int, rng) -> None:
    costs = draw("uniform", 40, n)
    oracle = TravelingSalesman(n)
    potentials = rng.normal(size=(40, n))
    i, j = oracle.edges().T
    shifted = costs + potentials[:, i] + potentials[:, j]
    np.testing.assert_allclose(
        oracle.solve(shifted).objectives,
        oracle.solve(costs).objectives + 2 * potentials.sum(axis=1),
        atol=1e-9,
    )


def test_a_point_polygon_is_walked_around() -> None:
    n = 25
    angles = 2 * np.pi * np.arange(n) / n
    points = np.column_stack([np.cos(angles), np.sin(angles)])
    oracle = TravelingSalesman(n)
    i, j = oracle.edges().T
    costs = np.linalg.norm(points[i] - points[j], axis=1)[None]
    np.testing.assert_array_equal(oracle.solve(costs).decisions[0], indicator(range(n), n))


@pytest.mark.parametrize("n", [3, 5, 12])
def test_equal_and_extreme_costs(n: int) -> None:
    oracle = TravelingSalesman(n)
    base = draw("normal", 4, n)
    for costs in (np.zeros_like(base), np.full_like(base, -7.0)):
        check_tours(oracle.solve(costs).decisions, n)
    expected = oracle.solve(base).decisions
    for exponent in (-1000, 900):  # a power of two changes no comparison
        found = oracle.solve(np.ldexp(base, exponent)).decisions
        np.testing.assert_array_equal(found, expected)


def test_three_cities_have_one_tour() -> None:
    solution = TravelingSalesman(3).solve(np.array([[1.0, -2.0, 4.0]]))
    np.testing.assert_array_equal(solution.decisions, [[1.0, 1.0, 1.0]])
    assert solution.objectives[0] == 3.0


def test_edges_are_the_upper_triangle_row_by_row() -> None:
    np.testing.assert_array_equal(
        TravelingSalesman(4).edges(), [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    )


@pytest.mark.parametrize("n", [9, 13])
def test_batches_threads_and_pickles_agree(n: int) -> None:
    costs = draw("ties", 1200, n)
    oracle = TravelingSalesman(n)
    try:
        set_threads(1)
        one = oracle.solve(costs).decisions
        set_threads(3)
        three = oracle.solve(costs).decisions
    finally:
        set_threads(None)
    np.testing.assert_array_equal(one, three)
    copy = pickle.loads(pickle.dumps(oracle))  # noqa: S301
    for i in (0, 7):
        np.testing.assert_array_equal(copy.solve(costs[i : i + 1]).decisions[0], one[i])
    assert repr(oracle) == f"TravelingSalesman(n_cities={n})"


@pytest.mark.parametrize("n", [3, 5, 6])
def test_the_contract(n: int) -> None:
    check_oracle(TravelingSalesman(n), n_instances=6)


@pytest.mark.slow
def test_the_contract_of_the_search() -> None:
    check_oracle(TravelingSalesman(11), n_instances=3)


@pytest.mark.parametrize("n_cities", [2, 0, -1, 4.0, "4"])
def test_wrong_numbers_of_cities_are_refused(n_cities) -> None:
    with pytest.raises(InvalidInputError, match=r"got n_cities=.*expected an integer"):
        TravelingSalesman(n_cities)


def test_wrong_numbers_of_costs_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="got 5 costs per instance, expected 6"):
        TravelingSalesman(4).solve(np.zeros((2, 5)))


@pytest.mark.parametrize("n", [3, 5, 6, 9])
def test_tight_cuts_hold_for_every_tour_and_are_all_that_are_tight(n: int) -> None:
    oracle = TravelingSalesman(n)
    ends = oracle.edges()
    tours = oracle.solve(draw("uniform", 200, n)).decisions
    core = oracle.core_program()
    assert core.violation(tours) == 0
    # a set and its complement make one constraint, and two cities that of one edge
    sets = [
        np.isin(np.arange(n), part)
        for size in range(3, n // 2 + 1)
        for part in itertools.combinations(range(n), size)
        if 2 * size < n or 0 in part
    ]
    for tour in tours[:5]:
        cuts = oracle.tight_cuts(tour)
        assert len(cuts) == max(n * (n - 5) // 2, 0)
        most = cuts @ tour
        assert (tours @ cuts.T <= most).all()
        inner = [(s[ends[:, 0]] & s[ends[:, 1]]).astype(float) for s in sets]
        tight = [row for row, s in zip(inner, sets, strict=True) if row @ tour == s.sum() - 1]
        # of halves either may be listed, which are equal up to the degrees of cities
        halves = [s for s in sets if 2 * s.sum() == n]
        assert len(tight) == len(cuts)
        if not halves:
            assert sorted(map(tuple, cuts)) == sorted(map(tuple, tight))


def test_tight_cuts_are_those_of_tours() -> None:
    oracle = TravelingSalesman(6)
    triangles = np.zeros(15)
    triangles[[0, 1, 5, 12, 13, 14]] = 1.0  # 0-1-2 and 3-4-5
    for decision in (triangles, np.zeros(15)):
        with pytest.raises(InvalidInputError, match="no round trip of 6 cities"):
            oracle.tight_cuts(decision)
