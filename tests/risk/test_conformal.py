"""Conformal sets hold what they promise, and decisions for them are the best."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor
from dfl.datasets import make_knapsack, make_shortest_path
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.risk import (
    ConformalBox,
    ConformalEllipsoid,
    ConformalRegret,
    conformal_quantile,
)
from dfl.risk._data import Data
from dfl_solvers import (
    Ball,
    Box,
    FromCallable,
    LinearProgram,
    Maximize,
    Program,
    Simplex,
    TopK,
)

REPETITIONS = 200


def draw(rng, n, d=4):
    """Return features, and costs with skewed errors whose size depends on the features."""
    X = rng.normal(size=(n, 3))
    B = np.array([[1.0, -1, 0.5], [0, 1, 1], [0.5, 0.5, -1], [1, 0, 0]])[:d]
    noise = rng.exponential(size=(n, d)) * (1 + np.abs(X[:, :1]))
    return X, X @ B.T + 3 + noise


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=20, max_size=60),
    st.floats(0.06, 0.9),
)
@settings(max_examples=100, deadline=None)
def test_the_quantile_is_the_k_th_of_n_plus_one(scores, alpha) -> None:
    n = len(scores)
    found = conformal_quantile(scores, alpha)
    k = next(k for k in range(1, n + 1) if k >= (n + 1) * (1 - alpha) - 1e-9)
    assert found == sorted(scores)[k - 1]


def test_too_few_scores_promise_nothing() -> None:
    assert conformal_quantile(np.arange(9.0), 0.1) == 8.0
    with pytest.raises(InvalidInputError, match=r"got 8 instances .* at least 9 for alpha=0.1"):
        conformal_quantile(np.arange(8.0), 0.1)
    # 19 * 0.95 and 29 * 0.9 are whole numbers but for rounding
    assert conformal_quantile(np.arange(19.0), 0.05) == 18.0
    assert conformal_quantile(np.arange(9.0), 0.7) == 2.0
    with pytest.raises(InvalidInputError, match=r"alpha=1\.0"):
        conformal_quantile(np.arange(9.0), 1.0)


@pytest.mark.parametrize("rule", [ConformalBox, ConformalEllipsoid])
def test_coverage_over_repetitions(rule) -> None:
    """A fresh sample, estimator and next instance in each of 200 repetitions.

    The set holds the next costs with probability k / (n + 1) exactly, and the robust value is at
    least what the decision costs wherever it does.
    """
    alpha, hits, kept = 0.2, 0, 0
    for seed in range(REPETITIONS):
        rng = np.random.default_rng(seed)
        X, C = draw(rng, 101)
        model = PredictThenOptimizeRegressor(Simplex(4))
        risk = rule(alpha, random_state=seed).fit(model, X[:100], C[:100])
        inside = risk.contains(X[100:], C[100:])[0]
        found = risk.estimator_.decide(X[100:], risk=risk)
        cost = C[100] @ found.decisions[0]
        if inside:
            assert found.low[0] - 1e-9 <= cost <= found.high[0] + 1e-9
        hits += inside
        kept += cost <= found.objective[0]
    # 20 of the 100 calibrate: the 17th of 21
    low, high = binom.interval(0.99, REPETITIONS, 17 / 21)
    assert low <= hits <= high
    assert kept >= low


def test_conformal_regret_over_repetitions() -> None:
    hits = np.zeros(2)
    for seed in range(REPETITIONS):
        X, C = draw(np.random.default_rng(seed), 100)
        model = PredictThenOptimizeRegressor(Simplex(4)).fit(X[:60], C[:60])
        risk = ConformalRegret(0.2).calibrate(model, X[60:99], C[60:99])
        found = model.decide(X[99:], risk=risk)
        np.testing.assert_array_equal(found.decisions, model.decide(X[99:]))
        cost = C[99] @ found.decisions[0]
        regret = cost - C[99].min()
        hits += [regret <= found.regret_bound[0], found.low[0] <= cost <= found.high[0]]
    # 39 calibrate: the 32nd of 40; regrets of exactly zero are tied
    low, high = binom.interval(0.99, REPETITIONS, 0.8)
    assert low <= hits[0]
    assert low <= hits[1] <= high


@pytest.mark.parametrize("oracle", [Simplex(4), TopK(4, 2), Maximize(TopK(4, 2))], ids=repr)
def test_a_box_is_solved_by_any_oracle_if_decisions_are_not_negative(oracle, rng) -> None:
    X, C = draw(rng, 120)
    model = PredictThenOptimizeRegressor(oracle).fit(X[:40], C[:40])
    risk = ConformalBox(random_state=0).calibrate(model, X[40:100], C[40:100])
    found = model.decide(X[100:], risk=risk)
    sign = getattr(oracle, "sign", 1)
    predicted = model.predict(X[100:])
    data = Data(model, X[100:])
    radius = risk.radius_ * risk._spread.of(data, predicted.shape)
    worst = predicted + sign * radius
    np.testing.assert_array_equal(found.decisions, oracle.solve(worst).decisions)
    np.testing.assert_allclose(found.expected, np.vecdot(predicted, found.decisions))
    robust = found.high if sign == 1 else found.low
    np.testing.assert_allclose(robust, np.vecdot(worst, found.decisions))
    np.testing.assert_array_equal(found.objective, robust)
    assert (found.low <= found.expected).all()
    assert (found.expected <= found.high).all()


def test_a_box_of_decisions_of_either_sign(rng) -> None:
    """Long and short positions: the least of all vertices and of random decisions."""
    d = 4
    model = Program(np.ones((1, d)), [0.0], [0.0], np.full(d, -1.0), np.ones(d))
    X, C = draw(rng, 130)
    estimator = PredictThenOptimizeRegressor(LinearProgram(model)).fit(X[:50], C[:50])
    risk = ConformalBox(0.3, random_state=0).calibrate(estimator, X[50:120], C[50:120])
    found = estimator.decide(X[120:], risk=risk)
    assert (found.decisions < -0.1).any()
    predicted = estimator.predict(X[120:])
    radius = risk.radius_ * risk._spread.of(Data(estimator, X[120:]), predicted.shape)
    others = rng.uniform(-1, 1, size=(2000, d))
    others = others - others.mean(1, keepdims=True)
    others /= np.maximum(np.abs(others).max(1, keepdims=True), 1)
    for p, h, value in zip(predicted, radius, found.objective, strict=True):
        assert value <= (others @ p + np.abs(others) @ h).min() + 1e-8


def test_what_cannot_be_solved_is_refused(rng) -> None:
    X, C = draw(rng, 120)
    for oracle, rule, message in [
        (Ball(4), ConformalBox, None),
        (Box(4), ConformalEllipsoid, None),
        (make_knapsack(2, n_items=4, random_state=0).oracle, ConformalEllipsoid, "integer"),
        (FromCallable(lambda c: np.sign(-c), 4), ConformalBox, "FromCallable has no matrix form"),
    ]:
        estimator = PredictThenOptimizeRegressor(oracle).fit(X[:40], C[:40])
        risk = rule(random_state=0).calibrate(estimator, X[40:100], C[40:100] - 4)
        if message is None:
            assert estimator.decide(X[100:], risk=risk).decisions.shape == (20, 4)
        else:
            with pytest.raises(UnsupportedError, match=message):
                estimator.decide(X[100:], risk=risk)


def test_an_ellipsoid_beats_every_mixture_of_vertices(rng) -> None:
    X, C = draw(rng, 130)
    estimator = PredictThenOptimizeRegressor(Simplex(4)).fit(X[:50], C[:50])
    risk = ConformalEllipsoid(0.2, random_state=0).calibrate(estimator, X[50:120], C[50:120])
    found = estimator.decide(X[120:], risk=risk)
    factors = risk.radius_ * risk._shape.factors(Data(estimator, X[120:]))
    mixtures = rng.dirichlet(np.ones(4), 3000)
    for p, L, value in zip(estimator.predict(X[120:]), factors, found.objective, strict=True):
        others = mixtures @ p + np.linalg.norm(mixtures @ L, axis=1)
        assert value <= others.min() + 1e-8
        assert value >= others.min() - 0.1


def test_a_learned_spread_is_wide_where_errors_are(rng) -> None:
    X, C = draw(rng, 600)
    estimator = PredictThenOptimizeRegressor(Simplex(4)).fit(X[:200], C[:200])
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(30, min_samples_leaf=20, random_state=0)
    boxes = [
        ConformalBox(0.1, spread, random_state=0).calibrate(estimator, X[200:500], C[200:500])
        for spread in (None, forest)
    ]
    widths = [box.radius_ * box._spread.of(Data(estimator, X[500:]), (100, 4)) for box in boxes]
    assert np.ptp(widths[0], axis=0).max() == 0
    calm = np.abs(X[500:, 0]) < 0.3
    loud = np.abs(X[500:, 0]) > 1.5
    assert widths[1][loud].mean() > 1.3 * widths[1][calm].mean()
    assert not hasattr(forest, "estimators_")


def test_dated_instances_are_divided_in_time() -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    X, C = draw(rng, 60)
    frame = pd.DataFrame(X, index=pd.date_range("2020-01-01", periods=60))
    data = Data(PredictThenOptimizeRegressor(Simplex(4)), frame, C)
    early, late = data.divide(0.4, rng)
    assert (early.n, late.n) == (36, 24)
    assert early.X.index.max() < late.X.index.min()
    np.testing.assert_array_equal(late.y, C[36:])


def test_groups_stay_together(rng) -> None:
    X, C = draw(rng, 60)
    groups = np.repeat(np.arange(20), 3)
    data = Data(PredictThenOptimizeRegressor(Simplex(4)), X, C, groups)
    first, second = data.divide(0.4, rng)
    assert not set(first.groups) & set(second.groups)
    assert first.n + second.n == 60
    assert data.layout is None
    risk = ConformalBox(0.2, random_state=0)
    assert risk.fit(PredictThenOptimizeRegressor(Simplex(4)), X, C, groups=groups).radius_ > 0


def test_long_data_with_instance_data() -> None:
    """Rows of items with shuffled days and capacities of their own."""
    rng = np.random.default_rng(0)
    data = make_knapsack(60, n_items=5, random_state=0)
    oracle = data.oracle
    n, d = data.C.shape
    inner = oracle.minimizing
    X = rng.normal(size=(n * d, 2))
    y = data.C.ravel() + X[:, 0]
    days = np.repeat(np.arange(n), d)
    order = rng.permutation(n * d)
    # instances come in the order of their first appearance
    labels = list(dict.fromkeys(days[order]))
    capacities = np.array([np.full(inner.capacities.shape, 5.0 + day % 4) for day in labels])
    model = PredictThenOptimizeRegressor(oracle, LinearRegression())
    risk = ConformalBox(0.2, random_state=0).fit(
        model, X[order], y[order], groups=days[order], instance={"capacities": capacities}
    )
    found = risk.estimator_.decide(
        X[order], groups=days[order], instance={"capacities": capacities}, risk=risk
    )
    assert found.decisions.shape == (n * d,)
    assert found.expected.shape == (n,)
    for i, day in enumerate(labels):
        taken = found.decisions[days[order] == day]
        predicted = risk.estimator_.predict(X[order][days[order] == day])
        assert found.expected[i] == pytest.approx(taken @ predicted)
    # a promise for values is from below
    value = np.array([y[order][days[order] == day] @ found.decisions[days[order] == day]
                      for day in labels])  # fmt: skip
    assert ((value >= found.low) & (value <= found.high)).mean() > 0.7


def test_the_estimator_must_be_the_one_calibrated_for(rng) -> None:
    X, C = draw(rng, 100)
    model = PredictThenOptimizeRegressor(Simplex(4)).fit(X[:40], C[:40])
    risk = ConformalBox(0.2, random_state=0)
    with pytest.raises(NotFittedError, match="call its calibrate"):
        model.decide(X, risk=risk)
    risk.fit(model, X, C)
    with pytest.raises(InvalidInputError, match="calibrated for another estimator"):
        model.decide(X, risk=risk)
    with pytest.raises(NotFittedError):
        risk.calibrate(PredictThenOptimizeRegressor(Simplex(4)), X, C)
    with pytest.raises(InvalidInputError, match="got 8 instances to divide"):
        risk.calibrate(model, X[:8], C[:8])
    assert repr(ConformalBox(0.2)) == "ConformalBox(alpha=0.2)"


def test_it_works_for_models_trained_for_decisions() -> None:
    data = make_shortest_path(160, grid=(3, 3), degree=4, noise=0.5, random_state=0)
    model = DecisionFocusedRegressor(data.oracle, max_iter=3, random_state=0)
    one = ConformalBox(0.2, random_state=0).fit(model, data.X[:120], data.C[:120])
    two = ConformalBox(0.2, random_state=0).fit(model, data.X[:120], data.C[:120])
    assert one.radius_ == two.radius_
    found = one.estimator_.decide(data.X[120:], risk=one)
    cost = np.vecdot(found.decisions, data.C[120:])
    assert (cost <= found.high).mean() >= 0.75


def test_an_objective_with_a_part_of_its_own_counts_it(rng) -> None:
    from dfl_solvers import Newsvendor

    demand = rng.gamma(2, 5, size=(6, 4))
    X, C = draw(rng, 100)
    oracle = Newsvendor(demand, 9.0, 1.0)
    model = PredictThenOptimizeRegressor(oracle).fit(X[:40], C[:40])
    risk = ConformalBox(0.2, random_state=0).calibrate(model, X[40:90], C[40:90])
    found = model.decide(X[90:], risk=risk)
    np.testing.assert_allclose(
        found.expected, oracle.evaluate(model.predict(X[90:]), found.decisions)
    )


def test_padded_ellipsoids_are_refused() -> None:
    oracle = TopK(None, 1)
    rng = np.random.default_rng(0)
    days = np.repeat(np.arange(40), 3)[:-1]
    X = rng.normal(size=(119, 2))
    y = X[:, 0] + rng.normal(size=119)
    model = PredictThenOptimizeRegressor(oracle).fit(X, y, groups=days)
    box = ConformalBox(0.2, random_state=0).calibrate(model, X, y, groups=days)
    assert model.decide(X, groups=days, risk=box).decisions.sum() == 40
    with pytest.raises(UnsupportedError, match="instances of equal size"):
        ConformalEllipsoid(0.2).calibrate(model, X, y, groups=days)


@pytest.mark.parametrize("alpha", [1.5, 0.0, -0.1])
def test_a_box_without_probability_is_refused(alpha: float, rng) -> None:
    X, C = rng.normal(size=(60, 2)), rng.normal(size=(60, 3))
    model = PredictThenOptimizeRegressor(Simplex(3)).fit(X, C)
    with pytest.raises(InvalidInputError, match=f"alpha={alpha}, expected a number between 0 and"):
        ConformalBox(alpha).calibrate(model, X, C)
