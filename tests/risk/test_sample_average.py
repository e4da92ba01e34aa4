"""Weights of the past, and decisions for it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsRegressor

from dfl import metrics
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.risk import (
    CVaR,
    ForestWeights,
    KernelWeights,
    NeighborWeights,
    WeightedSampleAverage,
)
from dfl_solvers import Maximize, Newsvendor, Simplex, TopK

WEIGHTS = [NeighborWeights(7), KernelWeights(), KernelWeights(0.1), ForestWeights(random_state=0)]


@pytest.mark.parametrize("weights", WEIGHTS, ids=repr)
def test_weights_are_shares_and_favor_what_is_close(weights, rng) -> None:
    X = rng.uniform(-1, 1, size=(300, 2))
    y = np.sign(X[:, 0])
    fitted = weights.copy().fit(X, y)
    new = rng.uniform(-1, 1, size=(400, 2))
    shares = fitted.weights(new)
    assert shares.shape == (400, 300)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(1), 1)
    clear = np.abs(new[:, 0]) > 0.5
    assert (np.sign(shares[clear] @ y) == np.sign(new[clear, 0])).all()
    with pytest.raises(NotFittedError):
        weights.weights(new)
    with pytest.raises(InvalidInputError, match="got 3 features, expected 2"):
        fitted.weights(np.zeros((1, 3)))
    with pytest.raises(InvalidInputError, match="4 rows of features and 3"):
        weights.copy().fit(np.zeros((4, 2)), np.zeros(3))


def test_neighbors_are_those_of_scikit_learn(rng) -> None:
    X, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    scaled = (X - X.mean(0)) / X.std(0)
    expected = KNeighborsRegressor(5).fit(scaled, y).predict(scaled)
    np.testing.assert_allclose(NeighborWeights(5).fit(X, y).weights(X) @ y, expected)
    assert NeighborWeights(99).fit(X, y).weights(X[:1]).tolist() == [[0.02] * 50]


def test_forest_weights_are_those_of_its_predictions(rng) -> None:
    """Without resampling, the weighted mean of a forest is its prediction."""
    X, y = rng.normal(size=(80, 3)), rng.normal(size=(80, 2))
    forest = ExtraTreesRegressor(20, min_samples_leaf=4, random_state=0)
    weights = ForestWeights(forest).fit(X, y)
    new = rng.normal(size=(20, 3))
    np.testing.assert_allclose(weights.weights(new) @ y, forest.fit(X, y).predict(new))


def test_a_kernel_far_from_everything_is_the_nearest(rng) -> None:
    X = rng.normal(size=(20, 2))
    weights = KernelWeights(0.01).fit(X, X).weights([[1e3, 0.0]])
    assert weights.max() > 0.99
    for bad in (KernelWeights(0.0), NeighborWeights(0)):
        with pytest.raises(InvalidInputError):
            bad.fit(X, X)


@pytest.mark.parametrize("oracle", [Simplex(3), Maximize(TopK(3, 1))], ids=repr)
def test_linear_objectives_take_the_weighted_mean(oracle, rng) -> None:
    X, C = rng.normal(size=(60, 2)), rng.normal(size=(60, 3))
    model = WeightedSampleAverage(oracle, NeighborWeights(9)).fit(X, C)
    found = model.decide(X[:10])
    shares = model.weights_.weights(X[:10])
    np.testing.assert_array_equal(found.decisions, oracle.solve(shares @ C).decisions)
    np.testing.assert_allclose(found.expected, np.vecdot(shares @ C, found.decisions))
    for i in range(10):
        costs = np.sort((C @ found.decisions[i])[shares[i] > 0])
        assert found.low[i] == costs[0]
        assert found.high[i] == costs[-1]


def newsvendor_cost(w, demand, shortage, holding):
    short, left = np.maximum(demand - w, 0), np.maximum(w - demand, 0)
    return (shortage * short + holding * left).sum(-1)


def test_the_order_is_the_weighted_critical_quantile(rng) -> None:
    X, D = rng.normal(size=(90, 2)), rng.gamma(2, 5, size=(90, 3))
    oracle = Newsvendor(np.ones((1, 3)), 9.0, 1.0)
    model = WeightedSampleAverage(oracle, KernelWeights(0.5), "demand").fit(X, D)
    found = model.decide(X[:20], costs=[1.0, 0.0, 2.0])
    shares = model.weights_.weights(X[:20])
    ratio = (9 - np.array([1.0, 0, 2])) / 10
    for i in range(20):
        for j in range(3):
            order = np.argsort(D[:, j])
            reached = np.cumsum(shares[i, order])
            expected = D[order, j][np.searchsorted(reached, ratio[j])]
            assert found.decisions[i, j] == expected
        paid = found.decisions[i] @ [1.0, 0, 2]
        costs = paid + newsvendor_cost(found.decisions[i], D, 9.0, 1.0)
        assert found.expected[i] == pytest.approx(shares[i] @ costs)


def test_a_capacity_is_shared_as_well_as_a_general_solver_would(rng) -> None:
    X, D = rng.normal(size=(40, 2)), rng.gamma(2, 5, size=(40, 3))
    oracle = Newsvendor(np.ones((1, 3)), [9.0, 4.0, 6.0], 1.0, capacity=20.0)
    model = WeightedSampleAverage(oracle, ForestWeights(random_state=0), "demand").fit(X, D)
    found = model.decide(X[:6], costs=np.ones(3))
    from dfl_solvers import LinearProgram

    shares = model.weights_.weights(X[:6])
    assert (found.decisions.sum(1) <= 20 + 1e-9).all()
    for i in range(6):
        program = oracle.program({"demand": D, "likelihood": shares[i]})
        best = LinearProgram(program).solve(np.ones((1, 3))).objectives[0]
        assert found.expected[i] == pytest.approx(best)


def test_weighted_samples_beat_the_point_forecast_on_skewed_demand() -> None:
    """Both see the same forest; only one knows that being short is what costs."""
    rng = np.random.default_rng(0)
    n, d = 600, 2
    X = rng.normal(size=(2 * n, 3))
    D = np.exp(0.5 * X[:, :d] + 0.8 * rng.normal(size=(2 * n, d)))
    forest = RandomForestRegressor(60, min_samples_leaf=10, random_state=0)
    oracle = Newsvendor(np.ones((1, d)), 9.0, 1.0)
    model = WeightedSampleAverage(oracle, ForestWeights(forest), "demand").fit(X[:n], D[:n])
    orders = model.decide(X[n:], costs=np.zeros(d)).decisions
    forecast = model.weights_.weights(X[n:]) @ D[:n]
    costs = [newsvendor_cost(w, D[n:], 9.0, 1.0) for w in (orders, forecast)]
    comparison = metrics.paired_bootstrap(*costs, weights=costs[1], random_state=0)
    assert comparison.high < -0.1


def test_the_worst_of_the_neighbors_is_worse_than_their_mean(rng) -> None:
    from dfl import PredictThenOptimizeRegressor

    X, C = rng.normal(size=(80, 2)), rng.exponential(size=(80, 3))
    estimator = PredictThenOptimizeRegressor(Simplex(3)).fit(X, C)
    rule = CVaR(0.5, NeighborWeights(20)).calibrate(estimator, X, C)
    mean = WeightedSampleAverage(Simplex(3), NeighborWeights(20)).fit(X, C).decide(X[:8])
    tail = estimator.decide(X[:8], risk=rule)
    assert (tail.expected >= mean.expected - 1e-9).all()
    assert (tail.objective > tail.expected).all()


def test_mistakes_are_named(rng) -> None:
    X, D = rng.normal(size=(20, 2)), rng.gamma(2, 5, size=(20, 3))
    with pytest.raises(UnsupportedError, match="Simplex takes no scenarios of 'demand'"):
        WeightedSampleAverage(Simplex(3), uncertain="demand").fit(X, D)
    with pytest.raises(InvalidInputError, match=r"y of shape \(20, 2\), expected \(n, 3\)"):
        WeightedSampleAverage(Simplex(3)).fit(X, X)
    with pytest.raises(NotFittedError):
        WeightedSampleAverage(Simplex(3)).decide(X)
    with pytest.raises(InvalidInputError, match="where costs are uncertain"):
        WeightedSampleAverage(Simplex(3)).fit(X, D).decide(X, costs=np.ones(3))
    with pytest.raises(InvalidInputError, match=r"confidence=5\.0, expected a number between"):
        WeightedSampleAverage(Simplex(3), confidence=5.0).fit(X, D)
    model = WeightedSampleAverage(Newsvendor(np.ones((1, 3)), 9.0, 1.0), None, "demand").fit(X, D)
    with pytest.raises(InvalidInputError, match="got costs=None where demand are uncertain"):
        model.decide(X)
