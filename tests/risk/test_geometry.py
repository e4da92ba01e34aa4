"""Size, width and curvature of sets: against vertices, directions, and points on the boundary."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.risk import SetGeometry, margin_certificate, set_geometry
from dfl_solvers import (
    Assignment,
    Ball,
    Box,
    Cached,
    Counting,
    Ellipsoid,
    EntropyBall,
    GridShortestPath,
    Knapsack,
    LogBarrierSimplex,
    Maximize,
    Newsvendor,
    Parallel,
    Pool,
    Simplex,
    TopK,
    WithBackend,
)

ELLIPSOID = Ellipsoid(np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 3.0]]), 0.7)
SETS = [
    Box(3),
    Simplex(4),
    Simplex(5),
    TopK(5, 2),
    TopK(6, 3),
    Ball(3, 0.5),
    ELLIPSOID,
    EntropyBall(5, 0.1),
    EntropyBall(50),
    LogBarrierSimplex(4, 6.0),
    GridShortestPath(2, 3),
    GridShortestPath(3, 3),
    Assignment(3),
]


def ranges(oracle, directions: np.ndarray) -> np.ndarray:
    """Widths of the set along directions of unit length."""
    return -oracle.solve(-directions).objectives - oracle.solve(directions).objectives


@pytest.mark.parametrize("oracle", SETS, ids=repr)
def test_width_is_below_all_ranges_and_diameter_above_all_distances(oracle, rng) -> None:
    found = set_geometry(oracle)
    inside = rng.normal(size=(3000, found.dimension)) @ found.hull.T
    inside /= np.linalg.norm(inside, axis=1, keepdims=True)
    widths = ranges(oracle, inside)
    assert found.width <= widths.min() + 1e-9
    assert found.diameter >= widths.max() - 1e-9
    if found.exact and found.dimension <= 3:
        assert found.width == pytest.approx(widths.min(), rel=0.05)
        assert found.diameter == pytest.approx(widths.max(), rel=0.05)
    # nothing is felt across the hull
    np.testing.assert_allclose(found.hull.T @ found.hull, np.eye(found.dimension), atol=1e-12)
    decisions = oracle.solve(rng.normal(size=(50, oracle.n_costs))).decisions
    away = decisions - decisions[0]
    np.testing.assert_allclose(away - away @ found.hull @ found.hull.T, 0, atol=1e-9)


@pytest.mark.parametrize(("n", "k"), [(4, 1), (5, 1), (5, 2), (6, 3), (6, 4)])
def test_closed_forms_are_those_of_the_vertices(n: int, k: int) -> None:
    vertices = [[float(j in chosen) for j in range(n)]
                for chosen in itertools.combinations(range(n), k)]  # fmt: skip
    closed, listed = set_geometry(TopK(n, k)), set_geometry(TopK(n, k), vertices=vertices)
    assert (closed.diameter, closed.width, closed.dimension) == pytest.approx(
        (listed.diameter, listed.width, listed.dimension)
    )
    assert closed.exact
    assert listed.exact


@pytest.mark.parametrize(
    "oracle", [Ball(3, 0.5), ELLIPSOID, EntropyBall(5, 0.1), EntropyBall(20), EntropyBall(3, 0.6),
               LogBarrierSimplex(4, 6.0), LogBarrierSimplex(3)], ids=repr
)  # fmt: skip
def test_curvature_bounds_decisions_as_the_theory_says(oracle, rng) -> None:
    """Decisions are at least and at most so far apart as their costs say."""
    found = set_geometry(oracle)
    curvature = found.curvature
    assert 0 < curvature.strong_convexity <= curvature.smoothness
    costs = rng.normal(size=(2, 400, oracle.n_costs)) @ found.hull @ found.hull.T
    first, second = (oracle.solve(c) for c in costs)
    squares = ((first.decisions - second.decisions) ** 2).sum(1)
    gap = np.vecdot(costs[0], second.decisions) - first.objectives
    length = np.linalg.norm(costs[0], axis=1)
    mu, L, level = curvature.strong_convexity, curvature.smoothness, curvature.level
    # the gradient of f is at most L times the distance to the center
    steepest = min(np.sqrt(2 * L * level), L * found.diameter)
    assert (gap >= mu / 2 / steepest * length * squares - 1e-9).all()
    assert (gap <= L / 2 / np.sqrt(2 * mu * level) * length * squares + 1e-9).all()


def test_wrappers_and_numbers_of_costs() -> None:
    assert set_geometry(Maximize(Counting(Box(4)))).diameter == 2.0
    assert set_geometry(Box(), n_costs=4).diameter == 2.0
    with pytest.raises(InvalidInputError, match="n_costs"):
        set_geometry(Box())
    with pytest.raises(InvalidInputError, match="vertices"):
        set_geometry(Box(2), vertices=[[1.0]])
    single = set_geometry(TopK(3, 3))
    assert (single.diameter, single.dimension) == (0.0, 0)


def test_large_sets_are_bounded_by_their_box() -> None:
    rng = np.random.default_rng(0)
    oracle = Knapsack(rng.uniform(1, 2, (1, 30)), np.array([9.0]))
    found = set_geometry(oracle)
    assert isinstance(found, SetGeometry)
    assert not found.exact
    assert np.isnan(found.width)
    assert found.diameter == pytest.approx(30**0.5)


def test_an_objective_with_a_part_of_its_own_is_refused() -> None:
    oracle = Newsvendor(np.arange(15.0).reshape(5, 3), 4.0, 1.0, 12.0)
    with pytest.raises(UnsupportedError, match=r"not c\.w alone"):
        set_geometry(oracle)


@pytest.mark.parametrize("wrap", [Counting, Cached, Parallel, lambda ball: Pool(ball, 0.5)])
def test_sets_are_known_inside_wrappers(wrap) -> None:
    found, plain = set_geometry(wrap(Ball(2))), set_geometry(Ball(2))
    assert (found.diameter, found.width, found.exact) == (plain.diameter, plain.width, True)
    assert found.curvature is not None


def test_a_relaxation_keeps_its_own_set() -> None:
    knapsack = Knapsack(np.array([[2.0, 4.0]]), np.array([3.0]))
    relaxed = set_geometry(WithBackend(knapsack, relaxed=True))
    assert relaxed.diameter == pytest.approx(1.25)
    assert set_geometry(Counting(knapsack)).diameter == pytest.approx(1.0)


def test_margin_certificates_know_the_set_inside_wrappers() -> None:
    costs = np.tile([[1.0, 0.0]], (50, 1))
    given = {"complexity": 0.01, "cost_radius": 1.0}
    plain = margin_certificate(Ball(2), costs, costs, 1.0, **given)
    assert margin_certificate(Counting(Ball(2)), costs, costs, 1.0, **given).bound == plain.bound


@pytest.mark.parametrize("vertices", [np.ones((3, 2)), np.full((7, 2), 0.1), np.ones((1, 2))])
def test_equal_vertices_are_one_point(vertices: np.ndarray) -> None:
    found = set_geometry(Box(2), vertices=vertices)
    assert (found.diameter, found.width, found.dimension, found.exact) == (0, 0, 0, True)


def test_no_vertex_is_no_set() -> None:
    with pytest.raises(InvalidInputError, match=r"vertices of shape \(0, 2\)"):
        set_geometry(Box(2), vertices=np.zeros((0, 2)))
