"""Weights, warm starts, single passes, validation sets, callbacks and limits of a fit."""

from __future__ import annotations

import os
import pickle
import time
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import TimeSeriesSplit

from dfl import DecisionFocusedRegressor, make_loss
from dfl.datasets import make_knapsack, make_shortest_path
from dfl.exceptions import InvalidInputError, TrainingError, UnsupportedError
from dfl.risk import CVaRLoss
from dfl_solvers import Box, Counting, FromCallable, GridShortestPath, Pool, TopK

DATA = make_shortest_path(200, grid=(4, 4), degree=6, noise=0.5, random_state=0)
X, C = DATA.X, DATA.C
both = pytest.mark.parametrize("predictor", ["linear", "mlp"])


def make(predictor="linear", **settings) -> DecisionFocusedRegressor:
    settings = {"max_iter": 4, "random_state": 0, **settings}
    return DecisionFocusedRegressor(DATA.oracle, predictor=predictor, **settings)


@pytest.mark.parametrize("loss", ["spo+", "squared"])
@both
def test_a_weight_of_two_is_a_row_twice(predictor: str, loss: str) -> None:
    weights = np.ones(200)
    weights[:30] = 2
    # Adam would enlarge the rounding errors of a slope that is zero at least squares
    model = make(predictor, loss=loss, optimizer="sgd", early_stopping=False, batch_size=230)
    weighted = clone(model).fit(X, C, sample_weight=weights).predict(X)
    doubled = clone(model).fit(np.vstack([X, X[:30]]), np.vstack([C, C[:30]])).predict(X)
    # single precision for the network
    np.testing.assert_allclose(weighted, doubled, rtol=1e-8 if predictor == "linear" else 1e-3)
    if predictor == "linear":
        assert not np.allclose(weighted, clone(model).fit(X, C).predict(X), rtol=1e-3)


def test_equal_weights_change_nothing() -> None:
    plain, weighted = make().fit(X, C), make().fit(X, C, sample_weight=np.full(200, 3.0))
    np.testing.assert_allclose(plain.coef_, weighted.coef_, rtol=1e-9)
    np.testing.assert_allclose(
        [e["validation"] for e in plain.history_], [e["validation"] for e in weighted.history_]
    )


def test_weights_count_in_the_validation() -> None:
    # the instances that validate with weight zero might as well not be there
    rng = np.random.default_rng(1)
    weights = np.r_[np.ones(50), np.zeros(50)]
    held = {"X": X[:100], "y": C[:100], "sample_weight": weights}
    weighted = make().fit(X[100:], C[100:], validation=held)
    absent = make().fit(X[100:], C[100:], validation=(X[:50], C[:50]))
    np.testing.assert_array_equal(weighted.coef_, absent.coef_)
    noise = make().fit(X[100:], C[100:], validation=(X[:50], rng.permutation(C[:50])))
    assert noise.history_[0]["loss"] == absent.history_[0]["loss"]
    assert noise.history_[0]["validation"] != absent.history_[0]["validation"]


def test_instances_that_all_weigh_nothing_cannot_validate() -> None:
    held = {"X": X[:9], "y": C[:9], "sample_weight": np.r_[np.zeros(8), 1.0]}
    make().fit(X[9:], C[9:], validation=held)
    table = pd.DataFrame(X, index=pd.date_range("2026-01-01", periods=200))
    with pytest.raises(InvalidInputError, match=r"validate on are zero.*early_stopping=False"):
        make().fit(table, C, sample_weight=np.r_[np.ones(150), np.zeros(50)])


def test_weights_of_instances_in_long_data() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(3, 6, 40)
    groups = np.repeat(np.arange(40), sizes)
    rows = rng.normal(size=(len(groups), 3))
    y = np.exp(rows @ [0.5, -1.0, 0.3])
    weights = np.where(np.arange(40) < 10, 0.0, 1.0)
    model = DecisionFocusedRegressor(
        TopK(None, 1), max_iter=3, early_stopping=False, batch_size=64, random_state=0
    )
    weighted = clone(model).fit(rows, y, sample_weight=weights, groups=groups)
    kept = groups >= 10
    fewer = clone(model).fit(rows[kept], y[kept], groups=groups[kept])
    np.testing.assert_allclose(weighted.coef_, fewer.coef_, rtol=1e-8)
    with pytest.raises(ValueError, match="sample_weight"):
        clone(model).fit(rows, y, sample_weight=np.ones(len(y)), groups=groups)


@both
def test_partial_fit_goes_on(predictor: str) -> None:
    model = make(predictor, batch_size=20)
    model.partial_fit(X[:100], C[:100])
    scaling, first = model._scaling, model.predict(X)
    model.partial_fit(X[100:], C[100:])
    assert model._scaling is scaling
    assert not np.allclose(model.predict(X), first)
    assert [entry["epoch"] for entry in model.history_] == [1, 2]
    assert model.n_iter_ == model.best_iter_ == 2
    assert model.budget_.instances == 2 * 200  # labels, and one solve each
    steps = {int(state["step"]) for state in model._optimizer.state.values()}
    assert steps == {10}
    seconds = [entry["seconds"] for entry in model.history_]
    assert 0 < seconds[0] < seconds[1]
    # the same calls give the same weights, also through a pickle
    again = make(predictor, batch_size=20).partial_fit(X[:100], C[:100])
    again = pickle.loads(pickle.dumps(again))  # noqa: S301
    again.partial_fit(X[100:], C[100:])
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_partial_fit_learns() -> None:
    model, start = make(learning_rate=0.02), make().partial_fit(X[:150], C[:150])
    for _ in range(30):
        model.partial_fit(X[:150], C[:150])
    assert model.score(X[150:], C[150:]) > start.score(X[150:], C[150:])


def test_partial_fit_after_fit_and_after_an_error() -> None:
    model = make(schedule="cosine").fit(X, C)
    fitted = model.predict(X)
    with pytest.raises(InvalidInputError, match="got 23 costs per row"):
        model.partial_fit(X, C[:, :23])
    with pytest.raises(TrainingError):
        model.set_params(loss="squared", learning_rate=1e300).partial_fit(X, C)
    np.testing.assert_array_equal(model.predict(X), fitted)
    model.set_params(loss="spo+", learning_rate=1e-2).partial_fit(X, C)
    assert [entry["epoch"] for entry in model.history_] == [1, 2, 3, 4, 5]
    assert model.history_[-1]["learning_rate"] == 1e-2
    assert not np.allclose(model.predict(X), fitted)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@both
def test_partial_fit_of_a_loaded_estimator(predictor: str, optimizer: str, tmp_path) -> None:
    from dfl import load

    model = make(predictor, optimizer=optimizer).fit(X[:150], C[:150])
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    for each in (model, again):  # the optimizer's own state is there as well
        each.partial_fit(X[150:], C[150:]).partial_fit(X[:50], C[:50])
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.n_iter_ == model.n_iter_ == 6
    assert again.history_[-1]["loss"] == model.history_[-1]["loss"]
    assert not np.array_equal(load(tmp_path / "model").predict(X), again.predict(X))
    # with another optimizer by then, one starts afresh
    again.set_params(optimizer="adamw" if optimizer == "sgd" else "sgd").partial_fit(X, C)
    assert again.n_iter_ == 7


@pytest.mark.parametrize(
    "parameters",
    [{"loss": make_loss("spo+", DATA.oracle)}, {"cv": TimeSeriesSplit(3)},
     {"random_state": np.random.default_rng(0)}],
    ids=["loss", "cv", "random_state"],
)  # fmt: skip
def test_what_load_cannot_bring_back_is_refused_by_fit(parameters: dict, tmp_path) -> None:
    from dfl import load

    model = make().set_params(**parameters).fit(X, C)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.decide(X), model.decide(X))
    (name,) = parameters
    with pytest.raises(InvalidInputError, match=name):
        again.fit(X, C)
    again.set_params(**parameters).fit(X, C)  # given again, all is well


@both
def test_warm_start_goes_on_from_the_weights(predictor: str) -> None:
    model = make(predictor, warm_start=True, early_stopping=False, optimizer="sgd")
    # of plain gradient steps in one batch, two fits of 4 epochs are one of 8
    model.set_params(batch_size=200).fit(X, C).fit(X, C)
    whole = clone(model).set_params(max_iter=8).fit(X, C)
    # single precision of the network apart
    np.testing.assert_allclose(model.predict(X), whole.predict(X), rtol=1e-4)
    cold = clone(model).set_params(warm_start=False).fit(X, C)
    assert not np.allclose(cold.fit(X, C).predict(X), model.predict(X), rtol=1e-4)
    with pytest.raises(ValueError, match="X has 4 features"):
        model.fit(X[:, :4], C)
    # data in other units are understood in the first scales
    again = clone(model).fit(X, C)
    again.fit(X, 2 * C)
    assert again._scaling is not None
    assert again._scaling.cost == model._scaling.cost


def test_a_validation_set_of_ones_own() -> None:
    model = make().fit(X[:150], C[:150], validation=(X[150:], C[150:]))
    named = make().fit(X[:150], C[:150], validation={"X": X[150:], "y": C[150:]})
    np.testing.assert_array_equal(model.coef_, named.coef_)
    best = model.history_[model.best_iter_ - 1]["validation"]
    assert 1 - best == pytest.approx(model.score(X[150:], C[150:]), abs=1e-12)
    assert model.budget_.instances == 150 + 50 + 50 + 200 * 4
    with pytest.raises(InvalidInputError, match="early_stopping is off"):
        make(early_stopping=False).fit(X, C, validation=(X, C))
    with pytest.raises(InvalidInputError, match="got 9 costs per row"):
        make().fit(X, C, validation=(X, C[:, :9]))
    with pytest.raises(ValueError, match="X has 4 features"):
        make().fit(X, C, validation=(X[:, :4], C))
    for wrong in ((X, C, C), X, {"X": X, "costs": C}, {"y": C}):
        with pytest.raises(InvalidInputError, match=r"got validation .*expected"):
            make().fit(X, C, validation=wrong)
    groups = np.repeat(np.arange(50), 4)
    with pytest.raises(InvalidInputError, match="got long data to validate on, expected wide"):
        make().set_params(oracle=Box()).fit(
            X, C[:, 0], validation={"X": X, "y": C[:, 0], "groups": groups}
        )


def test_callbacks_see_every_epoch_and_may_stop() -> None:
    seen = []

    def stop(entry: dict[str, float]) -> bool:
        seen.append(dict(entry))
        return entry["epoch"] == 3

    model = make(max_iter=10).fit(X, C, callbacks=[stop])
    assert model.n_iter_ == 3
    assert [entry["epoch"] for entry in seen] == [1, 2, 3]
    assert set(seen[0]) == {
        "epoch", "loss", "validation", "learning_rate", "seconds", "interrupted",
    }  # fmt: skip
    assert seen == model.history_


def slow(seconds: float) -> FromCallable:
    grid = GridShortestPath(4, 4)

    def function(c: np.ndarray) -> np.ndarray:
        time.sleep(seconds)
        return grid.solve(c[None]).decisions[0]

    return FromCallable(function, n_costs=24)


@both
def test_the_solver_may_be_given_a_limit(predictor: str) -> None:
    model = make(predictor, max_solver_seconds=0.3, max_iter=10_000, n_iter_no_change=10_000)
    model.set_params(oracle=slow(2e-4)).fit(X[:60], C[:60])
    assert 1 <= model.n_iter_ < 1000
    assert 0.3 <= model.budget_.seconds < 3
    values = [entry["validation"] for entry in model.history_]
    best = min(values)
    if model.best_iter_:
        assert values[model.best_iter_ - 1] == best
    # a limit that is never reached changes nothing
    free, loose = make(predictor).fit(X, C), make(predictor, max_solver_seconds=1e6).fit(X, C)
    np.testing.assert_array_equal(free.predict(X), loose.predict(X))
    for wrong in (0, -1.0, float("nan")):
        with pytest.raises(InvalidInputError, match="max_solver_seconds="):
            make(predictor, max_solver_seconds=wrong).fit(X, C)


def test_a_limit_that_the_labels_use_up_leaves_least_squares() -> None:
    model = make(max_solver_seconds=1e-3).set_params(oracle=slow(1e-3))
    with pytest.warns(ConvergenceWarning, match="before the first epoch"):
        model.fit(X[:40], C[:40])
    assert model.n_iter_ == model.best_iter_ == 0
    assert model.history_ == []
    from sklearn.linear_model import LinearRegression

    plain = make(max_solver_seconds=1e-3, early_stopping=False).set_params(oracle=slow(1e-3))
    with pytest.warns(ConvergenceWarning, match="before the first epoch"):
        plain.fit(X[:40], C[:40])
    expected = LinearRegression().fit(X[:40], C[:40]).predict(X)
    np.testing.assert_allclose(plain.predict(X), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("spo+", r"labels will take about \S+ m?s, and an epoch will solve 20 instances"),
        # three draws an instance that trains, and what validates
        ("score-function", r"labels .* an epoch will solve 52 instances"),
        ("squared", r"^an epoch will solve 4 instances"),
    ],
)
def test_a_long_fit_is_announced(loss: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import dfl.estimators._solver_time as module

    monkeypatch.setattr(module, "_LONG", 0.5)
    oracle = Counting(slow(1e-3))
    parameters = {"n_samples": 3} if loss == "score-function" else None
    model = make(loss=loss, loss_parameters=parameters, max_iter=500).set_params(oracle=oracle)
    solved: list[int] = []

    def message(text, *_, **__) -> None:
        solved.append(oracle.counts.instances)
        raise Announced(str(text))

    # before most of the labels are solved
    monkeypatch.setattr(module.warnings, "warn", message)
    rest = r".* 500 epochs \S+ (s|min); cheaper are n_jobs=-1"
    with pytest.raises(Announced, match=words + rest):
        model.fit(X[:20], C[:20])
    assert solved[0] <= 8 + 2 * 4 * 3
    monkeypatch.undo()
    monkeypatch.setattr(module, "_LONG", 0.5)
    with pytest.warns(UserWarning, match=words):
        model.fit(X[:20], C[:20], callbacks=[lambda entry: True])
    assert model.n_iter_ == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.set_params(max_iter=2).fit(X[:20], C[:20])
        model.set_params(max_iter=500, max_solver_seconds=1.0)
        model.fit(X[:20], C[:20], callbacks=[lambda entry: True])
        model.set_params(max_solver_seconds=None).partial_fit(X[:20], C[:20])
        # what costs no solves says nothing of them
        model.set_params(loss="squared", loss_parameters=None, early_stopping=False)
        model.fit(X[:20], C[:20], callbacks=[lambda entry: True])


class Announced(Exception):
    """Stops a fit at its announcement."""


def test_labels_solved_few_by_few_are_those_solved_at_once(monkeypatch) -> None:
    import dfl.estimators._solver_time as module

    settings = {"loss": "score-function", "max_iter": 1}
    capacities = np.random.default_rng(0).uniform(4, 14, (60, 2))
    data = make_knapsack(60, n_items=6, n_dimensions=2, capacity=9, degree=4, random_state=0)

    def fitted(n: int) -> DecisionFocusedRegressor:
        model = make(**settings).set_params(oracle=data.oracle)
        own = {"capacities": capacities[:n]}
        return model.fit(data.X[:n], data.C[:n], instance=own)

    sizes = (3, 4, 5, 8, 9, 60)
    plain = [fitted(n) for n in sizes]
    monkeypatch.setattr(module, "_MANY", 1e12)  # as if all were slow
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # but it is not long
        for n, model in zip(sizes, plain, strict=True):
            np.testing.assert_array_equal(fitted(n).coef_, model.coef_)


def test_a_pool_is_that_of_all_labels_however_they_were_solved() -> None:
    # with a limit nothing is announced, and labels are solved at once
    at_once = make(early_stopping=False, loss="ranking-listwise", max_solver_seconds=1e6).fit(
        X[:60], C[:60]
    )
    pieces = make(early_stopping=False, loss="ranking-listwise").fit(X[:60], C[:60])
    np.testing.assert_array_equal(pieces.coef_, at_once.coef_)


@pytest.mark.parametrize("case", ["adaptive-imle", "cvar", "pool"])
def test_a_forecast_changes_nothing(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import dfl.estimators._solver_time as module

    def fitted() -> np.ndarray:
        model = make(early_stopping=False, loss="spo+" if case == "pool" else "adaptive-imle")
        if case == "cvar":
            model.set_params(loss=CVaRLoss(make_loss("spo+", DATA.oracle), 0.8))
        if case == "pool":
            model.set_params(oracle=Pool(DATA.oracle, 0.3, random_state=0))
        return model.fit(X, C).coef_

    plain = fitted()
    monkeypatch.setattr(module, "_LONG", 1e-9)  # as if all were slow
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(fitted(), plain)


def test_the_solves_of_a_relaxation_are_counted_and_limited() -> None:
    data = make_knapsack(60, n_items=8, n_dimensions=2, degree=4, random_state=0)
    settings = {"max_iter": 3, "early_stopping": False, "random_state": 0}
    model = DecisionFocusedRegressor(data.oracle, "relaxed-spo+", **settings)
    model.fit(data.X, data.C)
    assert model.budget_.instances == 60 + 3 * 60  # labels, and each epoch all of them
    model.set_params(max_iter=10_000, max_solver_seconds=0.05).fit(data.X, data.C)
    assert model.n_iter_ < 10_000
    assert 0.05 <= model.budget_.seconds < 3


def test_interrupted_solves_are_counted_by_epoch() -> None:
    model = make(early_stopping=False).set_params(oracle=Pool(DATA.oracle, 0.3, random_state=0))
    model.fit(X, C)
    # the pool solves about a third, and answers the others without proof
    counts = [entry["interrupted"] for entry in model.history_]
    assert all(90 < count < 180 for count in counts)
    assert sum(counts) == model.budget_.interrupted
    assert {entry["interrupted"] for entry in make().fit(X, C).history_} == {0}


def test_a_users_linear_module_is_trained_like_the_named_one() -> None:
    module = torch.nn.Linear(5, 24, dtype=torch.float64)
    direct = make(module, early_stopping=False, loss="squared").fit(X, C)
    wrapped = make(torch.nn.Sequential(module), early_stopping=False, loss="squared").fit(X, C)
    np.testing.assert_allclose(direct.predict(X), wrapped.predict(X), rtol=1e-6)


class Slow:
    """An oracle of one's own; it says in which processes it has solved."""

    n_costs = 24

    def __init__(self, folder) -> None:
        self.oracle, self.folder = GridShortestPath(4, 4), folder

    def solve(self, costs, instance=None):
        (self.folder / str(os.getpid())).touch()
        return self.oracle.solve(costs, instance)

    def evaluate(self, costs, decisions, instance=None):
        return self.oracle.evaluate(costs, decisions, instance)


def test_instances_are_dealt_out_to_processes(tmp_path) -> None:
    model = make(max_iter=2, n_jobs=2).set_params(oracle=Slow(tmp_path))
    alone = clone(model).set_params(n_jobs=None, oracle=DATA.oracle).fit(X[:60], C[:60])
    np.testing.assert_array_equal(model.fit(X[:60], C[:60]).predict(X), alone.predict(X))
    seen = {path.name for path in tmp_path.iterdir()}
    assert len(seen - {str(os.getpid())}) >= 1
    with pytest.raises(InvalidInputError, match="n_jobs=0"):
        model.set_params(n_jobs=0).fit(X, C)
    with pytest.raises(UnsupportedError, match=r"use Pool\(Parallel"):
        model.set_params(n_jobs=2, oracle=Pool(DATA.oracle, 0.5)).fit(X, C)
    one = model.set_params(n_jobs=1, oracle=DATA.oracle).fit(X[:60], C[:60])
    np.testing.assert_array_equal(one.predict(X), alone.predict(X))


@pytest.mark.parametrize("device", ["nowhere", "cuda:99", 3.5])
def test_a_device_that_is_not_there_is_named(device) -> None:
    with pytest.raises(InvalidInputError, match=f"got device={device!r}, which cannot be used"):
        make(device=device).fit(X, C)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator on this machine")
@pytest.mark.parametrize(
    "loss", ["spo+", "squared", "score-function", "perturbed-fenchel-young", "black-box"]
)
@both
def test_an_accelerator_gives_the_same_up_to_rounding(predictor: str, loss: str, tmp_path) -> None:
    from dfl import load

    settings = {"loss": loss, "optimizer": "sgd", "early_stopping": False, "max_iter": 2}
    here = make(predictor, **settings).fit(X, C)
    there = make(predictor, device="cuda", **settings).fit(X, C, validation=None)
    np.testing.assert_allclose(there.predict(X), here.predict(X), rtol=1e-2, atol=1e-3)
    assert next(there.predictor_.parameters()).device.type == "cuda"
    there.save(tmp_path / "model")
    again = load(tmp_path / "model")  # on the CPU, until it is trained again
    np.testing.assert_allclose(again.predict(X), there.predict(X), rtol=1e-4, atol=1e-6)
    again.partial_fit(X, C)
    assert next(again.predictor_.parameters()).device.type == "cuda"
