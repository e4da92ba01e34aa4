"""The layers with a quadratic term, against a general solver and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dfl.exceptions import InvalidInputError, SolverError
from dfl.layers import AbstractLayer, FrankWolfeLayer, QuadraticLayer
from dfl_solvers import (
    Assignment,
    Ball,
    Box,
    Ellipsoid,
    EntropyBall,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    Oracle,
    Program,
    Simplex,
    TopK,
)
from dfl_solvers.backends.clarabel import solve_cone_program

KNAPSACK = Knapsack([[3.0, 4.0, 5.0, 6.0], [2.0, 6.0, 1.0, 3.0]], [9.0, 7.0])
# feasible sets whose hull is their linear relaxation
INTEGRAL: dict[str, Oracle] = {
    "assignment": Assignment(3),
    "box": Box(5),
    "grid": GridShortestPath(3, 4),
    "simplex": Simplex(6),
    "top-k": TopK(6, 2),
}


def exact(program: Program, costs: np.ndarray, strength: float) -> np.ndarray:
    """Minimize ``c.w + strength |x|^2 / 2`` over the relaxation of a program, by Clarabel."""
    k = program.n_variables
    rows = sp.vstack([program.A, sp.eye_array(k)]).toarray()
    lower = np.concatenate([program.row_lower, program.lower])
    upper = np.concatenate([program.row_upper, program.upper])
    above, below = np.isfinite(upper), np.isfinite(lower)
    A = np.vstack([rows[above], -rows[below]])
    b = np.concatenate([upper[above], -lower[below]])
    found = []
    for row in program.objective(costs):
        x, status = solve_cone_program(
            row, A, b, quadratic=strength * np.eye(k), n_at_most=len(b), tolerance=1e-12
        )
        assert status.name in ("OPTIMAL", "FEASIBLE")
        found.append(program.decision_map @ x)
    return np.array(found)


def agrees_with_differences(layer: AbstractLayer, costs: np.ndarray, seed: int = 1) -> None:
    """Compare the gradient with central differences along random directions, away from kinks."""
    rng = np.random.default_rng(seed)
    incoming, along = rng.normal(size=(2, *costs.shape))
    leaf = torch.tensor(costs, requires_grad=True)
    (layer(leaf) * torch.tensor(incoming)).sum().backward()
    step = 1e-6
    ends = [layer(torch.tensor(costs + side * along)).numpy() for side in (step, -step)]
    numeric = ((ends[0] - ends[1]) * incoming).sum(1) / (2 * step)
    np.testing.assert_allclose((leaf.grad.numpy() * along).sum(1), numeric, atol=1e-6)


@pytest.mark.parametrize("key", INTEGRAL)
@pytest.mark.parametrize("strength", [0.1, 1.0, 20.0])
def test_both_layers_are_the_quadratic_program(key: str, strength: float) -> None:
    oracle = INTEGRAL[key]
    costs = np.random.default_rng(0).normal(size=(8, oracle.n_costs))
    expected = exact(oracle.program(), costs, strength)
    for kind in (FrankWolfeLayer, QuadraticLayer):
        layer = kind(oracle, strength)
        np.testing.assert_allclose(layer(torch.tensor(costs)), expected, atol=1e-6)
        agrees_with_differences(layer, costs)


def test_the_hull_of_integer_decisions_is_smaller_than_the_relaxation() -> None:
    costs = np.random.default_rng(0).normal(size=(20, 4)) - 1
    relaxed = QuadraticLayer(KNAPSACK, 0.5)
    np.testing.assert_allclose(
        relaxed(torch.tensor(costs)), exact(KNAPSACK.program(), costs, 0.5), atol=1e-6
    )
    hull = FrankWolfeLayer(KNAPSACK, 0.5)
    inside = hull(torch.tensor(costs)).numpy()
    assert np.abs(inside - relaxed(torch.tensor(costs)).numpy()).max() > 0.01
    # the gap to the best vertex proves optimality
    gradient = costs + 0.5 * inside
    best = KNAPSACK.solve(gradient).objectives
    np.testing.assert_allclose(np.vecdot(gradient, inside), best, atol=1e-9)
    agrees_with_differences(hull, costs)
    agrees_with_differences(relaxed, costs)


def test_known_costs_and_decision_maps_count() -> None:
    rng = np.random.default_rng(0)
    program = Program(
        rng.uniform(size=(3, 6)),
        np.full(3, -np.inf),
        np.full(3, 2.0),
        np.zeros(6),
        np.ones(6),
        fixed_costs=rng.normal(size=6),
        decision_map=rng.normal(size=(4, 6)),
    )
    costs = rng.normal(size=(8, 4))
    layer = QuadraticLayer(LinearProgram(program), 0.7)
    # an oracle for one program says what it is
    expected = exact(program, costs, 0.7)
    np.testing.assert_allclose(layer(torch.tensor(costs)), expected, atol=1e-6)
    agrees_with_differences(layer, costs)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-3, 3), min_size=6, max_size=6),
    st.sampled_from([0.25, 1.0, 4.0]),
    st.sampled_from(["simplex", "top-k"]),
)
def test_ties_do_no_harm(costs: list[int], strength: float, key: str) -> None:
    # whole numbers tie vertices, and put decisions on edges of faces
    oracle = INTEGRAL[key]
    array = np.array([costs], dtype=float)
    leaf = torch.tensor(array, requires_grad=True)
    found = FrankWolfeLayer(oracle, strength)(leaf)
    gradient = array + strength * found.detach().numpy()
    best = oracle.solve(gradient).objectives
    np.testing.assert_allclose(np.vecdot(gradient, found.detach().numpy()), best, atol=1e-9)
    found.sum().backward()
    # on both sets decisions have a constant sum
    np.testing.assert_allclose(leaf.grad, 0, atol=1e-9)


@pytest.mark.parametrize(
    "oracle", [Ball(5), Ellipsoid(np.diag([1.0, 2, 3, 4, 5]), 1.0), EntropyBall(5, 0.5)]
)
@pytest.mark.parametrize("strength", [0.1, 1.0, 10.0])
def test_decisions_on_curved_boundaries_are_right(oracle: Oracle, strength: float) -> None:
    costs = np.random.default_rng(0).normal(size=(30, 5))
    found = FrankWolfeLayer(oracle, strength)(torch.tensor(costs)).numpy()
    gradient = costs + strength * found
    gap = np.vecdot(gradient, found) - oracle.solve(gradient).objectives
    assert gap.max() < 1e-6  # these oracles solve to a tolerance themselves


def test_projection_on_the_ball() -> None:
    costs = np.random.default_rng(0).normal(size=(30, 4))
    found = FrankWolfeLayer(Ball(4), 1.7)(torch.tensor(costs))
    point = -costs / 1.7
    length = np.linalg.norm(point, axis=1, keepdims=True)
    np.testing.assert_allclose(found, point / np.maximum(length, 1), atol=1e-8)


def test_many_vertices_find_room() -> None:
    costs = np.random.default_rng(0).normal(size=(3, 40))
    found = FrankWolfeLayer(Simplex(40), 1000.0)(torch.tensor(costs)).numpy()
    assert (found > 0).all()
    np.testing.assert_allclose(found, 1 / 40 - (costs - costs.mean(1, keepdims=True)) / 1000)


def test_too_few_steps_are_said() -> None:
    layer = FrankWolfeLayer(Simplex(4), 100.0, max_iter=2)
    with pytest.raises(SolverError, match=r"instance 0 .*not converged after 2 vertices"):
        layer(torch.zeros(2, 4))
    with pytest.raises(InvalidInputError, match="max_iter=0"):
        FrankWolfeLayer(Simplex(4), max_iter=0)
