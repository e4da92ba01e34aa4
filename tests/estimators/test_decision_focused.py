"""The regressor: scikit-learn's contract, units, seeds, learning, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor, make_loss
from dfl.datasets import make_knapsack, make_shortest_path
from dfl.exceptions import InfeasibleError, InvalidInputError, TrainingError
from dfl_solvers import (
    Counting,
    FromCallable,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    Maximize,
    Program,
    TopK,
)

ESTIMATORS = {
    "decision-focused": DecisionFocusedRegressor,
    "two-stage": PredictThenOptimizeRegressor,
}
both = pytest.mark.parametrize("kind", ESTIMATORS)


def make(kind: str, oracle, **parameters):
    if kind == "decision-focused":
        return DecisionFocusedRegressor(oracle, max_iter=5, random_state=0, **parameters)
    return PredictThenOptimizeRegressor(oracle, **parameters)


@both
def test_without_an_oracle_fit_refuses_by_name(kind: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{ESTIMATORS[kind].__name__} needs an oracle"):
        ESTIMATORS[kind]().fit(np.zeros((4, 2)), np.zeros((4, 2)))


def shortest_path(seed: int, n: int = 600):
    data = make_shortest_path(n, degree=6, noise=0.5, random_state=seed)
    cut = n // 2
    return data, (data.X[:cut], data.C[:cut]), (data.X[cut:], data.C[cut:])


def test_spo_plus_beats_least_squares_where_the_model_is_misspecified() -> None:
    scores = []
    for seed in range(3):
        data, train, test = shortest_path(seed)
        ours = DecisionFocusedRegressor(data.oracle, random_state=0).fit(*train)
        least = PredictThenOptimizeRegressor(data.oracle).fit(*train)
        scores.append(ours.score(*test) - least.score(*test))
    assert min(scores) > 0.005
    assert np.mean(scores) > 0.02


@pytest.mark.parametrize("loss", ["spo+", "squared", "perturbed-fenchel-young"])
def test_units_do_not_matter(loss: str) -> None:
    data, (X, C), (X_test, _) = shortest_path(0)
    model = DecisionFocusedRegressor(data.oracle, loss, max_iter=20, random_state=0)
    base = clone(model).fit(X, C).predict(X_test)
    for a, b, unit in ((1000.0, 5.0, 1.0), (1.0, 0.0, 1e-3), (1.0, 0.0, 1e3)):
        found = clone(model).fit(a * X + b, unit * C).predict(a * X_test + b) / unit
        # chaotic at the level of single precision, so close but not equal
        assert np.median(np.abs(found - base)) < 0.02 * np.abs(base).mean()


@pytest.mark.parametrize("predictor", ["linear", "mlp", torch.nn.Linear(5, 40)], ids=str)
def test_same_seed_same_weights(predictor) -> None:
    data, (X, C), (X_test, _) = shortest_path(0)
    torch.manual_seed(11)

    def fitted(seed: int) -> np.ndarray:
        torch.rand(seed + 3)  # the global generator must not matter
        model = DecisionFocusedRegressor(
            data.oracle, "perturbed-fenchel-young", predictor, max_iter=3, random_state=seed
        )
        return model.fit(X, C).predict(X_test)

    np.testing.assert_array_equal(fitted(0), fitted(0))
    assert not np.array_equal(fitted(0), fitted(1))


def test_threads_do_not_matter() -> None:
    data, (X, C), (X_test, _) = shortest_path(0)
    model = DecisionFocusedRegressor(data.oracle, predictor="mlp", max_iter=5, random_state=0)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = clone(model).fit(X, C).predict(X_test)
        torch.set_num_threads(2)
        two = clone(model).fit(X, C).predict(X_test)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(one, two)


def test_a_users_module_is_copied_and_its_dropout_seeded() -> None:
    data, (X, C), (X_test, _) = shortest_path(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(5, 16), torch.nn.Dropout(), torch.nn.Linear(16, 40)
    )
    before = [p.clone() for p in module.parameters()]
    model = DecisionFocusedRegressor(data.oracle, predictor=module, max_iter=3, random_state=0)
    state = torch.random.get_rng_state()
    first, second = (clone(model).fit(X, C).predict(X_test) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
    assert torch.equal(state, torch.random.get_rng_state())


def test_linear_coefficients_are_those_of_the_trained_module() -> None:
    data, (X, C), (X_test, _) = shortest_path(0)
    model = DecisionFocusedRegressor(data.oracle, max_iter=3, random_state=0).fit(X * 7 - 2, C)
    X_test = X_test * 7 - 2
    scaled = torch.from_numpy(model._scaling.features(X_test))
    by_module = model.predictor_(scaled).detach().numpy() * model._scaling.cost
    np.testing.assert_allclose(model.predict(X_test), by_module, rtol=1e-4, atol=1e-5)


def test_maximizing_is_minimizing_the_negative() -> None:
    data = make_knapsack(200, n_items=8, degree=4, noise=0.5, random_state=0)
    assert data.oracle.sign == -1
    up = DecisionFocusedRegressor(data.oracle, max_iter=10, random_state=0).fit(data.X, data.C)
    down = DecisionFocusedRegressor(data.oracle.minimizing, max_iter=10, random_state=0)
    down.fit(data.X, -data.C)
    np.testing.assert_allclose(up.predict(data.X), -down.predict(data.X), atol=1e-9)
    np.testing.assert_array_equal(up.decide(data.X), down.decide(data.X))
    assert up.score(data.X, data.C) == pytest.approx(down.score(data.X, -data.C))
    assert up.score(data.X, data.C) > 0.8


@pytest.mark.parametrize("loss", ["spo+", "relaxed-spo+"])
def test_known_costs_are_kept_in_scale(loss: str) -> None:
    # half of the objective is known: scaling the predicted costs must not change the decisions
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    C = 1000 * (X @ rng.normal(size=(3, 6)))
    program = Program(
        np.ones((1, 6)), [2], [2], np.zeros(6), np.ones(6), fixed_costs=1000 * rng.normal(size=6)
    )
    model = DecisionFocusedRegressor(LinearProgram(program), loss, random_state=0).fit(X, C)
    assert model.score(X, C) > 0.99


def test_learning_from_decisions_alone() -> None:
    data, (X, C), test = shortest_path(0)
    observed = data.oracle.solve(C).decisions
    model = DecisionFocusedRegressor(data.oracle, "perturbed-fenchel-young", random_state=0)
    assert model.fit(X, decisions=observed).score(*test) > 0.8
    with pytest.raises(InvalidInputError, match="needs costs"):
        clone(model).set_params(loss="spo+").fit(X, decisions=observed)
    with pytest.raises(InvalidInputError, match="got both"):
        clone(model).fit(X, C, decisions=observed)


def test_grid_search_over_the_loss() -> None:
    data, train, test = shortest_path(0, n=400)
    search = GridSearchCV(
        DecisionFocusedRegressor(data.oracle, max_iter=20, random_state=0),
        {"loss": ["squared", "spo+"]},
        cv=3,
    ).fit(*train)
    assert search.best_params_ == {"loss": "spo+"}
    assert search.score(*test) > 0.8


def test_pipeline_and_a_loss_object() -> None:
    data, train, test = shortest_path(0, n=400)
    loss = make_loss("spo+", data.oracle)
    model = DecisionFocusedRegressor(data.oracle, loss, max_iter=20, random_state=0)
    pipeline = make_pipeline(PolynomialFeatures(2), model).fit(*train)
    assert pipeline.score(*test) > 0.85
    named = clone(model).set_params(loss="spo+").fit(*train)
    np.testing.assert_array_equal(clone(model).fit(*train).coef_, named.coef_)


def long_data(sizes: list[int], seed: int = 0):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.normal(size=(len(groups), 3))
    y = np.exp(X @ [0.5, -1.0, 0.3]) * rng.uniform(0.5, 1.5, len(groups))
    return X, y, groups


@both
def test_long_data_equals_wide_data_where_both_fit(kind: str) -> None:
    X, y, groups = long_data([4] * 60)
    model = make(kind, TopK(4, 1)).fit(X, y, groups=groups)
    rows = model.decide(X, groups=groups)
    assert rows.shape == y.shape
    wide = TopK(4, 1).solve(model.predict(X).reshape(60, 4)).decisions
    np.testing.assert_array_equal(rows, wide.ravel())
    shuffled = np.random.default_rng(1).permutation(len(y))
    again = model.decide(X[shuffled], groups=groups[shuffled])
    np.testing.assert_array_equal(again, rows[shuffled])
    assert 0.3 < model.score(X, y, groups=groups) <= 1
    with pytest.raises(InvalidInputError, match=r"got 1 costs per row, expected 4.*need groups="):
        model.decide(X)


@both
@pytest.mark.parametrize("loss", ["spo+", "squared", "perturbed-fenchel-young"])
def test_instances_of_unequal_size_are_masked(kind: str, loss: str) -> None:
    X, y, groups = long_data(list(np.random.default_rng(2).integers(2, 7, 80)))
    model = make(kind, TopK(None, 1), **({"loss": loss} if kind == "decision-focused" else {}))
    model.fit(X, y, groups=groups)
    chosen = model.decide(X, groups=groups)
    predicted = model.predict(X)
    for g in np.unique(groups):
        members = groups == g
        assert chosen[members].sum() == 1
        assert predicted[members][chosen[members] == 1] == predicted[members].min()


def test_maximizing_over_instances_of_unequal_size() -> None:
    X, y, groups = long_data(list(np.random.default_rng(2).integers(2, 7, 80)))
    model = DecisionFocusedRegressor(Maximize(TopK(None, 1)), max_iter=3, random_state=0)
    model.fit(X, y, groups=groups)
    assert model.decide(X, groups=groups).sum() == 80
    assert model.score(X, y, groups=groups) > 0.9


def test_instance_data_reach_the_oracle_and_are_checked() -> None:
    data = make_knapsack(60, n_items=8, degree=2, random_state=0)
    capacities = np.random.default_rng(0).uniform(5, 30, (60, 1))
    model = DecisionFocusedRegressor(data.oracle, max_iter=3, random_state=0)
    model.fit(data.X, data.C, instance={"capacities": capacities})
    chosen = model.decide(data.X, instance={"capacities": capacities})
    weights = data.oracle.minimizing.weights
    assert (chosen @ weights.T <= capacities + 1e-9).all()
    assert (chosen @ weights.T > 20).any()
    with pytest.raises(InvalidInputError, match=r"'capacities' of shape \(9, 1\).*dimension of 60"):
        model.fit(data.X, data.C, instance={"capacities": capacities[:9]})


def test_padding_does_not_leak_into_training() -> None:
    # an instance of four items among instances of three: adding padded columns changes nothing
    X, y, groups = long_data([3] * 50)
    tight = DecisionFocusedRegressor(TopK(3, 1), max_iter=5, random_state=0)
    loose = DecisionFocusedRegressor(TopK(9, 1), max_iter=5, random_state=0)
    tight.fit(X, y, groups=groups)
    loose.fit(X, y, groups=groups)
    np.testing.assert_allclose(tight.coef_, loose.coef_, rtol=1e-4)


def test_dated_rows_are_split_in_time() -> None:
    pandas = pytest.importorskip("pandas")
    data, (X, C), _ = shortest_path(0, n=200)
    frame = pandas.DataFrame(X, index=pandas.date_range("2020-01-01", periods=100))
    seen = []

    class Spy(TimeSeriesSplit):
        def split(self, X, y=None, groups=None):
            for train, validation in super().split(X, y, groups):
                seen.append((train, validation))
                yield train, validation

    model = DecisionFocusedRegressor(data.oracle, max_iter=3, cv=Spy(4), random_state=0)
    order = np.random.default_rng(0).permutation(100)
    model.fit(frame.iloc[order], C[order])
    train, validation = seen[-1]
    assert train.max() < validation.min()
    # the default holds out the last fifth: noise there changes validation, never the first step
    noisy = C.copy()
    noisy[80:] += 100.0
    histories = [
        DecisionFocusedRegressor(data.oracle, max_iter=2, random_state=0).fit(frame, c).history_
        for c in (C, noisy)
    ]
    assert histories[0][0]["loss"] == histories[1][0]["loss"]
    assert histories[0][0]["validation"] != histories[1][0]["validation"]


def test_history_budget_and_early_stopping() -> None:
    data, (X, C), _ = shortest_path(0)
    oracle = Counting(data.oracle)
    model = DecisionFocusedRegressor(oracle, max_iter=30, n_iter_no_change=3, random_state=0)
    model.fit(X, C)
    assert model.n_iter_ == len(model.history_) <= 30
    values = [entry["validation"] for entry in model.history_]
    assert model.best_iter_ == int(np.argmin(values)) + 1
    # 240 training and 60 validation instances: labels once, the latter once before training, and
    # each epoch all of them
    assert model.budget_.instances == 300 + 60 + 300 * model.n_iter_
    assert oracle.counts.instances == model.budget_.instances


def test_a_checkpointed_fit_continues_and_refuses_another(tmp_path: Path) -> None:
    data, (X, C), _ = shortest_path(0, n=100)
    path = tmp_path / "fit.safetensors"
    model = DecisionFocusedRegressor(data.oracle, max_iter=4, random_state=0, checkpoint=path)
    first = clone(model).fit(X, C)
    second = clone(model).fit(X, C)
    np.testing.assert_array_equal(first.coef_, second.coef_)
    assert second.budget_.instances < first.budget_.instances
    with pytest.raises(TrainingError, match="another training run"):
        clone(model).fit(X, C + 1)
    # numbers that a callback notes, of any kind
    path.unlink()
    noting = clone(model).fit(X, C, callbacks=[lambda entry: entry.update(mine=np.int64(3))])
    np.testing.assert_array_equal(noting.coef_, first.coef_)
    again = clone(model).fit(X, C)
    assert [entry["mine"] for entry in again.history_] == [3] * 4
    with pytest.raises(TrainingError, match="cannot be written"):
        clone(model).set_params(checkpoint=tmp_path / "other").fit(
            X, C, callbacks=[lambda entry: entry.update(mine=object())]
        )


def test_a_checkpoint_knows_its_oracle(tmp_path: Path) -> None:
    # large arrays are not all in an oracle's name for itself
    data = make_knapsack(40, n_items=120, n_dimensions=2, capacity=30, random_state=0)
    held = data.oracle.minimizing
    model = DecisionFocusedRegressor(
        data.oracle, "squared", max_iter=2, random_state=0, checkpoint=tmp_path / "fit"
    ).fit(data.X, data.C)
    other = Maximize(Knapsack(held.weights[:, ::-1], held.capacities))
    assert repr(other) == repr(data.oracle)
    with pytest.raises(TrainingError, match="another training run"):
        clone(model).set_params(oracle=other).fit(data.X, data.C)


def test_a_checkpoint_knows_a_loss_object_and_the_instances(tmp_path: Path) -> None:
    data = make_knapsack(40, n_items=6, n_dimensions=2, capacity=15, random_state=0)
    settings = {"max_iter": 2, "random_state": 0, "early_stopping": False}

    def fit(sigma: float, capacity: float) -> None:
        loss = make_loss("perturbed-fenchel-young", data.oracle, {"sigma": sigma})
        model = DecisionFocusedRegressor(data.oracle, loss, checkpoint=tmp_path / "fit", **settings)
        own = {"capacities": np.full((40, 2), capacity)}
        # what was decided says nothing of the capacities
        model.fit(data.X, decisions=decisions, instance=own)

    decisions = data.oracle.solve(data.C).decisions
    fit(0.1, 15.0)
    fit(0.1, 15.0)
    for other in ((5.0, 15.0), (0.1, 16.0)):
        with pytest.raises(TrainingError, match="another training run"):
            fit(*other)


@both
def test_bad_input_is_named(kind: str) -> None:
    data, (X, C), _ = shortest_path(0, n=60)
    model = make(kind, data.oracle)
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        clone(model).fit(bad, C)
    bad = C.copy()
    bad[3, 1] = np.inf
    with pytest.raises(ValueError, match="Input y contains infinity"):
        clone(model).fit(X, bad)
    with pytest.raises(InvalidInputError, match="got 39 costs per row, expected 40"):
        clone(model).fit(X, C[:, :39])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clone(model).fit(X[:9], C)
    fitted = clone(model).fit(X, C)
    with pytest.raises(ValueError, match=r"X has 4 features, but .* is expecting 5"):
        fitted.decide(X[:, :4])
    with pytest.raises(InvalidInputError, match="instance data capacity"):
        fitted.decide(X, instance={"capacity": np.ones(len(X))})
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.score(X, C[:5])


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"loss": "sp+"}, "got loss 'sp\\+'.*did you mean"),
        ({"loss": 3}, "got loss=3"),
        ({"loss_parameters": {"tau": 1}}, "got parameter 'tau'"),
        ({"predictor": "tree"}, "got predictor='tree'"),
        ({"predictor": torch.nn.Linear(5, 39)}, r"shape \(2, 39\).*expected \(2, 40\)"),
        ({"predictor": torch.nn.Linear(4, 40)}, r"fails on features of shape \(2, 5\)"),
        ({"predictor": torch.nn.Identity()}, r"shape \(2, 5\).*expected \(2, 40\)"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"max_iter": 0}, "max_iter=0"),
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"optimizer": "lion"}, "optimizer='lion'"),
        ({"schedule": "step"}, "schedule='step'"),
        ({"validation_fraction": 0.0}, "validation_fraction=0"),
        ({"n_iter_no_change": 0}, "patience|n_iter_no_change"),
        ({"random_state": "x"}, "random_state='x'"),
    ],
    ids=str,
)
def test_bad_parameters_are_named(parameters: dict, words: str) -> None:
    data, (X, C), _ = shortest_path(0, n=60)
    with pytest.raises(InvalidInputError, match=words):
        DecisionFocusedRegressor(data.oracle, **parameters).fit(X, C)


def test_infeasible_instances_are_named() -> None:
    program = Program(np.ones((1, 3)), [9.0], [9.0], np.zeros(3), np.ones(3))
    with pytest.raises(InfeasibleError, match="instance 0"):
        DecisionFocusedRegressor(LinearProgram(program)).fit(np.ones((12, 2)), np.ones((12, 3)))


def test_any_callable_is_an_oracle() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 2))
    C = np.exp(X @ rng.normal(size=(2, 3)))
    oracle = FromCallable(lambda c: np.eye(3)[c.argmin()], n_costs=3)
    model = DecisionFocusedRegressor(oracle, max_iter=15, random_state=0).fit(X, C)
    assert model.score(X, C) > 0.85


def test_two_stage_takes_any_regressor() -> None:
    data, train, test = shortest_path(0)
    mean = PredictThenOptimizeRegressor(data.oracle, DummyRegressor()).fit(*train)
    np.testing.assert_allclose(mean.predict(test[0]), np.tile(train[1].mean(0), (300, 1)))
    assert mean.score(*test) < PredictThenOptimizeRegressor(data.oracle).fit(*train).score(*test)


def test_maximize_a_grid() -> None:
    data, train, test = shortest_path(0)
    flipped = Maximize(GridShortestPath(5, 5))
    model = DecisionFocusedRegressor(flipped, max_iter=20, random_state=0)
    model.fit(train[0], -train[1])
    plain = DecisionFocusedRegressor(data.oracle, max_iter=20, random_state=0).fit(*train)
    assert model.score(test[0], -test[1]) == pytest.approx(plain.score(*test), abs=1e-6)
