"""Recipes of published tables: what is published, how they train, and a cut of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression

from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl_experiments.config import RunConfig, SuiteConfig
from dfl_experiments.config_file import load
from dfl_experiments.methods import HeldOutLasso, PublishedTraining
from dfl_experiments.problems import (
    CoraMatchingProblem,
    CubicTopKProblem,
    PriceKnapsackProblem,
    ShortestPathProblem,
    ShuffledEnergyProblem,
    SPOPortfolioProblem,
    SPOShortestPathProblem,
)
from dfl_experiments.problems.base import Fold
from dfl_experiments.published import Criterion, judge, numbers_of, published
from dfl_experiments.regressors import regressor


def members(name: str) -> list[RunConfig]:
    """Return the recipes of a suite, or the one."""
    config = load(name)
    found = config.recipes if isinstance(config, SuiteConfig) else (config,)
    assert all(isinstance(one, RunConfig) for one in found)
    return list(found)


def fold_of(problem: object, seed: int = 0) -> Fold:
    return next(problem.folds(seed))


@pytest.mark.parametrize("name", list(published()))
def test_published_numbers_are_of_problems_and_methods_of_the_recipes(name: str) -> None:
    paper = published()[name]
    parts = {part for config in members(name) for part in config.problem.parts()}
    methods = {method.name for config in members(name) for method in config.methods}
    assert set(paper.numbers) <= parts
    assert {method for known in paper.numbers.values() for method in known} <= methods
    assert {wanted.problem for wanted in paper.criteria} <= parts
    assert all(paper.metric in config.metrics for config in members(name))
    for config in members(name):
        assert numbers_of(config.name, paper.metric) is paper
    assert numbers_of(name, "annual-return") is None


def test_published_numbers_agree_across_papers() -> None:
    # three pipelines that share no code, on the same definition
    part = "shortest-path, n 1000, degree 4, noise 0.5"
    pyepo = published()["pyepo-shortest-path"].numbers[part]
    first = published()["replicate-spo"].numbers["n 1000, noise 0.5, degree 4"]
    for method in ("least squares", "spo+"):
        assert first[method].value == pytest.approx(pyepo[method].value, abs=0.15)
    assert numbers_of("shortest-path", "normalized-regret") is None


def test_verdicts() -> None:
    wanted = Criterion(name="b wins", problem="p", method="b", relative_to="a", low=1.0, high=1.5)
    known = {("p", "a"): {0: 0.1, 1: 0.1, 2: 0.1}, ("p", "b"): {0: 0.12, 1: 0.09, 2: 0.2, 3: 9.0}}
    (verdict,) = judge([wanted], known)
    assert (verdict.met, verdict.n_seeds) == (True, 3)  # a seed without the other has no ratio
    assert verdict.median == pytest.approx(1.2)
    (verdict,) = judge([wanted], {**known, ("p", "b"): {0: 0.09, 1: 0.09, 2: 0.2}})
    assert not verdict.met
    assert str(verdict).startswith("MISSED: b wins, p: median ratio of b to a: 0.900 over 3 seeds")
    percent = Criterion(name="level", problem="p", method="a", low=8.0, high=12.0)
    assert judge([percent], known)[0].median == pytest.approx(10.0)
    assert judge([percent], {}) == []
    tie = {("p", "a"): {0: 0.1, 1: 0.1}, ("p", "b"): {0: 0.1, 1: 0.1}}
    wins = Criterion(name="a wins", problem="p", method="b", relative_to="a", above=1.0)
    (verdict,) = judge([wins], tie)
    assert not verdict.met  # a tie is no win
    assert str(verdict).endswith("expected above 1")
    assert judge([wins.model_copy(update={"above": 0.99})], tie)[0].met


def test_least_squares_must_win_beyond_a_tie_where_it_is_published_to_win() -> None:
    honest = {c.problem: c for c in published()["replicate-spo"].criteria if "least" in c.name}
    assert set(honest) == {"n 100, noise 0.5, degree 1", "n 100, noise 0.5, degree 2"}
    assert {wanted.above for wanted in honest.values()} == {1.0}


def test_a_forest_per_cost_is_what_the_publication_fitted() -> None:
    fold = fold_of(ShortestPathProblem(kind="shortest-path", n_train=60, n_test=20))
    settings = {"n_estimators": 3}
    own = regressor("random-forest-per-cost", settings, fold, 7).fit(fold.train.X, fold.train.y)
    for cost in (0, 39):
        alone = RandomForestRegressor(3, random_state=7).fit(fold.train.X, fold.train.y[:, cost])
        expected = alone.predict(fold.test.X)
        np.testing.assert_allclose(own.predict(fold.test.X)[:, cost], expected)
    for name in ("pyepo-shortest-path", "pyepo-knapsack", "pyepo-tsp"):
        for config in members(name):
            (forest,) = (m for m in config.methods if m.name == "random forest")
            assert forest.regressor == "random-forest-per-cost"


def test_a_tiny_penalty_is_least_squares_and_a_large_one_the_mean() -> None:
    fold = fold_of(SPOShortestPathProblem(kind="spo-shortest-path", cases=((200, 0.5, 4),)))
    assert len(fold.train.X) == 250
    X, costs = fold.train.X[:200], fold.train.y[:200]
    model = LinearRegression().fit(X, costs)
    optimal = fold.oracle.solve(fold.test.y).objectives

    def regret(penalties: tuple[float, ...]) -> np.ndarray:
        method = HeldOutLasso(
            name="m", estimator="held-out-lasso", loss="squared", penalties=penalties
        )
        return method.judge(fold, optimal, 0).regret

    def of(predicted: np.ndarray) -> np.ndarray:
        return (fold.test.y * fold.oracle.solve(predicted).decisions).sum(1) - optimal

    exact = of(model.predict(fold.test.X))
    np.testing.assert_allclose(regret((1e-7,)).sum(), exact.sum(), rtol=1e-2)
    mean = of(np.broadcast_to(costs.mean(axis=0), fold.test.y.shape))
    np.testing.assert_allclose(regret((1e9,)), mean, atol=1e-6)
    assert regret((1e-7, 1e9)).sum() == regret((1e-7,)).sum()  # the better one is chosen


def test_spo_plus_wins_where_the_model_is_wrong() -> None:
    fold = fold_of(SPOShortestPathProblem(kind="spo-shortest-path", cases=((100, 0.0, 8),)))
    optimal = fold.oracle.solve(fold.test.y).objectives
    found = {
        loss: HeldOutLasso(
            name=loss, estimator="held-out-lasso", loss=loss, penalties=(1e-2,), tol=1e-1
        ).judge(fold, optimal, 0)
        for loss in ("squared", "spo+")
    }
    assert found["spo+"].regret.sum() < 0.7 * found["squared"].regret.sum()
    assert found["spo+"].solves > found["squared"].solves


def test_published_training_by_squares_finds_least_squares() -> None:
    fold = fold_of(SPOPortfolioProblem(kind="spo-portfolio", cases=((200, 4),), n_test=200))
    assert fold.train.X.shape == (250, 5)
    optimal = fold.oracle.solve(fold.test.y).objectives
    method = PublishedTraining(
        name="m", estimator="published-training", loss="squared", max_iter=150, batch_size=250
    )
    own = method.judge(fold, optimal, 0)
    predicted = LinearRegression().fit(fold.train.X, fold.train.y).predict(fold.test.X)
    other = (fold.test.y * fold.oracle.solve(predicted).decisions).sum(1) - optimal
    assert own.regret.sum() == pytest.approx(other.sum(), rel=0.02)
    again = method.judge(fold, optimal, 0)
    np.testing.assert_array_equal(again.regret, own.regret)
    held = method.model_copy(update={"validation_fraction": 0.2, "schedule": "plateau"})
    history = held.judge(fold, optimal, 0).history
    assert min(epoch["validation"] for epoch in history) < history[0]["validation"]


def test_one_model_for_all_items_learns_and_refusals() -> None:
    problem = CubicTopKProblem(kind="cubic-top-k", n_items=20, n_train=100, n_test=100)
    fold = fold_of(problem)
    optimal = fold.oracle.solve(fold.test.expected).objectives
    assert fold.train.X.shape == (2000, 1)
    method = PublishedTraining(
        name="m", estimator="published-training", loss="spo+", learning_rate=0.1,
        validation_fraction=0.2, standardize=True,
    )  # fmt: skip
    method.check(fold)
    own = method.judge(fold, optimal, 0)
    falling = (fold.oracle.solve(-fold.test.X.reshape(100, 20)).decisions * fold.test.expected).sum(
        1
    )
    assert own.regret.mean() < 0.2 * (optimal - falling).mean()
    hidden = method.model_copy(update={"hidden": (16,), "max_iter": 2})
    assert np.isfinite(hidden.judge(fold, optimal, 0).regret).all()
    with pytest.raises(InvalidInputError, match="needs a validation_fraction above 0"):
        method.model_copy(update={"schedule": "plateau", "validation_fraction": 0.0}).check(fold)
    with pytest.raises(UnsupportedError, match="wide data"):
        HeldOutLasso(
            name="m", estimator="held-out-lasso", loss="spo+", penalties=(1.0,)
        ).check(fold)  # fmt: skip


@pytest.mark.parametrize(
    "problem",
    [
        PriceKnapsackProblem(kind="price-knapsack", capacities=(60,), n_train=20, n_test=10),
        ShuffledEnergyProblem(kind="shuffled-energy", instances=(1,), n_train=20, n_test=10),
        CoraMatchingProblem(kind="cora-matching", shares=(0.25,), n_train=3, n_test=2),
    ],
    ids=lambda problem: problem.kind,
)
def test_real_instances_are_shuffled_whole(
    problem: object, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFL_DATA", str(data_folder))
    first, again, other = (fold_of(problem, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.train.X, again.train.X)
    assert (first.train.y != other.train.y).any()
    n = problem.n_train
    values = first.train.wide(first.train.y)
    assert len(values) == n
    assert len(first.test.wide(first.test.y)) == problem.n_test
    # no instance is in both tables
    seen = {row.tobytes() for row in values}
    if problem.kind != "cora-matching":
        assert not any(row.tobytes() in seen for row in first.test.wide(first.test.y))
    assert np.isfinite(first.oracle.solve(values, first.train.instance).objectives).all()
    with pytest.raises(InvalidInputError, match="expected at most"):
        fold_of(problem.model_copy(update={"n_train": 10**6}))


# one of each suite: the others have other numbers
CUT = {
    "replicate-spo-paths": ["problem.cases=[[100, 0.5, 1]]", "methods.spo+.penalties=[0.03]"],
    "replicate-spo-portfolios": ["problem.cases=[[40, 16]]"],
    "pyepo-shortest-path-100": ["problem.degree=[4]", "problem.noise=[0]", "problem.n_train=[40]"],
    "pyepo-knapsack-1000": ["problem.degree=[4]", "problem.noise=[0.5]", "problem.n_train=[40]"],
    "pyepo-tsp": ["problem.degree=[4]", "problem.n_train=[20]"],
    "subset-selection": ["problem.n_train=40"],
    "survey-portfolio-8": ["problem.cases=[[40, 8]]"],
    "survey-knapsack-60": ["problem.n_train=40"],
    "survey-energy-1": ["problem.n_train=30"],
    "survey-matching-25": ["problem.n_train=4", "problem.n_test=2"],
}
REAL = ("survey-knapsack", "survey-energy", "survey-matching")


def test_every_suite_has_a_cut() -> None:
    for name in published():
        assert any(config.name in CUT for config in members(name))


@pytest.mark.parametrize("name", sorted(CUT))
def test_a_cut_of_the_recipe(
    dfl: Callable, tmp_path: Path, name: str, request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if name.startswith(REAL):
        monkeypatch.setenv("DFL_DATA", str(request.getfixturevalue("data_folder")))
    settings = [*CUT[name]]
    if not name.startswith("survey-matching"):
        settings.append("problem.n_test=20")
    for method in load(name).methods:
        if hasattr(method, "max_iter"):
            settings.append(f"methods.{method.name}.max_iter=1")
        if getattr(method, "regressor", "") == "random-forest-per-cost":
            settings.append(f"methods.{method.name}.parameters={{n_estimators: 1}}")
    words = [word for setting in settings for word in ("--set", setting)]
    code, out, err = dfl("run", name, "--out", "r", "--seeds", "0", "--n-jobs", "1", *words)
    assert (code, err) == (0, "")
    table = pandas.read_parquet(tmp_path / "r" / "results.parquet")
    assert set(table.method) >= {method.name for method in load(name).methods}
    assert table.value.between(0, 10).all()
    if name == "replicate-spo-paths":
        assert "published (median)" in out
        assert "17.99" in out
        assert "16.95" in out
