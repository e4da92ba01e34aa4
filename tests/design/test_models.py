"""Models learn what their formulas say, a label at a time."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeRegressor

from dfl.design import (
    BayesianLinearRegression,
    BootstrapCommittee,
    FiniteHypothesisClass,
    Labels,
    LipschitzConstant,
    lipschitz_of_class,
    project_costs,
)
from dfl.exceptions import InvalidInputError
from dfl_solvers import Assignment, Box, Maximize, Simplex


def labels(X, C, weights=None):
    n = len(X)
    ones = np.ones(n) if weights is None else np.asarray(weights, dtype=float)
    return Labels(np.asarray(X, dtype=float), np.asarray(C), ones, 2 * ones)


@pytest.fixture
def data(rng):
    X = rng.normal(size=(80, 3))
    C = X @ rng.normal(size=(3, 4)) + 2 + 0.5 * rng.normal(size=(80, 4))
    return X, C


def test_linear_posterior_is_that_of_all_labels_at_once(data) -> None:
    X, C = data
    model = BayesianLinearRegression(ridge=0.3, noise=0.7)
    for row, costs in zip(X, C, strict=True):
        model.update(labels([row], [costs]), Box(4))
    Z = np.column_stack([X, np.ones(80)])
    A = Z.T @ Z + 0.3 * np.eye(4)
    mean = np.linalg.solve(A, Z.T @ C)
    np.testing.assert_allclose(model.inverse_, np.linalg.inv(A), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(model.mean_, mean, rtol=1e-12)
    residual = C - Z @ mean
    scatter = 0.49 * np.eye(4) + residual.T @ residual + 0.3 * mean.T @ mean
    np.testing.assert_allclose(model.noise_, scatter / 81, rtol=1e-10)
    posterior = model.posterior(X[:5])
    np.testing.assert_allclose(posterior.mean, Z[:5] @ mean)
    leverage = [z @ np.linalg.solve(A, z) for z in Z[:5]]
    np.testing.assert_allclose(posterior.leverage, leverage, rtol=1e-11)


def test_weights_count_as_that_many_labels(data) -> None:
    X, C = data
    doubled = BayesianLinearRegression(weighted=True)
    doubled.update(labels(X, C, np.full(80, 2.0)), Box(4))
    twice = BayesianLinearRegression().fit(np.vstack([X, X]), np.vstack([C, C]))
    np.testing.assert_allclose(doubled.mean_, twice.mean_, rtol=1e-10)
    np.testing.assert_allclose(doubled.inverse_, twice.inverse_, rtol=1e-10, atol=1e-14)
    plain = BayesianLinearRegression()
    plain.update(labels(X, C, np.full(80, 2.0)), Box(4))
    np.testing.assert_allclose(plain.mean_, BayesianLinearRegression().fit(X, C).mean_)


def test_draws_have_the_moments_of_the_posterior(data) -> None:
    X, C = data
    model = BayesianLinearRegression(n_draws=20_000).fit(X[:20], C[:20])
    posterior, drawn = model.posterior(X[:2]), model.members(X[:2])
    np.testing.assert_array_equal(drawn, model.members(X[:2]))
    for i in range(2):
        expected = posterior.leverage[i] * posterior.noise
        np.testing.assert_allclose(drawn[i].mean(0), posterior.mean[i], atol=0.02)
        np.testing.assert_allclose(np.cov(drawn[i].T), expected, atol=0.06 * expected.max())
    model.fit(X[20:21], C[20:21])
    assert not np.array_equal(model.members(X[:2]), drawn)


def test_linear_model_refuses_what_is_singular_and_keeps_what_it_knows(data) -> None:
    X, C = data
    with pytest.raises(InvalidInputError, match="singular before the first labels"):
        BayesianLinearRegression(ridge=0)
    model = BayesianLinearRegression().fit(X, C)
    known = {name: array.copy() for name, array in model.get_state().items()}
    with pytest.raises(InvalidInputError, match="the design is singular"):
        model.update(labels([[1e200, 1e200, 1.0]], C[:1]), Box(4))
    with pytest.raises(InvalidInputError, match="got 2 features, expected 3"):
        model.update(labels(X[:1, :2], C[:1]), Box(4))
    with pytest.raises(InvalidInputError, match="got 3 costs a row, expected 4"):
        model.update(labels(X[:1], C[:1, :3]), Box(3))
    for name, array in model.get_state().items():
        np.testing.assert_array_equal(array, known[name])
    with pytest.raises(InvalidInputError, match="no label yet"):
        BayesianLinearRegression().predict(X)
    with pytest.raises(InvalidInputError, match="noise=0"):
        BayesianLinearRegression(noise=0)
    with pytest.raises(InvalidInputError, match="NaN"):
        BayesianLinearRegression().fit([[np.nan]], [[1.0]])


def test_committee_members_are_fitted_to_other_labels(data) -> None:
    X, C = data
    model = BootstrapCommittee(DecisionTreeRegressor(), n_members=6, min_labels=10)
    model.update(labels(X[:9], C[:9]), Box(4))
    assert not model.ready
    with pytest.raises(InvalidInputError, match="has 9 labels, expected 10"):
        model.members(X)
    model.update(labels(X[9:40], C[9:40]), Box(4))
    assert model.ready
    members = model.members(X[40:])
    assert members.shape == (40, 6, 4)
    assert len({m.tobytes() for m in members.swapaxes(0, 1)}) == 6
    np.testing.assert_allclose(model.predict(X[40:]), members.mean(1))
    again = BootstrapCommittee(DecisionTreeRegressor(), n_members=6, min_labels=10)
    again.set_state(model.get_state())
    np.testing.assert_array_equal(again.members(X[40:]), members)


def test_committee_resamples_by_weight(data) -> None:
    X, C = data
    weights = np.where(np.arange(80) < 40, 1.0, 0.0)
    model = BootstrapCommittee(KNeighborsRegressor(1), n_members=5)
    model.update(labels(X, C, weights), Box(4))
    known = {tuple(row) for row in C[:40]}
    assert all(tuple(row) in known for row in model.members(X).reshape(-1, 4))
    assert model.summary()["effective_labels"] == 40


def test_committee_refuses_other_labels_and_keeps_its_own(data) -> None:
    X, C = data
    model = BootstrapCommittee(KNeighborsRegressor(2), n_members=2)
    model.update(labels(X[:10], C[:10]), Box(4))
    before = model.members(X)
    with pytest.raises(InvalidInputError, match="2 features and 4 costs, expected 3 and 4"):
        model.update(labels(X[:5, :2], C[:5]), Box(4))
    failing = BootstrapCommittee(KNeighborsRegressor(50), n_members=2)
    failing.update(labels(X[:5], C[:5]), Box(4))
    with pytest.raises(ValueError, match="n_neighbors"):
        failing.members(X)
    np.testing.assert_array_equal(model.members(X), before)
    one = BootstrapCommittee(KNeighborsRegressor(2), n_members=2)
    one.update(labels(X[:10], C[:10, :1]), Box(1))
    assert one.members(X).shape == (80, 2, 1)
    with pytest.raises(InvalidInputError, match="n_members=1"):
        BootstrapCommittee(KNeighborsRegressor(), n_members=1)


@pytest.mark.parametrize("loss", ["spo", "spo+", "squared"])
@pytest.mark.parametrize("maximize", [False, True])
def test_risks_are_weighted_losses_up_to_a_constant(loss, maximize, rng) -> None:
    from dfl import Target, make_loss, metrics

    torch = pytest.importorskip("torch")
    table = rng.normal(size=(5, 8, 9))
    oracle = Maximize(Assignment(3)) if maximize else Assignment(3)
    designs, weights = rng.integers(0, 8, size=12), rng.uniform(0.2, 3, size=12)
    costs = rng.normal(size=(12, 9))
    model = FiniteHypothesisClass(table, loss=loss, slack="none")
    model.update(labels(designs[:, None], costs, weights), oracle)
    expected = np.empty(5)
    for h in range(5):
        predicted = table[h, designs]
        if loss == "spo":
            found = metrics.regret(oracle, predicted, costs)
        elif loss == "squared":
            found = ((predicted - costs) ** 2).sum(1)
        else:
            target = Target(costs=torch.from_numpy(costs))
            module = make_loss("spo+", oracle)
            found = module(torch.from_numpy(predicted), target, reduction="none").numpy()
        expected[h] = (weights * found).mean()
    np.testing.assert_allclose(model.risks_ - model.risks_[0], expected - expected[0], atol=1e-12)
    assert model.incumbent_ == expected.argmin()
    assert len(model.survivors_) == 5


def test_hypotheses_may_be_estimators(data) -> None:
    X, C = data
    trees = [DecisionTreeRegressor(max_depth=k).fit(X, C) for k in (1, 2, 5)]
    model = FiniteHypothesisClass(trees, loss="squared", slack="practical")
    assert model.members(X).shape == (80, 3, 4)
    model.update(labels(X, C), Box(4))
    assert model.incumbent_ == 2
    np.testing.assert_array_equal(model.predict(X), trees[2].predict(X))
    bad = FiniteHypothesisClass([*trees, DecisionTreeRegressor().fit(X, C[:, :2])])
    with pytest.raises(InvalidInputError, match="shapes"):
        bad.members(X)


def test_practical_slack_waits_for_five_labels_and_keeps_equals(rng) -> None:
    truth = rng.normal(size=(1, 3))
    table = np.stack([truth, 2 * truth, -truth])
    model = FiniteHypothesisClass(table, slack="practical")
    for t in range(12):
        model.update(labels([[0.0]], truth + 0.1 * rng.normal(size=(1, 3))), Simplex(3))
        if t < 4:
            assert len(model.survivors_) == 3
    # the second makes the same decisions, to the last digit
    assert list(model.survivors_) == [0, 1]


def test_no_hypothesis_left_is_an_error_and_changes_nothing() -> None:
    model = FiniteHypothesisClass(np.ones((3, 1, 2)))
    model.eliminate([0])
    with pytest.raises(InvalidInputError, match="eliminate all hypotheses; nothing was changed"):
        model.eliminate([1, 2])
    assert list(model.survivors_) == [1, 2]
    with pytest.raises(InvalidInputError, match="got hypothesis 3"):
        model.eliminate([3])
    with pytest.raises(InvalidInputError, match="state is that of 3 hypotheses"):
        FiniteHypothesisClass(np.ones((4, 1, 2))).set_state(model.get_state())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hypotheses": np.ones((2, 3))}, r"shape \(2, 3\), expected \(M, N, d\)"),
        ({"hypotheses": [[["a"]]]}, "neither predictors"),
        ({"hypotheses": []}, "no hypothesis|shape"),
        ({"hypotheses": np.full((1, 1, 1), np.nan)}, "hypothesis 0 predicts nan"),
        ({"loss": "l1"}, "loss='l1'"),
        ({"slack": "tight"}, "slack='tight'"),
        ({"delta": 0}, "delta=0"),
        ({"lipschitz": -1}, "lipschitz=-1"),
    ],
)
def test_finite_class_refuses_what_it_cannot_use(arguments, message) -> None:
    with pytest.raises(InvalidInputError, match=message):
        FiniteHypothesisClass(**{"hypotheses": np.ones((2, 3, 1)), **arguments})


def test_lipschitz_of_class_bounds_every_pair(rng) -> None:
    oracle, table = Assignment(3), rng.normal(size=(8, 6, 9))
    found = lipschitz_of_class(FiniteHypothesisClass(table), np.arange(6), oracle, 2.0)
    assert isinstance(found, LipschitzConstant)
    assert found.certified
    unit = project_costs(oracle, table)
    unit /= np.linalg.norm(unit, axis=-1, keepdims=True)
    decisions = oracle.solve(table.reshape(-1, 9)).decisions.reshape(table.shape)
    costs = project_costs(oracle, rng.normal(size=(2000, 9)))
    costs *= 2 / np.linalg.norm(costs, axis=1, keepdims=True)
    for x in range(6):
        gap = np.abs((decisions[:, None, x] - decisions[None, :, x]) @ costs.T).max(-1)
        chord = np.linalg.norm(unit[:, None, x] - unit[None, :, x], axis=-1)
        assert (gap <= found.value * chord + 1e-9).all()
    with pytest.raises(InvalidInputError, match="cost_bound"):
        lipschitz_of_class(FiniteHypothesisClass(table), np.arange(6), oracle, 0.0)
