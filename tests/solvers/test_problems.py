"""The closed-form and compiled oracles against brute force and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dfl_solvers import (
    Assignment,
    Ball,
    Box,
    EntropyBall,
    GridPerfectMatching,
    GridShortestPath,
    Knapsack,
    NodeGridShortestPath,
    Simplex,
    TopK,
)
from dfl_solvers.exceptions import InfeasibleError, InvalidInputError, UnsupportedError


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


@pytest.mark.parametrize(("rows", "cols"), [(3, 4), (4, 3), (2, 2), (1, 6), (6, 1), (5, 5)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_grid_finds_the_best_of_all_paths(rows: int, cols: int, dtype: type) -> None:
    rng = np.random.default_rng(0)
    oracle, all_paths = GridShortestPath(rows, cols), paths(rows, cols)
    for n in (1, 15, 16, 17, 33):  # around the number of lanes
        costs = rng.normal(size=(n, oracle.n_costs)).astype(dtype)
        found = oracle.solve(costs)
        assert found.decisions.dtype == dtype
        best = (costs.astype(float) @ all_paths.T).min(1)
        np.testing.assert_allclose(found.objectives, best, atol=1e-5)
        assert all((all_paths == w).all(1).any() for w in found.decisions)


def test_grid_has_the_published_edge_order_and_its_ties_go_right() -> None:
    edges = GridShortestPath(3, 3).edges()
    expected = [(0, 1), (1, 2), (0, 3), (1, 4), (2, 5), (3, 4), (4, 5), (3, 6), (4, 7), (5, 8),
                (6, 7), (7, 8)]  # fmt: skip
    assert list(map(tuple, edges)) == expected
    decision = GridShortestPath(3, 3).solve(np.zeros((1, 12))).decisions[0]
    assert [expected[k] for k in np.flatnonzero(decision)] == [(0, 1), (1, 2), (2, 5), (5, 8)]


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e12, 1e150])
def test_scale_does_not_matter(scale: float) -> None:
    costs = np.random.default_rng(0).normal(size=(30, 12))
    for oracle in (GridShortestPath(3, 3), Box(12), Simplex(12), TopK(12, 3)):
        a, b = oracle.solve(costs).decisions, oracle.solve(costs * scale).decisions
        np.testing.assert_array_equal(a, b)
    a, b = Ball(12).solve(costs).decisions, Ball(12).solve(costs * scale).decisions
    np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_knapsack_against_all_subsets(n_rows: int) -> None:
    rng = np.random.default_rng(n_rows)
    subsets = np.array(list(itertools.product([0.0, 1.0], repeat=9)))
    for _ in range(40):
        weights = rng.integers(0, 6, (n_rows, 9)) * rng.choice([1.0, 0.1])
        capacities = rng.integers(0, 12, n_rows) * rng.choice([1.0, 0.1])
        costs = rng.integers(-6, 3, (12, 9)).astype(float)
        fits = (subsets @ weights.T <= capacities + 1e-9).all(1)
        best = (costs @ subsets[fits].T).min(1)
        found = Knapsack(weights, capacities).solve(costs)
        np.testing.assert_array_equal(found.objectives, best)
        assert (found.decisions @ weights.T <= capacities + 1e-9).all()


def test_knapsack_data_of_each_instance() -> None:
    rng = np.random.default_rng(0)
    weights, capacities = rng.uniform(1, 5, (25, 2, 7)), rng.uniform(3, 12, (25, 2))
    mask, costs = rng.random((25, 7)) < 0.7, -rng.random((25, 7))
    oracle = Knapsack(weights[0], capacities[0])
    instance = {"weights": weights, "capacities": capacities, "mask": mask}
    found = oracle.solve(costs, instance)
    assert not found.decisions[~mask].any()
    for i in range(25):
        kept = mask[i]
        alone = Knapsack(weights[i][:, kept], capacities[i]).solve(costs[i : i + 1, kept])
        assert found.objectives[i] == pytest.approx(alone.objectives[0])
    with pytest.raises(InvalidInputError, match=r"'capacities' of shape \(25, 3\).*\(25, 2\)"):
        oracle.solve(costs, {"capacities": np.ones((25, 3))})
    weights[4, 0, 2] = -1
    with pytest.raises(InvalidInputError, match=r"'weights'.* is -1.0 at \(4, 0, 2\)"):
        oracle.solve(costs, {"weights": weights})


def test_masks_leave_coordinates_out() -> None:
    costs = np.array([[3.0, -1.0, 2.0], [1.0, 2.0, -3.0]])
    mask = np.array([[True, False, True], [True, True, False]])
    instance = {"mask": mask}
    np.testing.assert_array_equal(Box().solve(-costs, instance).decisions, [[1, 0, 1], [1, 1, 0]])
    np.testing.assert_array_equal(
        Simplex().solve(costs, instance).decisions, [[0, 0, 1], [1, 0, 0]]
    )
    np.testing.assert_array_equal(
        TopK(None, 2).solve(costs, instance).decisions, mask.astype(float)
    )
    with pytest.raises(InfeasibleError, match="TopK: instance 0"):
        TopK(3, 3).solve(costs, instance)
    with pytest.raises(InfeasibleError, match="Simplex: instance 1"):
        Simplex().solve(costs, {"mask": np.array([[True] * 3, [False] * 3])})
    with pytest.raises(InvalidInputError, match=r"mask of shape \(2, 2\), expected \(2, 3\)"):
        Box().solve(costs, {"mask": mask[:, :2]})


def test_ball_of_zero_costs_stays_finite() -> None:
    found = Ball(3, radius=2.0).solve(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 5.0]]))
    np.testing.assert_array_equal(found.decisions, [[0, 0, 0], [0, 0, -2]])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Box(0), "n=0"),
        (lambda: Simplex(-1), "n=-1"),
        (lambda: Ball(2, radius=0), "radius=0"),
        (lambda: Ball(2, radius=np.inf), "radius=inf"),
        (lambda: TopK(3, 4), "k=4"),
        (lambda: TopK(3, 0), "k=0"),
        (lambda: GridShortestPath(1, 1), "grid of 1 x 1"),
        (lambda: GridShortestPath(0, 5), "rows=0, expected an integer of at least 1"),
        (lambda: Knapsack([[1.0, -2.0]], [3.0]), r"weights is -2.0 at \(0, 1\)"),
        (lambda: Knapsack([[1.0, 2.0]], [np.nan]), r"capacities is nan at \(0,\)"),
        (lambda: Knapsack([[1.0, 2.0]], [1.0, 2.0]), r"shape \(1, 2\) and .* \(2,\)"),
        (lambda: Knapsack([1.0, 2.0], [1.0]), r"shape \(2,\)"),
    ],
)
def test_bad_parameters_are_named(make, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda n: Assignment(n),
        lambda n: EntropyBall(n),
        lambda n: GridPerfectMatching(n, n),
        lambda n: GridShortestPath(n, n),
        lambda n: NodeGridShortestPath(n, n),
    ],
)
def test_sizes_of_short_types_do_not_overflow(make) -> None:
    oracle, expected = make(np.int8(12)), make(12)
    assert oracle.n_costs == expected.n_costs
    assert repr(oracle) == repr(expected)


@pytest.mark.parametrize("oracle", [Box(), Simplex(), TopK(None, 2)], ids=repr)
def test_no_matrix_form_without_a_size(oracle) -> None:
    with pytest.raises(UnsupportedError, match="got n=None"):
        oracle.program()
