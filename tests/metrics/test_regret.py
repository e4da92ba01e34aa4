"""Regret in every definition, by hand and by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfl import metrics
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers import Ball, Box, GridShortestPath, Knapsack, Maximize, Simplex, TopK


def rows(*values: tuple[float, ...]) -> np.ndarray:
    return np.array(values, dtype=float)


@pytest.mark.parametrize(
    ("oracle", "predicted", "true", "expected"),
    [
        (Simplex(3), (3, 2, 1), (1, 2, 4), 3.0),
        (Ball(2), (4, 3), (3, 4), 0.2),
        (Box(2), (-1, -0.5), (1, -2), 1.0),
    ],
    ids=["simplex", "ball", "box"],
)
def test_published_values(oracle, predicted, true, expected: float) -> None:
    found = metrics.regret(oracle, rows(predicted), rows(true))
    assert found[0] == pytest.approx(expected, abs=1e-12)
    up = metrics.regret(Maximize(oracle), -rows(predicted), -rows(true))
    assert up[0] == pytest.approx(expected, abs=1e-12)


def test_regret_does_not_see_the_scale_of_predictions(rng: np.random.Generator) -> None:
    predicted, true = rng.normal(size=(2, 30, 12))
    oracle = GridShortestPath(3, 3)
    found = metrics.regret(oracle, predicted, true)
    np.testing.assert_array_equal(found, metrics.regret(oracle, 7.5 * predicted, true))
    assert (found >= -1e-12).all()
    assert metrics.regret(oracle, true, true).max() == 0


def test_both_normalizations_are_what_they_say() -> None:
    oracle = Simplex(2)
    predicted, true = rows((3, 2), (1, 2)), rows((1, 2), (3, 5))
    assert metrics.normalized_regret(oracle, predicted, true) == 1 / 4
    assert metrics.normalized_regret(oracle, predicted, true, definition="mean") == 1 / 2
    optimal = metrics.optimal_objectives(oracle, true)
    assert metrics.normalize([1.0, 0.0], optimal) == 1 / 4
    decided = metrics.decision_regret(oracle, rows((0.5, 0.5), (0, 1)), true, optimal=optimal)
    np.testing.assert_array_equal(decided, [0.5, 2.0])


def test_zero_optima_are_refused_by_instance() -> None:
    with pytest.raises(InvalidInputError, match="all zero"):
        metrics.normalize([0.0, 1.0], [0.0, 0.0])
    with pytest.raises(InvalidInputError, match="instance 1 is zero"):
        metrics.normalize([0.0, 1.0], [2.0, 0.0], "mean")
    with pytest.raises(InvalidInputError, match="definition='median'"):
        metrics.normalize([0.0], [1.0], "median")  # type: ignore[arg-type]


def test_instance_data_reach_the_oracle(rng: np.random.Generator) -> None:
    oracle = Knapsack([[2.0, 3.0, 4.0]], [4.0])
    costs, capacities = -rng.random((20, 3)), rng.uniform(0, 9, (20, 1))
    found = metrics.optimal_objectives(oracle, costs, instance={"capacities": capacities})
    alone = [Knapsack(oracle.weights, k).solve(c[None]).objectives[0]
             for c, k in zip(costs, capacities, strict=True)]  # fmt: skip
    np.testing.assert_allclose(found, alone)


def test_shapes_are_checked() -> None:
    with pytest.raises(InvalidInputError, match=r"shape \(1, 3\), expected \(1, 2\)"):
        metrics.regret(Box(), np.zeros((1, 3)), np.zeros((1, 2)))
    with pytest.raises(InvalidInputError, match=r"costs of shape \(2,\), expected \(n, d\)"):
        metrics.optimal_objectives(Box(), np.zeros(2))
    with pytest.raises(InvalidInputError, match="cannot be read as numbers"):
        metrics.optimal_objectives(Box(), [["a"]])


def test_unambiguous_regret_on_a_box_has_a_closed_form(rng: np.random.Generator) -> None:
    predicted = rng.integers(-1, 2, (25, 4)).astype(float)
    true = rng.normal(size=(25, 4))
    expected = (np.abs(true) * ((predicted * true <= 0) & (true != 0))).sum(1)
    found = metrics.unambiguous_regret(Box(4), predicted, true)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_zero_prediction_is_as_bad_as_it_can_be(rng: np.random.Generator) -> None:
    true = rng.normal(size=(10, 6))
    for oracle in (TopK(6, 2), Simplex(6)):
        width = oracle.solve(-true).objectives * -1 - oracle.solve(true).objectives
        found = metrics.unambiguous_regret(oracle, np.zeros_like(true), true)
        np.testing.assert_allclose(found, width, atol=1e-7)


@given(st.lists(st.integers(-2, 2), min_size=6, max_size=6))
def test_unambiguous_regret_against_all_subsets(numbers: list[int]) -> None:
    weights, predicted = rows((2, 3, 1, 4, 2, 3)), rows(tuple(numbers))
    true = rows((-1, -2, 3, -4, 0.5, -2.5))
    subsets = np.array(list(itertools.product([0.0, 1.0], repeat=6)))
    subsets = subsets[subsets @ weights[0] <= 7]
    scores = subsets @ predicted[0]
    worst = (subsets[scores <= scores.min() + 1e-9] @ true[0]).max()
    oracle = Knapsack(weights, [7.0])
    found = metrics.unambiguous_regret(oracle, predicted, true)
    assert found[0] == pytest.approx(worst - (subsets @ true[0]).min(), abs=1e-6)
    maximized = metrics.unambiguous_regret(Maximize(oracle), -predicted, -true)
    assert maximized[0] == pytest.approx(found[0], abs=1e-6)


def test_ties_are_chosen_by_name() -> None:
    predicted, true = rows((0.0, 0.0)), rows((1.0, 3.0))
    assert metrics.normalized_regret(Simplex(2), predicted, true) == 0
    worst = metrics.normalized_regret(Simplex(2), predicted, true, tie="unambiguous")
    assert worst == pytest.approx(2.0)
    with pytest.raises(InvalidInputError, match="tie='worst'"):
        metrics.normalized_regret(Simplex(2), predicted, true, tie="worst")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="matrix form of Ball"):
        metrics.unambiguous_regret(Ball(2), predicted, true)
    with pytest.raises(InvalidInputError, match=r"\(1, 2\)"):
        metrics.unambiguous_regret(Simplex(2), rows((1, 2, 3)), true)
