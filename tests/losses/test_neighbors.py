"""Labels mixed with those of neighbors: exact values, what they promise, what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from dfl import DecisionFocusedRegressor, metrics
from dfl.datasets import make_shortest_path
from dfl.exceptions import InvalidInputError
from dfl.losses import mix_with_neighbors
from dfl_solvers import Simplex


def test_mixtures_are_with_the_nearest_other_rows(rng: np.random.Generator) -> None:
    X, C = rng.normal(size=(12, 2)), rng.normal(size=(12, 3))
    rows, mixed = mix_with_neighbors(X, C, n_neighbors=4, weight=0.3)
    np.testing.assert_array_equal(rows, np.repeat(np.arange(12), 4))
    for i in range(12):
        distance = ((X - X[i]) ** 2).sum(1)
        near = [j for j in np.argsort(distance) if j != i][:4]
        expected = 0.3 * C[i] + 0.7 * C[near]
        np.testing.assert_allclose(np.sort(mixed[rows == i], 0), np.sort(expected, 0), atol=1e-12)
    np.testing.assert_array_equal(mix_with_neighbors(X, C, 4, 1.0)[1], C[rows])


def test_mean_regret_is_that_of_the_mean_mixture_up_to_a_constant(rng: np.random.Generator) -> None:
    X, C = rng.normal(size=(12, 2)), rng.normal(size=(12, 3))
    rows, mixed = mix_with_neighbors(X, C, n_neighbors=4)
    mean = mixed.reshape(12, 4, 3).mean(1)
    differences = []
    for predicted in rng.normal(size=(2, 12, 3)):
        regret = metrics.regret(Simplex(3), predicted[rows], mixed).reshape(12, 4).mean(1)
        differences.append(regret - metrics.regret(Simplex(3), predicted, mean))
    np.testing.assert_allclose(differences[0], differences[1], atol=1e-12)
    assert (differences[0] > 1e-3).any()  # optimal costs are concave


def test_mixtures_bring_labels_nearer_to_the_truth_where_costs_are_noisy() -> None:
    data = make_shortest_path(400, n_features=2, degree=2, noise=0.9, random_state=0)
    _, mixed = mix_with_neighbors(data.X, data.C)
    own, near = (
        metrics.normalized_regret(data.oracle, labels, data.mean_costs)
        for labels in (data.C, mixed.reshape(400, 10, -1).mean(1))
    )
    _, far = mix_with_neighbors(np.random.default_rng(0).permutation(data.X), data.C)
    unlike = metrics.normalized_regret(
        data.oracle, far.reshape(400, 10, -1).mean(1), data.mean_costs
    )
    assert near < 0.8 * own
    assert near < 0.8 * unlike


def test_estimators_train_on_mixtures() -> None:
    data = make_shortest_path(60, grid=(3, 3), random_state=0)
    rows, mixed = mix_with_neighbors(data.X, data.C, n_neighbors=3)
    model = DecisionFocusedRegressor(data.oracle, max_iter=5, random_state=0)
    assert model.fit(data.X[rows], mixed, groups=rows).score(data.X, data.C) > 0.5


@pytest.mark.parametrize(
    ("y", "parameters", "words"),
    [
        ([[1.0], [2.0]], {"n_neighbors": 2}, "n_neighbors=2 for 2 rows, expected from 1 to 1"),
        ([[1.0], [2.0]], {"n_neighbors": 0}, "n_neighbors=0"),
        ([[1.0], [2.0]], {"n_neighbors": 1, "weight": 1.5}, "weight=1.5"),
        ([1.0, 2.0], {"n_neighbors": 1}, r"y of shape \(2,\)"),
        ([[1.0], [np.nan]], {"n_neighbors": 1}, "NaN"),
        ([[1.0]], {"n_neighbors": 1}, "inconsistent numbers of samples"),
    ],
)
def test_mistakes_are_named(y: list, parameters: dict, words: str) -> None:
    with pytest.raises((InvalidInputError, ValueError), match=words):
        mix_with_neighbors([[0.0], [1.0]], y, **parameters)
