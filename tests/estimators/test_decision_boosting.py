"""Boosting by the gradient of a decision-focused loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.tree import DecisionTreeRegressor

import dfl
from dfl import DecisionBoostingRegressor, PredictThenOptimizeRegressor, Target, make_loss
from dfl.datasets import make_knapsack, make_shortest_path
from dfl.estimators._gradients import gradients_of
from dfl.exceptions import InvalidInputError
from dfl.plotting import LearningCurveDisplay
from dfl_solvers import Ball, Box, GridShortestPath, Knapsack, TopK

DATA = make_shortest_path(400, degree=6, noise=0.25, random_state=0)
X, C = DATA.X, DATA.C


def boosted(oracle=DATA.oracle, *arguments, **parameters) -> DecisionBoostingRegressor:
    defaults = {"max_iter": 15, "min_samples_leaf": 5, "random_state": 0}
    return DecisionBoostingRegressor(oracle, *arguments, **defaults | parameters)


def test_rounds_by_hand() -> None:
    model = boosted(max_iter=3, early_stopping=False, learning_rate=0.5).fit(X, C)
    unit = np.abs(C).mean()
    start = LinearRegression().fit(X, C)
    scaled, best = start.predict(X) / unit, DATA.oracle.solve(C).decisions
    stages = list(model.staged_predict(X))
    np.testing.assert_allclose(stages[0], start.predict(X))
    for k in range(3):
        other = DATA.oracle.solve(2 * scaled - C / unit).decisions
        pull = 2 * (other - best)
        value = np.vecdot(2 * scaled - C / unit, best - other).mean()
        assert model.history_[k]["loss"] == pytest.approx(value)
        tree = DecisionTreeRegressor(max_depth=6, min_samples_leaf=5, random_state=0)
        scaled += 0.5 * tree.fit(X, pull).predict(X)
        np.testing.assert_allclose(stages[k + 1], scaled * unit)
    np.testing.assert_allclose(model.predict(X), stages[-1])
    assert model.n_iter_ == model.best_iter_ == 3
    # labels once, and a call a round
    assert model.budget_.calls == 4


@pytest.mark.parametrize("name", ["spo+", "squared"])
def test_closed_forms_are_what_autograd_finds(name: str) -> None:
    rng = np.random.default_rng(0)
    output, costs = rng.normal(size=(2, 20, 4))
    loss, target = make_loss(name, Ball(4)), Target(costs=torch.from_numpy(costs))
    values, gradient = gradients_of(loss, target, output.shape)(output)
    leaf = torch.tensor(output, requires_grad=True)
    expected = loss(leaf, target, reduction="none")
    expected.sum().backward()
    np.testing.assert_allclose(values, expected.detach(), rtol=1e-12)
    np.testing.assert_allclose(gradient, leaf.grad, atol=1e-12)


def test_losses_without_closed_form_go_by_autograd() -> None:
    rng = np.random.default_rng(0)
    output, costs = rng.normal(size=(2, 20, 4))
    loss = make_loss("smooth-regret", Ball(4))
    find = gradients_of(loss, Target(costs=torch.from_numpy(costs)), output.shape)
    values, gradient = find(output)
    step = 1e-6 * rng.normal(size=output.shape)
    change = find(output + step)[0] - find(output - step)[0]
    np.testing.assert_allclose(change / 2, np.vecdot(gradient, step), rtol=1e-5, atol=1e-12)
    assert (values >= 0).all()


@pytest.mark.parametrize(
    "arguments", [("squared",), ("perturbed-fenchel-young",), (make_loss("spo+", Box(40)),)]
)
def test_any_loss_learns_and_the_same_seed_gives_the_same(arguments) -> None:
    model = boosted(DATA.oracle, *arguments, init=DummyRegressor(), max_iter=25).fit(X, C)
    assert model.best_iter_ > 3
    first, last = (
        1 - PredictThenOptimizeRegressor(DATA.oracle, DummyRegressor()).fit(X, C).score(X, C),
        1 - model.score(X, C),
    )
    assert last < 0.9 * first
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = boosted(DATA.oracle, *arguments, init=DummyRegressor(), max_iter=25).fit(X, C)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert torch.equal(torch.get_rng_state(), before)


def test_it_beats_its_start_where_that_is_misspecified_and_keeps_it_where_not() -> None:
    gaps = []
    for seed in range(3):
        data = make_shortest_path(1500, degree=6, noise=0.5, random_state=seed)
        train, test = slice(0, 500), slice(500, None)
        linear = PredictThenOptimizeRegressor(data.oracle).fit(data.X[train], data.C[train])
        model = boosted(data.oracle, max_iter=100, min_samples_leaf=20)
        model.fit(data.X[train], data.C[train])
        gaps.append(
            model.score(data.X[test], data.C[test]) - linear.score(data.X[test], data.C[test])
        )
    assert np.mean(gaps) > 0.02, gaps
    data = make_shortest_path(200, degree=1, random_state=0)
    model = boosted(data.oracle).fit(data.X, data.C)
    assert model.best_iter_ == 0
    assert model.score(data.X, data.C) == pytest.approx(1)
    assert len(list(model.staged_predict(data.X))) == 1


def test_rounds_after_the_best_are_dropped() -> None:
    model = boosted(max_iter=60, learning_rate=0.5, n_iter_no_change=10).fit(X, C)
    regrets = [entry["validation"] for entry in model.history_]
    assert model.best_iter_ == int(np.argmin(regrets)) + 1
    assert model.n_iter_ == min(60, model.best_iter_ + 10)
    assert len(model.trees_.roots) == model.best_iter_
    display = LearningCurveDisplay.from_estimator(model)
    assert display.kept == {"DecisionBoostingRegressor": model.best_iter_}


def test_early_stopping_watches_rows_that_do_not_train() -> None:
    class Last:
        """Validate on the last fifty rows."""

        def split(self, rows, y=None, groups=None):
            yield np.arange(350), np.arange(350, 400)

        def get_n_splits(self, *arguments):
            return 1

    model = boosted(cv=Last()).fit(X, C)
    *_, best = model.staged_predict(X[350:])
    regret = dfl.metrics.normalized_regret(DATA.oracle, best, C[350:])
    assert min(entry["validation"] for entry in model.history_) == pytest.approx(regret)
    changed = C.copy()
    changed[350:] = np.roll(changed[350:], 1, axis=0)
    other = boosted(cv=Last()).fit(X, changed)
    np.testing.assert_array_equal(
        next(iter(other.staged_predict(X))), next(iter(model.staged_predict(X)))
    )
    assert other.history_[0]["loss"] == model.history_[0]["loss"]
    assert other.history_[0]["validation"] != model.history_[0]["validation"]


def test_long_data_with_items_missing_share_one_predictor() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 5, 120)
    groups = np.repeat(np.arange(120), sizes)
    features = rng.normal(size=(len(groups), 3))
    prices = np.exp(features[:, 0]) + np.abs(features[:, 1]) + 0.1 * rng.normal(size=len(groups))
    model = boosted(TopK(4, 1), max_iter=40).fit(features, prices, groups=groups)
    linear = PredictThenOptimizeRegressor(TopK(4, 1)).fit(features, prices, groups=groups)
    scores = [each.score(features, prices, groups=groups) for each in (model, linear)]
    assert model.predict(features).shape == prices.shape
    assert model.trees_.values.shape[1] == 1
    assert model.best_iter_ > 0
    assert scores[0] > scores[1]
    decided = model.decide(features, groups=groups)
    assert (np.bincount(groups, decided) == 1).all()
    # what stands in the place of missing items does not matter: they are in no tree
    assert model.trees_.weight[model.trees_.roots].max() <= len(groups)


def test_each_row_may_have_its_own_feasible_set() -> None:
    data = make_knapsack(150, n_items=6, n_dimensions=1, capacity=9, degree=4, random_state=0)
    capacities = np.random.default_rng(0).uniform(4, 14, (150, 1))
    model = boosted(data.oracle, init=DummyRegressor(), max_iter=20)
    own = model.fit(data.X, data.C, instance={"capacities": capacities})
    assert own.score(data.X, data.C, instance={"capacities": capacities}) > 0.8
    predicted = own.predict(data.X)
    assert not np.array_equal(predicted, model.fit(data.X, data.C).predict(data.X))


def test_values_are_negative_costs() -> None:
    data = make_knapsack(80, n_items=5, capacity=8, degree=4, noise=0.5, random_state=0)
    values = boosted(data.oracle, early_stopping=False).fit(data.X, data.C)
    costs = boosted(data.oracle.minimizing, early_stopping=False).fit(data.X, -data.C)
    assert values.best_iter_ > 0
    np.testing.assert_allclose(values.predict(data.X), -costs.predict(data.X), rtol=1e-12)
    assert isinstance(data.oracle.minimizing, Knapsack)


def test_units_do_not_matter() -> None:
    plain = boosted().fit(X, C).predict(X)
    # a power of two is exact
    np.testing.assert_allclose(boosted().fit(X, 1024 * C).predict(X), 1024 * plain, rtol=1e-9)


def test_weights_are_repetitions() -> None:
    X, C = DATA.X[:80], DATA.C[:80]
    counts = np.random.default_rng(0).integers(0, 3, 80)
    rows = np.repeat(np.arange(80), counts)
    model = boosted(early_stopping=False, min_samples_leaf=1, max_depth=2, init=DummyRegressor())
    weighted = model.fit(X, C, counts.astype(float)).predict(X)
    repeated = model.fit(X[rows], C[rows]).predict(X)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-9)


def test_rows_without_weight_do_not_validate() -> None:
    held = np.arange(300, 400)
    model = boosted(cv=[(np.arange(300), held)])
    with pytest.raises(InvalidInputError, match="validate on are zero"):
        model.fit(X, C, (np.arange(400) < 300).astype(float))


def test_starts_at_any_regressor_and_a_model_is_loaded_whole(tmp_path) -> None:
    model = boosted(init=Ridge(10.0)).fit(X, C)
    assert isinstance(model.init_, Ridge)
    model.save(tmp_path / "model")
    again = dfl.load(tmp_path / "model")
    for ours, theirs in zip(model.staged_predict(X), again.staged_predict(X), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    kept = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert kept == ["init.skops", "init_.skops", "model.json", "oracle.npz", "weights.safetensors"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_iter": 0}, "max_iter=0, expected a whole number from 1"),
        ({"n_iter_no_change": 0.5}, "n_iter_no_change=0.5"),
        ({"min_samples_leaf": 0}, "min_samples_leaf=0"),
        ({"learning_rate": 0.0}, "learning_rate=0.0, expected a positive number"),
        ({"learning_rate": None}, "learning_rate=None, expected a positive number"),
        ({"validation_fraction": 2.0}, "validation_fraction=2.0"),
        ({"loss": "no such loss"}, "no such loss"),
    ],
)
def test_parameters_out_of_range_are_named(parameters: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        boosted(GridShortestPath(5, 5), **parameters).fit(X, C)
