"""Estimators of constraints: scikit-learn's contract, learning, and files."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import dfl
from dfl import ConstraintRegressor, TwoStageConstraintRegressor, metrics
from dfl.datasets import make_knapsack_weights, make_staffing
from dfl.exceptions import InvalidInputError
from dfl_solvers import (
    AbstractRecourse,
    Discard,
    FromCallable,
    Knapsack,
    LinearProgram,
    Maximize,
    Program,
    Reoptimize,
    Rescale,
)


class Follow(AbstractRecourse):
    """Do what the truth asks for."""

    def correct(self, oracle, decisions, costs, instance):
        return instance["wanted"].sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Total:
    """A function whose name, unlike that of a plain one, is the same in every process."""

    def __call__(self, costs: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        return wanted.sum(keepdims=True)


# any numbers can be asked for, and whoever predicts their sum wrongly pays half of the difference
PLAIN = (FromCallable(Total(), 1, ("wanted",)), "wanted", Follow(0.5, 0.5), [1.0])
PROGRAM = LinearProgram(Program([[1.0, -1.0]], [0.0], [np.inf], [0.0, 0.0], [np.inf, np.inf]))
DATA = make_knapsack_weights(700, n_items=8, random_state=0)
KNAPSACK = (DATA.oracle, DATA.predicts, Discard(drop=0.5), DATA.costs)
X, Y, X_TEST, Y_TEST = DATA.X[:200], DATA.y[:200], DATA.X[200:], DATA.y[200:]
QUICK = {"max_iter": 4, "n_samples": 3, "random_state": 0}


def expected_failures(estimator) -> dict[str, str]:
    """Return checks that an estimator cannot pass, with the reason."""
    if isinstance(estimator, ConstraintRegressor):
        return {
            "check_sample_weight_equivalence_on_dense_data": "a row twice draws other noise than a "
            "row of weight two",
        }
    return {}


@parametrize_with_checks(
    [
        ConstraintRegressor(*PLAIN, max_iter=2, n_samples=2, random_state=0),
        TwoStageConstraintRegressor(*PLAIN, margins=[0.9, 1.1], cv=2, random_state=0),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_contract(estimator, check) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks provoke warnings of their own
        check(estimator)


def test_training_for_the_decision_beats_two_stages_with_the_best_margin() -> None:
    trained = ConstraintRegressor(
        *KNAPSACK, sigma=0.2, learning_rate=3e-3, max_iter=60, random_state=0
    ).fit(X, Y)
    plain = TwoStageConstraintRegressor(*KNAPSACK, margins=[1.0]).fit(X, Y)
    tuned = TwoStageConstraintRegressor(*KNAPSACK, random_state=0).fit(X, Y)
    regret, optimal = trained.evaluate(X_TEST, Y_TEST)
    for other in (plain, tuned):
        found = metrics.paired_bootstrap(
            regret, other.evaluate(X_TEST, Y_TEST)[0], weights=optimal, random_state=0
        )
        assert found.high < 0, found
    assert tuned.margin_ != 1
    assert tuned.score(X_TEST, Y_TEST) > plain.score(X_TEST, Y_TEST)
    # the first epochs of training are the two-stage model's
    assert trained.best_iter_ > 0
    assert trained.history_[trained.best_iter_ - 1]["validation"] == min(
        entry["validation"] for entry in trained.history_
    )
    assert trained.budget_.instances > 200 * 10


def test_covering_is_learned_on_the_safe_side() -> None:
    data = make_staffing(160, random_state=0)
    late = (data.oracle, data.predicts, Reoptimize(add=3.0, drop=1.0), data.costs)
    plain = TwoStageConstraintRegressor(*late, margins=[1.0]).fit(data.X[:60], data.y[:60])
    trained = ConstraintRegressor(
        *late, sigma=0.2, n_samples=4, learning_rate=0.03, max_iter=8, random_state=0
    ).fit(data.X[:60], data.y[:60])
    X, y = data.X[60:], data.y[60:]
    assert trained.predict(X).mean() > 1.05 * plain.predict(X).mean()
    assert trained.score(X, y) > plain.score(X, y) + 0.02


def test_without_training_it_is_least_squares() -> None:
    start = ConstraintRegressor(*KNAPSACK, max_iter=1, learning_rate=1e-12, early_stopping=False)
    start.fit(X, Y)
    expected = LinearRegression().fit(X, Y)
    np.testing.assert_allclose(start.predict(X_TEST), expected.predict(X_TEST), atol=1e-6)
    plain = TwoStageConstraintRegressor(*KNAPSACK, margins=[1.0]).fit(X, Y)
    np.testing.assert_allclose(plain.predict(X_TEST), expected.predict(X_TEST), atol=1e-12)
    double = TwoStageConstraintRegressor(*KNAPSACK, margins=[2.0]).fit(X, Y)
    np.testing.assert_allclose(double.predict(X_TEST), 2 * expected.predict(X_TEST), atol=1e-12)
    assert double.regret_path_.shape == (1, 0)


def test_decisions_and_scores_are_those_of_the_metric() -> None:
    model = ConstraintRegressor(*KNAPSACK, **QUICK).fit(X, Y)
    predicted = model.predict(X_TEST)
    decided = model.decide(X_TEST)
    used = (np.maximum(predicted, 0) * decided).sum(axis=1)
    assert (used <= DATA.oracle.minimizing.capacities[0] * (1 + 1e-8)).all()
    regret, optimal = model.evaluate(X_TEST, Y_TEST)
    expected = metrics.post_hoc_regret(
        DATA.oracle, predicted, Y_TEST, DATA.costs, predicts="weights", recourse=Discard(drop=0.5)
    )
    np.testing.assert_array_equal(regret, expected)
    assert model.score(X_TEST, Y_TEST) == 1 - metrics.normalize(regret, optimal)
    weights = np.r_[np.ones(100), np.zeros(400)]
    weighted = model.score(X_TEST, Y_TEST, weights)
    assert weighted == pytest.approx(model.score(X_TEST[:100], Y_TEST[:100]), abs=1e-12)
    # costs of each instance, and capacities of their own
    costs = np.tile(DATA.costs, (500, 1))
    np.testing.assert_array_equal(model.decide(X_TEST, costs=costs), decided)
    tight = model.decide(X_TEST, instance=pd.DataFrame({"capacities": [np.ones(1)] * 500}))
    assert ((np.maximum(predicted, 0) * tight).sum(axis=1) <= 1 + 1e-8).all()
    assert tight.any()


@pytest.mark.parametrize("leaf", [ConstraintRegressor, TwoStageConstraintRegressor])
def test_searched_cloned_and_in_pipelines(leaf) -> None:
    quick = QUICK if leaf is ConstraintRegressor else {"cv": 2, "random_state": 0}
    model = leaf(*KNAPSACK, **quick)
    frame = pd.DataFrame(X, columns=list("abcde"))
    pipeline = make_pipeline(StandardScaler(), model).fit(frame, pd.DataFrame(Y))
    assert pipeline.score(frame, Y) > 0.8
    key = f"{leaf.__name__.lower()}__recourse"
    search = GridSearchCV(pipeline, {key: [Discard(drop=0.5), Discard(drop=2.0)]}, cv=2)
    assert search.fit(frame, Y).best_params_[key].drop == 0.5
    for score, (train, held) in zip(
        cross_val_score(model, X, Y, cv=KFold(2)), KFold(2).split(X), strict=True
    ):
        assert clone(model).fit(X[train], Y[train]).score(X[held], Y[held]) == score
    again = clone(model).fit(X, Y)
    np.testing.assert_array_equal(again.predict(X), clone(model).fit(X, Y).predict(X))


@pytest.mark.parametrize(
    "model",
    [
        ConstraintRegressor(*KNAPSACK, **QUICK),
        ConstraintRegressor(*KNAPSACK, predictor="mlp", **QUICK),
        TwoStageConstraintRegressor(
            *KNAPSACK, regressor=RandomForestRegressor(5, random_state=0), cv=3, random_state=0
        ),
        ConstraintRegressor(PROGRAM, "row_lower", Rescale(0.5), [1.0, 1.0], positions=[0], **QUICK),
    ],
    ids=["linear", "mlp", "forest", "program"],
)
def test_a_loaded_estimator_decides_the_same(model, tmp_path: Path) -> None:
    y = Y if model.predicts == "weights" else 5 + X[:, 0]
    model = clone(model).fit(X, y)
    model.save(tmp_path / "model")
    again = dfl.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X_TEST), model.predict(X_TEST))
    np.testing.assert_array_equal(again.decide(X_TEST), model.decide(X_TEST))
    assert repr(again.recourse) == repr(model.recourse)
    assert clone(again).fit(X, y).score(X, y) == model.score(X, y)


def test_positions_capacities_and_functions_of_a_user() -> None:
    # one weight of three is unknown
    oracle = Maximize(Knapsack([[3.0, 4.0, 2.0]], [6.0]))
    x = np.linspace(-1, 1, 40)[:, None]
    some = ConstraintRegressor(
        oracle, "weights", Discard(drop=0.5), [5.0, 4.0, 0.5], positions=[1], **QUICK
    ).fit(x, 3 + x[:, 0])
    assert some.predict(x).shape == (40,)
    assert some.score(x, 3 + x[:, 0]) > 0.9
    assert isinstance(some.intercept_, float)
    room = TwoStageConstraintRegressor(
        oracle, "capacities", Discard(), [5.0, 4.0, 0.5], margins=[1.0]
    ).fit(x, 6 + 4 * x)
    assert room.score(x, 6 + 4 * x) == 1

    def take(costs, limit):
        return np.where((costs < 0) & (np.arange(len(costs)) < limit[0]), 1.0, 0.0)

    class Cut(AbstractRecourse):
        def correct(self, oracle, decisions, costs, instance):
            return decisions * (np.arange(decisions.shape[1]) < instance["limit"])

    own = ConstraintRegressor(
        FromCallable(take, 3, ("limit",)), "limit", Cut(drop=0.5), [-1.0, -1.0, -1.0], **QUICK
    ).fit(x, 2 + x[:, 0])
    assert own.decide(x).shape == (40, 3)
    assert own.score(x, 2 + x[:, 0]) > 0.8


def test_dates_are_validated_in_time_and_polynomials_help() -> None:
    frame = pd.DataFrame(X, index=pd.date_range("2026-01-01", periods=200))
    ConstraintRegressor(*KNAPSACK, **QUICK).fit(frame, Y)
    model = TwoStageConstraintRegressor(*KNAPSACK, cv=3, random_state=0).fit(frame, Y)
    assert model.regret_path_.shape == (11, 3)
    squares = make_pipeline(PolynomialFeatures(2), LinearRegression())
    better = TwoStageConstraintRegressor(*KNAPSACK, regressor=squares, random_state=0).fit(X, Y)
    assert better.score(X_TEST, Y_TEST) > model.score(X_TEST, Y_TEST)


def test_errors_say_what_to_do() -> None:
    with pytest.raises(InvalidInputError, match="ConstraintRegressor needs an oracle"):
        ConstraintRegressor().fit(X, Y)
    with pytest.raises(InvalidInputError, match="got recourse=None, expected what is done"):
        ConstraintRegressor(DATA.oracle).fit(X, Y)
    with pytest.raises(InvalidInputError, match="the costs are not known; pass costs="):
        ConstraintRegressor(*KNAPSACK[:3]).fit(X, Y)
    with pytest.raises(InvalidInputError, match="got 7 numbers of weights per row, expected 8"):
        ConstraintRegressor(*KNAPSACK).fit(X, Y[:, :7])
    with pytest.raises(InvalidInputError, match=r"margins=.*positive"):
        TwoStageConstraintRegressor(*KNAPSACK, margins=[0.0]).fit(X, Y)
    with pytest.raises(ValueError, match="at least one non-zero number"):
        ConstraintRegressor(*KNAPSACK, **QUICK).fit(X, Y, np.zeros(200))
    frame = pd.DataFrame(X, index=pd.date_range("2026-01-01", periods=200))
    with pytest.raises(InvalidInputError, match="all instances to validate on are zero"):
        ConstraintRegressor(*KNAPSACK, **QUICK).fit(frame, Y, np.r_[np.ones(150), np.zeros(50)])
    with pytest.raises(InvalidInputError, match="instance data 'capacities' of shape"):
        ConstraintRegressor(*KNAPSACK, **QUICK).fit(X, Y, instance={"capacities": np.ones((3, 1))})


def test_a_recourse_of_a_user_is_not_saved_but_decisions_need_none(tmp_path: Path) -> None:
    class Own(AbstractRecourse):
        def correct(self, oracle, decisions, costs, instance):
            return Discard().correct(oracle, decisions, costs, instance)

    model = ConstraintRegressor(*KNAPSACK[:2], Own(drop=0.5), KNAPSACK[3], **QUICK).fit(X, Y)
    model.save(tmp_path / "model")
    again = dfl.load(tmp_path / "model")
    np.testing.assert_array_equal(again.decide(X_TEST), model.decide(X_TEST))
    with pytest.raises(InvalidInputError, match=r"got recourse='.*Own.*', expected what is done"):
        again.score(X_TEST, Y_TEST)
    again.set_params(recourse=Discard(drop=0.5))
    assert again.score(X_TEST, Y_TEST) == model.score(X_TEST, Y_TEST)
