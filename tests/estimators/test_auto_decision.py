"""The automatic choice: finds what is there, keeps time, splits honestly, tests honestly."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold, TimeSeriesSplit
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

import dfl
from dfl import AutoDecisionRegressor, DecisionFocusedRegressor, TwoStageRidgeCV, metrics
from dfl.datasets import make_knapsack, make_shortest_path
from dfl.estimators import default_candidates
from dfl.estimators._candidates import Candidate, as_candidates
from dfl.estimators._folds import folds
from dfl.estimators._race import Clock, Race, Runner, Trial
from dfl.estimators._report import verdict
from dfl.estimators._stacking import stacked
from dfl.estimators._table import Table
from dfl.estimators._verdict import (
    Judged,
    compare_kinds,
    crossed,
    difference,
    estimate,
    simplest,
)
from dfl.estimators.leaderboard import Verdict
from dfl.exceptions import InvalidInputError, TrainingError, UnboundedError
from dfl_solvers import Box, Counting, FromCallable, Simplex, TopK
from dfl_solvers.wrappers import Counts

DATA = make_shortest_path(700, grid=(4, 4), degree=6, noise=0.2, random_state=0)
X, C = DATA.X[:300], DATA.C[:300]


def polynomial(model: Any) -> Any:
    return make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), model)


QUICK = [
    ("least squares", LinearRegression()),
    ("spo+", DecisionFocusedRegressor(max_iter=10)),
    ("polynomial, ridge", polynomial(TwoStageRidgeCV())),
    ("polynomial, spo+", polynomial(DecisionFocusedRegressor(max_iter=10))),
]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Load compiled code before a clock runs."""
    metrics.regret(DATA.oracle, C, C)


@pytest.fixture(scope="module")
def fitted() -> AutoDecisionRegressor:
    return AutoDecisionRegressor(DATA.oracle, QUICK, random_state=0).fit(X, C)


def test_it_finds_features_and_loss(fitted: AutoDecisionRegressor) -> None:
    assert fitted.best_name_ in ("polynomial, spo+", "average")
    regret = 1 - fitted.score(DATA.X[300:], DATA.C[300:])
    for name, other in (QUICK[0], QUICK[2]):
        single = AutoDecisionRegressor(DATA.oracle, [(name, other)], cv=2, random_state=0)
        assert regret < 1 - single.fit(X, C).score(DATA.X[300:], DATA.C[300:])
    assert fitted.is_worth_it_
    assert fitted.is_worth_it_.p_value < 0.05
    assert fitted.is_worth_it_.decision_focused == "polynomial, spo+"
    assert fitted.is_worth_it_.two_stage == "polynomial, ridge"
    assert "p = " in str(fitted.is_worth_it_)


def test_least_squares_is_chosen_where_it_is_right() -> None:
    data = make_shortest_path(300, grid=(4, 4), degree=1, noise=0.5, random_state=1)
    model = AutoDecisionRegressor(data.oracle, QUICK, random_state=0).fit(data.X, data.C)
    assert model.best_name_ == "least squares"
    assert not model.is_worth_it_
    expected = LinearRegression().fit(data.X, data.C).predict(data.X)
    np.testing.assert_allclose(model.predict(data.X), expected)


def test_the_leaderboard_is_what_cross_validation_by_hand_gives() -> None:
    cv = KFold(3, shuffle=True, random_state=0)
    model = AutoDecisionRegressor(DATA.oracle, QUICK[:1], cv=cv).fit(X, C)
    (row,) = model.leaderboard_
    regret = np.empty(len(X))
    for train, held in cv.split(X):
        predicted = LinearRegression().fit(X[train], C[train]).predict(X[held])
        regret[held] = metrics.regret(DATA.oracle, predicted, C[held])
    optimal = metrics.optimal_objectives(DATA.oracle, C)
    assert row.regret == pytest.approx(metrics.normalize(regret, optimal))
    assert (row.n_folds, row.chosen, row.weight, row.solves) == (3, True, 1.0, 0)
    assert (row.difference, row.difference_low, row.difference_high) == (0.0, 0.0, 0.0)
    found = metrics.paired_bootstrap(
        regret, 0 * regret, weights=optimal, n_resamples=4000, random_state=0
    )
    # Student's interval is symmetric, the bootstrap's is not quite
    assert row.high - row.low == pytest.approx(found.high - found.low, rel=0.1)


def test_the_leaderboard_is_a_table(fitted: AutoDecisionRegressor) -> None:
    table = pd.DataFrame(fitted.leaderboard_).set_index("name")
    assert set(table.index) >= {name for name, _ in QUICK}
    assert table.chosen.sum() == 1
    assert table.chosen.iloc[0]
    assert table.loc["least squares", "n_folds"] == 5  # the yardstick stays to the end
    assert table.loc["least squares", "difference_low"] > 0
    assert not table.loc["polynomial, ridge", "decision_focused"]
    assert table.loc["polynomial, spo+", "decision_focused"]
    assert (table.low <= table.regret).all()
    assert (table.fit_seconds >= 0).all()
    assert sum(row.weight for row in fitted.leaderboard_) == pytest.approx(1)


@pytest.mark.slow
def test_same_seed_same_result_on_one_process_and_two(fitted: AutoDecisionRegressor) -> None:
    again = AutoDecisionRegressor(DATA.oracle, QUICK, n_jobs=2, random_state=0).fit(X, C)
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    assert again.is_worth_it_ == fitted.is_worth_it_
    for one, other in zip(again.leaderboard_, fitted.leaderboard_, strict=True):
        assert (one.name, one.regret, one.solves) == (other.name, other.regret, other.solves)
    assert again.budget_.instances == fitted.budget_.instances


def test_optimal_objectives_are_solved_once() -> None:
    oracle = Counting(DATA.oracle)
    tried = [(str(k), Ridge(10.0**k)) for k in range(-1, 5)]
    model = AutoDecisionRegressor(oracle, tried, average=False, cv=3).fit(X, C)
    # the labels, and one decision of each candidate for each instance it was judged on
    judged = sum(100 * row.n_folds for row in model.leaderboard_)
    assert oracle.counts.instances == len(X) + judged


def test_half_drop_out_and_yardsticks_stay() -> None:
    bad = [(f"bad {k}", Ridge(1e9 + k)) for k in range(6)]
    tried = [("least squares", LinearRegression()), *bad, *QUICK[1:]]
    model = AutoDecisionRegressor(DATA.oracle, tried, average=False, random_state=0).fit(X, C)
    seen = {row.name: row.n_folds for row in model.leaderboard_}
    assert all(seen[name] == 5 for name, _ in QUICK)
    # after the second of five folds, 120 instances, the better half of ten stays: these and one
    assert sorted(seen[name] for name, _ in bad) == [2, 2, 2, 2, 2, 5]
    few = AutoDecisionRegressor(DATA.oracle, tried, average=False, random_state=0)
    few.fit(X[:90], C[:90])  # too few instances to send anyone home
    assert {row.n_folds for row in few.leaderboard_} == {5}


class Slow(Ridge):
    """A regressor that takes its time."""

    def __init__(self, seconds: float = 0.0, alpha: float = 1.0) -> None:
        super().__init__(alpha=alpha)
        self.seconds = seconds

    def fit(self, X: Any, y: Any) -> Slow:
        time.sleep(self.seconds)
        return super().fit(X, y)


@pytest.mark.parametrize("budget", [0.001, 0.5, 1.2])
def test_time_is_kept_to_one_fit_and_there_is_always_a_model(budget: float) -> None:
    tried = [(str(k), Slow(0.3, 10.0**k)) for k in range(5)]
    model = AutoDecisionRegressor(DATA.oracle, tried, time_budget=budget)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, C)
    # one fit, and what a busy machine adds
    assert time.perf_counter() - start < budget + 0.3 + 0.5
    assert model.predict(X).shape == C.shape
    assert model.models_[0].oracle is DATA.oracle
    assert 1 <= sum(row.n_folds for row in model.leaderboard_) <= 4


def test_what_is_best_is_not_lost_because_it_is_slow() -> None:
    tried = [(str(k), Slow(0.0, 1e9 + k)) for k in range(3)] + [("good", Slow(0.3))]
    model = AutoDecisionRegressor(DATA.oracle, tried, average=False, time_budget=1.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of a busy machine
        model.fit(X, C)  # time for three fits of the good one; the others could go on for long
    assert model.best_name_ == "good"
    assert model.leaderboard_[0].n_folds <= 2


def test_what_was_not_refitted_says_so() -> None:
    model = AutoDecisionRegressor(DATA.oracle, [("slow", Slow(0.1))], time_budget=0.01)
    with pytest.warns(ConvergenceWarning, match="learned from 240 of 300 instances"):
        model.fit(X, C)
    assert model.leaderboard_[0].n_folds == 1


class Noting(LinearRegression):
    """Remembers what it was fitted on."""

    seen: list[np.ndarray] = []  # noqa: RUF012

    def fit(self, X: Any, y: Any) -> Noting:
        Noting.seen.append(X[:, 0].astype(int))
        return super().fit(X, y)


@pytest.mark.parametrize("how", ["index", "groups"])
@pytest.mark.parametrize("cv", [4, TimeSeriesSplit(3)])
def test_dated_rows_are_judged_after_those_that_train(how: str, cv: Any) -> None:
    rng = np.random.default_rng(0)
    days = np.arange(60) // 2
    dates = np.datetime64("2020-01-01") + days
    rows = np.c_[days, rng.normal(size=(60, 2))].astype(float)
    costs = rng.normal(size=(60, 3))
    shuffled = rng.permutation(60)
    Noting.seen.clear()
    given: Any = rows[shuffled]
    labels = None
    if how == "index":
        given = pd.DataFrame(given, index=pd.DatetimeIndex(dates[shuffled]), columns=list("abc"))
    else:
        labels = dates[shuffled]
    model = AutoDecisionRegressor(Simplex(3), [("noting", Noting())], cv=cv)
    model.fit(given, costs[shuffled], groups=labels)
    *parts, whole = Noting.seen
    assert len(whole) == 60
    last = [part.max() for part in parts]
    assert last == sorted(last)  # each fold trains on all days up to one, and no later ones
    for part in parts:
        assert set(part) == set(range(part.max() + 1))
    with pytest.raises(InvalidInputError, match="looks ahead"):
        AutoDecisionRegressor(Simplex(3), [("noting", Noting())], cv=KFold(3)).fit(
            given, costs[shuffled], groups=labels
        )


@pytest.mark.parametrize("cv", [5, GroupKFold(5)])
def test_groups_are_not_torn(cv: Any) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(12, size=80)
    rows, costs = np.c_[labels, rng.normal(size=80)].astype(float), rng.normal(size=(80, 3))
    Noting.seen.clear()
    model = AutoDecisionRegressor(Simplex(3), [("noting", Noting())], cv=cv, random_state=0)
    model.fit(rows, costs, groups=labels)
    parts = Noting.seen[:-1]
    assert len(parts) == 5
    for part in parts:
        left = set(labels) - set(part)
        assert left
        assert len(part) == np.isin(labels, list(left), invert=True).sum()


def test_fewer_groups_or_dates_than_folds() -> None:
    def table(n: int, **given: Any) -> Table:
        return Table(np.zeros((n, 1)), np.zeros((n, 1)), True, None, given.get("dates"),
                     given.get("labels"), False)  # fmt: skip

    rng = np.random.default_rng(0)
    assert len(folds(table(20, labels=np.arange(20) % 3), 5, rng)) == 3
    days = np.datetime64("2020-01-01") + np.arange(20) % 4
    assert len(folds(table(20, dates=days), 5, rng)) == 3
    for tiny in (table(1), table(9, labels=np.zeros(9)), table(9, dates=days[:1].repeat(9))):
        with pytest.raises(InvalidInputError, match="at least 2 folds"):
            folds(tiny, 5, rng)


def test_long_data_of_unequal_size() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), rng.integers(4, 7, size=60))
    rows = rng.normal(size=(len(groups), 3))
    prices = np.exp(rows @ [1.0, 0.5, -1.0]) * rng.uniform(0.7, 1.3, len(groups))
    model = AutoDecisionRegressor(TopK(6, 2), QUICK, cv=3, random_state=0)
    model.fit(rows, prices, groups=groups)
    decided = pd.Series(model.decide(rows, groups=groups))
    assert (decided.groupby(groups).sum() == 2).all()
    assert model.score(rows, prices, groups=groups) > 0.8
    names = [name for name, _ in default_candidates(300, 3, 6, long=True)]
    assert not any("exact" in name for name in names)


def test_instances_with_data_of_their_own_and_values() -> None:
    data = make_knapsack(120, n_items=6, n_dimensions=1, capacity=9, degree=4, random_state=0)
    capacities = np.random.default_rng(1).uniform(4, 14, (120, 1))
    model = AutoDecisionRegressor(data.oracle, QUICK, cv=3, random_state=0)
    model.fit(data.X, data.C, instance={"capacities": capacities})
    decided = model.decide(data.X, instance={"capacities": capacities})
    used = decided @ data.oracle.minimizing.weights.T
    assert (used <= capacities + 1e-9).all()
    assert model.score(data.X, data.C, instance={"capacities": capacities}) > 0.9


def test_an_average_is_saved_and_loaded_with_its_members(tmp_path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 6))
    costs = 3 + rows[:, :3] + rows[:, 3:] + 0.1 * rng.normal(size=(400, 3))
    # each knows half of the features, with other units; only together they know all
    network = DecisionFocusedRegressor(predictor="mlp", max_iter=20)
    tried = [
        ("first", make_pipeline(_columns(0, 1, 2), DecisionFocusedRegressor(max_iter=20))),
        ("second", make_pipeline(_columns(3, 4, 5), network)),
    ]
    model = AutoDecisionRegressor(Simplex(3), tried, random_state=0).fit(rows, costs)
    assert model.best_name_ == "average"
    assert len(model.models_) == len(model.weights_) == 2
    by_hand = sum(w * m.predict(rows) for w, m in zip(model.weights_, model.models_, strict=True))
    np.testing.assert_array_equal(model.predict(rows), by_hand)
    row = {row.name: row for row in model.leaderboard_}
    assert row["average"].regret < 0.8 * min(row["first"].regret, row["second"].regret)
    assert row["first"].weight + row["second"].weight == pytest.approx(1)
    model.save(tmp_path / "model")
    again = dfl.load(tmp_path / "model")
    np.testing.assert_array_equal(again.decide(rows), model.decide(rows))
    assert again.leaderboard_ == model.leaderboard_
    assert again.is_worth_it_ == model.is_worth_it_
    alone = AutoDecisionRegressor(Simplex(3), tried, average=False, random_state=0)
    assert alone.fit(rows, costs).best_name_ in ("first", "second")


def test_steps_of_a_pipeline_may_have_any_name(tmp_path) -> None:
    steps = [("a/b", StandardScaler()), ("../c", DecisionFocusedRegressor(max_iter=2))]
    model = AutoDecisionRegressor(DATA.oracle, [("a", Pipeline(steps))], cv=2, random_state=0)
    model.fit(X, C).save(tmp_path / "model")
    np.testing.assert_array_equal(dfl.load(tmp_path / "model").predict(X), model.predict(X))


def _columns(*columns: int) -> Any:
    from sklearn.compose import ColumnTransformer

    return ColumnTransformer([("kept", "passthrough", list(columns))])


def refusing(costs: np.ndarray) -> np.ndarray:
    if costs.min() < -3:
        raise UnboundedError("a negative cycle")
    return np.eye(len(costs))[costs.argmin()]


def test_a_candidate_that_fails_drops_out_by_name() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 2))
    costs = np.exp(rng.normal(size=(60, 3)))
    oracle = FromCallable(refusing, 3)
    tried = [("least squares", LinearRegression()), ("spo+", DecisionFocusedRegressor(max_iter=2))]
    model = AutoDecisionRegressor(oracle, tried, cv=2, random_state=0)
    with pytest.warns(UserWarning, match=r"candidate 'spo\+' drops out: UnboundedError"):
        model.fit(rows, costs)
    assert model.best_name_ == "least squares"
    assert model.is_worth_it_ is None
    with (
        pytest.warns(UserWarning, match="drops out"),
        pytest.raises(TrainingError, match=r"no candidate could be fitted; spo\+: UnboundedError"),
    ):
        AutoDecisionRegressor(oracle, tried[1:], cv=2).fit(rows, costs)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"candidates": []}, "got no candidate"),
        ({"candidates": [LinearRegression()]}, r"expected a pair \(name, estimator\)"),
        ({"candidates": [("a", StandardScaler())]}, "candidate 'a': got StandardScaler"),
        ({"candidates": [("a", Ridge()), ("a", Ridge())]}, "'a' is there twice"),
        ({"candidates": [("average", Ridge())]}, "expected another name"),
        ({"candidates": LinearRegression()}, "expected a list of pairs"),
        ({"candidates": dict(QUICK)}, "expected a list of pairs"),
        ({"time_budget": 0.0}, "time_budget=0.0"),
        ({"time_budget": "10"}, "time_budget='10'"),
        ({"cv": 1}, "got cv=1"),
        ({"cv": GroupKFold(3)}, "cannot split 300 instances"),
    ],
)
def test_mistakes_are_named(parameters: dict, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        AutoDecisionRegressor(DATA.oracle, **parameters).fit(X, C)


def test_default_candidates_suit_the_size_of_the_data() -> None:
    names = [name for name, _ in default_candidates(1000, 5, 40)]
    assert len(names) == len(set(names))
    assert names[0] == "linear, least squares"
    for part in ("spline", "polynomial 2", "polynomial 4", "neural network", "forest"):
        assert any(name.startswith(part) for name in names)
    assert not any("exact" in name for name in names)
    small = [name for name, _ in default_candidates(40, 5, 12)]
    assert "linear, exact spo+" in small
    assert not any(name.startswith("polynomial 3") for name in small)  # 56 terms
    wide = [name for name, _ in default_candidates(1000, 200, 40)]
    assert not any(name.startswith(("polynomial", "spline")) for name in wide)
    for candidate in as_candidates(default_candidates(1000, 5, 40)):
        assert candidate.decision_focused == any(
            word in candidate.name for word in ("spo+", "Fenchel-Young", "boost")
        )


def test_seeds_reach_every_part_of_a_candidate() -> None:
    estimator = polynomial(DecisionFocusedRegressor())
    made = Candidate("a", estimator).made_for(Box(), 7)
    assert made[-1].random_state == 7
    assert isinstance(made[-1].oracle, Box)
    assert estimator[-1].oracle is None
    kept = Candidate("a", DecisionFocusedRegressor(random_state=3)).made_for(Box(), 7)
    assert kept.random_state == 3


def judged(n_folds: int, size: int) -> Judged:
    return Judged(
        [np.ones(size)] * n_folds,
        [np.arange(size) + size * k for k in range(n_folds)],
        np.full(n_folds, 1 / max(n_folds - 1, 1)),
    )


def trials(regrets: np.ndarray) -> list[Trial]:
    return [Trial(own, own, 0.0, Counts(), None) for own in regrets]


def test_standard_errors_are_those_of_clusters() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=60)
    alone = judged(1, 60)
    found = estimate([values], alone, [0])
    assert found.error == pytest.approx(values.std(ddof=1) / np.sqrt(60))
    # three copies of each instance, as in repeated splits, tell no more than one
    thrice = Judged([np.ones(180)], [np.tile(np.arange(60), 3)], np.zeros(1))
    copies = estimate([np.tile(values, 3)], thrice, [0])
    assert copies == pytest.approx(found)


def test_one_standard_error_toward_the_simpler() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(1, 2, size=(5, 40))
    noise = rng.normal(0, 0.1, size=base.shape)
    noise -= noise.mean()
    better = trials(base)
    error = difference(judged(5, 40), trials(base + noise), better, range(5)).error
    near = trials(base + noise + 0.9 * error)
    far = trials(base + noise + 1.1 * error)
    assert simplest(judged(5, 40), [far, near, better], 5) == 1
    assert simplest(judged(5, 40), [near, far, better], 5) == 0
    assert simplest(judged(5, 40), [far, better, near], 5) == 1


def test_the_test_holds_its_level_though_the_best_of_many_is_compared() -> None:
    # ten against one, all alike: choosing by the same folds would find the ten better, most times
    rng = np.random.default_rng(0)
    table, naive, honest = judged(5, 40), 0, 0
    for _ in range(300):
        many = [trials(rng.exponential(size=(5, 40))) for _ in range(10)]
        one = [trials(rng.exponential(size=(5, 40)))]
        honest += compare_kinds(table, many, one, 5, range(5))[1] < 0.05
        best = min(many, key=lambda own: sum(t.regret.sum() for t in own))
        gap = difference(table, best, one[0], range(5))
        naive += gap.value < -1.645 * gap.error
    assert binomtest(honest, 300, 0.05, alternative="greater").pvalue > 0.01
    assert naive > 60


def raced(regrets: np.ndarray) -> Verdict:
    """Let made-up candidates race, the first of them two-stage; regrets are (m, folds, size)."""
    m, n_folds, size = regrets.shape
    rows = np.arange(n_folds * size)
    parts = [(np.setdiff1d(rows, held), held) for held in np.split(rows, n_folds)]
    table = Table(rows[:, None], np.ones((len(rows), 1)), True, None, None, None, False)
    race = Race(Box(), table, parts, np.ones(len(rows)), Clock(None), None, 0)
    models = [TwoStageRidgeCV(), *[DecisionFocusedRegressor()] * (m - 1)]
    runners = [Runner(Candidate(str(k), model), 0) for k, model in enumerate(models)]

    def lap(order: list[Runner], fold: int) -> Iterator[Runner]:
        for runner in order:
            runner.add(trials(regrets[int(runner.candidate.name)])[fold])
            yield runner

    race._lap = lap  # type: ignore[method-assign]
    found = verdict(race, race.run(runners), n_folds)
    assert found is not None
    return found


def test_no_fold_that_had_a_say_in_who_drops_out_is_tested_on() -> None:
    # half drop out after the second fold, by the first as well; all are alike, so that neither kind
    # is better, but those that are left were lucky on both
    rng = np.random.default_rng(0)
    found = [raced(rng.exponential(size=(21, 5, 60))) for _ in range(300)]
    assert {one.n_instances for one in found} == {180}
    differences = np.array([one.difference for one in found])
    assert abs(differences.mean()) < 3 * differences.std() / np.sqrt(300)
    # nobody drops out of so few, and no fold is lost
    assert raced(rng.exponential(size=(4, 5, 60))).n_instances == 300


def test_repeated_splits_do_not_choose_by_what_they_judge() -> None:
    # the lucky one of ten is lucky in each repetition, since the instances are the same
    rng = np.random.default_rng(0)
    once = judged(5, 40)
    twice = Judged(once.weights * 2, once.units * 2, np.tile(once.overlap, 2))
    for _ in range(20):
        regrets = rng.exponential(size=(10, 5, 40))
        many = [trials(np.tile(own, (2, 1))) for own in regrets]
        for fold in range(5):
            rest = np.delete(regrets, fold, axis=1).sum(axis=(1, 2))
            assert crossed(twice, many, 10, fold) == rest.argmin()


def test_averages_on_a_fold_are_solved_once() -> None:
    def solve(costs: np.ndarray) -> np.ndarray:
        return np.eye(3)[costs.argmin()]

    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 2, size=(90, 3))
    race = Race(
        FromCallable(solve, 3),
        Table(truth, truth, True, None, None, None, False),
        [(np.setdiff1d(np.arange(90), held), held) for held in np.arange(90).reshape(3, 30)],
        truth.min(axis=1),
        Clock(None),
        None,
        0,
    )
    runners = [Runner(Candidate(str(k), Ridge()), 0) for k in range(2)]
    for runner in runners:
        for _, held in race.folds:
            predicted = truth[held] + rng.normal(0, 0.3, size=(30, 3))
            runner.add(Trial(predicted[:, 0], predicted, 0.0, Counts(0, 10_000), None))
    oracle = Counting(race.oracle)
    stack = stacked(race, oracle, runners, 3)
    assert stack is not None
    assert len(stack.members) == 2
    # no more than the different shares of two members in six steps: 0, 1, and those between
    shares = {k / n for n in range(1, 7) for k in range(n + 1)}
    assert oracle.counts.instances <= len(shares) * 90


def test_the_test_finds_what_is_there() -> None:
    rng = np.random.default_rng(0)
    base = rng.exponential(size=(5, 40))
    good = trials(base + rng.normal(0, 0.3, base.shape) - 0.2)
    found, p_value = compare_kinds(judged(5, 40), [good], [trials(base)], 5, range(5))
    assert found.value == pytest.approx(-0.2, abs=0.05)
    assert p_value < 1e-3
    same = compare_kinds(judged(5, 40), [trials(base)], [trials(base)], 5, range(5))
    assert same[1] == 1.0


def test_ridge_is_scikit_learns_and_its_penalty_is_that_of_least_regret() -> None:
    model = TwoStageRidgeCV(DATA.oracle, alphas=[0.3, 0.0, 0.01], random_state=0).fit(X, C)
    assert list(model.alphas_) == [0.3, 0.01, 0.0]
    assert model.alpha_ == model.alphas_[model.regret_path_.mean(axis=1).argmin()]
    for alpha in (0.3, 0.01, 0.0):
        one = TwoStageRidgeCV(DATA.oracle, alphas=[alpha], random_state=0).fit(X, C)
        expected = make_pipeline(StandardScaler(), Ridge(alpha * len(X) + 1e-12)).fit(X, C)
        np.testing.assert_allclose(one.predict(X), expected.predict(X), rtol=1e-8)
    for wrong in ([-1.0], [], 0.1):
        with pytest.raises(InvalidInputError, match="expected a sequence of numbers from 0"):
            TwoStageRidgeCV(DATA.oracle, alphas=wrong).fit(X, C)
    # of redundant columns, the solution of least norm
    twice = TwoStageRidgeCV(DATA.oracle, alphas=[0.0]).fit(np.c_[X, X], C)
    np.testing.assert_allclose(twice.coef_[:, :5], twice.coef_[:, 5:], atol=1e-9)
    plain = TwoStageRidgeCV(DATA.oracle, alphas=[0.0]).fit(X, C)
    np.testing.assert_allclose(twice.predict(np.c_[X, X]), plain.predict(X), rtol=1e-8)


def test_progress_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    AutoDecisionRegressor(DATA.oracle, QUICK[:1], cv=2, verbose=1).fit(X, C)
    assert "least squares" in capsys.readouterr().err
    AutoDecisionRegressor(DATA.oracle, QUICK[:1], cv=2).fit(X, C)
    assert capsys.readouterr().err == ""


def test_instances_of_weight_zero_might_as_well_not_be_there() -> None:
    rng = np.random.default_rng(0)
    good = np.sort(rng.permutation(300)[:180])
    weights, spoiled = np.zeros(300), C.copy()
    weights[good] = rng.uniform(1, 3, 180)
    spoiled[weights == 0] = rng.uniform(0, 100, (120, C.shape[1]))
    tried = [
        ("least squares", LinearRegression()),
        ("ridge", TwoStageRidgeCV(alphas=[0.1])),
        ("polynomial, ridge", polynomial(TwoStageRidgeCV(alphas=[0.03]))),
    ]
    # the same folds of the good rows, by their places in either table
    parts = [(np.setdiff1d(good, good[k::4]), good[k::4]) for k in range(4)]
    places = [tuple(np.searchsorted(good, rows) for rows in part) for part in parts]
    with_all = [(np.setdiff1d(np.arange(300), held), held) for _, held in parts]
    plain = AutoDecisionRegressor(DATA.oracle, tried, cv=with_all, random_state=0).fit(X, spoiled)
    # scalers in pipelines see the features alone, so rows of weight zero are left in them
    model = AutoDecisionRegressor(DATA.oracle, tried[:2], cv=with_all, random_state=0)
    model.fit(X, spoiled, weights)
    alone = AutoDecisionRegressor(DATA.oracle, tried[:2], cv=places, random_state=0)
    alone.fit(X[good], C[good], weights[good])
    assert model.best_name_ == alone.best_name_
    for found, expected in zip(model.leaderboard_, alone.leaderboard_, strict=True):
        assert found.name == expected.name
        assert found.regret == pytest.approx(expected.regret, abs=1e-9)
        assert found.low == pytest.approx(expected.low, abs=1e-9)
    np.testing.assert_allclose(model.predict(X), alone.predict(X), atol=1e-8)
    assert plain.score(DATA.X[300:], DATA.C[300:]) < model.score(DATA.X[300:], DATA.C[300:]) - 0.05


def test_who_takes_no_weights_drops_out() -> None:
    tried = [("least squares", LinearRegression()), ("neighbors", KNeighborsRegressor())]
    weights = np.random.default_rng(0).uniform(1, 3, 300)
    model = AutoDecisionRegressor(DATA.oracle, tried, cv=2, random_state=0)
    with pytest.warns(UserWarning, match=r"'neighbors' drops out.*KNeighborsRegressor takes none"):
        model.fit(X, C, sample_weight=weights)
    assert model.best_name_ == "least squares"
    expected = LinearRegression().fit(X, C, sample_weight=weights)
    np.testing.assert_allclose(model.predict(X), expected.predict(X))


def test_ridge_with_a_weight_of_two_is_that_of_a_row_twice() -> None:
    weights = np.ones(300)
    weights[:40] = 2
    for alpha in (0.0, 0.3):
        model = TwoStageRidgeCV(DATA.oracle, alphas=[alpha], random_state=0)
        weighted = model.fit(X, C, sample_weight=weights).coef_
        doubled = model.fit(np.vstack([X, X[:40]]), np.vstack([C, C[:40]])).coef_
        np.testing.assert_allclose(weighted, doubled, atol=1e-10)
        assert not np.allclose(weighted, model.fit(X, C).coef_, atol=1e-3)


def test_weights_of_instances_in_long_data_reach_every_row() -> None:
    rng = np.random.default_rng(0)
    long, groups = rng.normal(size=(120, 3)), rng.permutation(np.repeat(np.arange(30), 4))
    prices = np.exp(long[:, 0]) + rng.normal(size=120)
    order = groups[np.sort(np.unique(groups, return_index=True)[1])]  # of first appearance
    weights = rng.uniform(0.5, 3, 30)
    by_group = dict(zip(order, weights, strict=True))
    rows = np.array([by_group[label] for label in groups])
    expected = LinearRegression().fit(long, prices, sample_weight=rows).coef_
    for model in (
        dfl.PredictThenOptimizeRegressor(TopK(4, 1)),
        TwoStageRidgeCV(TopK(4, 1), alphas=[0.0]),
        AutoDecisionRegressor(TopK(4, 1), [("least squares", LinearRegression())], cv=2),
    ):
        model.fit(long, prices, sample_weight=weights, groups=groups)
        found = model.predict(np.eye(3)) - model.predict(np.zeros((3, 3)))
        np.testing.assert_allclose(found, expected, atol=1e-9)
