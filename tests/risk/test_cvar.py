"""The mean of the worst: its identities, decisions for it and training for it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor, Target, make_loss
from dfl.datasets import make_knapsack, make_shortest_path
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.risk import (
    ConformalEllipsoid,
    CVaR,
    CVaRLoss,
    GaussianCVaR,
    NeighborWeights,
    cvar,
    gaussian_cvar_factor,
)
from dfl_solvers import Maximize, Portfolio, Simplex, TopK

numbers = st.lists(st.floats(-100, 100), min_size=1, max_size=25)


@given(numbers, st.floats(0, 0.99), st.data())
@settings(max_examples=150, deadline=None)
def test_it_is_the_least_over_all_thresholds(values, alpha, data) -> None:
    weights = data.draw(st.lists(st.floats(0.01, 1), min_size=len(values), max_size=len(values)))
    z, p = np.array(values), np.array(weights) / np.sum(weights)
    candidates = [t + p @ np.maximum(z - t, 0) / (1 - alpha) for t in z]
    found = cvar(values, alpha, weights=weights)
    assert found == pytest.approx(min(candidates), rel=1e-9, abs=1e-9)
    assert p @ z - 1e-9 <= found <= z.max() + 1e-9


def test_identities(rng) -> None:
    z = rng.normal(size=1000)
    assert cvar(z, 0.0) == pytest.approx(z.mean(), rel=1e-12)
    assert cvar(z, 0.9) == pytest.approx(np.sort(z)[-100:].mean(), rel=1e-12)
    assert cvar(z, 0.9995) == pytest.approx(z.max())
    # repeated numbers count as often
    assert cvar([1.0, 5.0], 0.5, weights=[3, 1]) == cvar([1.0, 1.0, 1.0, 5.0], 0.5) == 3.0
    for bad in ({"alpha": 1.0}, {"alpha": -0.1}, {"alpha": 0.5, "weights": [1.0]}):
        with pytest.raises(InvalidInputError):
            cvar([1.0, 2.0], **bad)


def test_the_normal_distribution(rng) -> None:
    assert gaussian_cvar_factor(0.9) == pytest.approx(1.754983, abs=5e-7)
    assert gaussian_cvar_factor(0.95) == pytest.approx(2.062713, abs=5e-7)
    assert gaussian_cvar_factor(0.0) == 0.0
    draws = rng.normal(size=400_000)
    for alpha in (0.5, 0.9, 0.95):
        assert cvar(draws, alpha) == pytest.approx(gaussian_cvar_factor(alpha), abs=0.02)


def setting(rng, n=160, d=4):
    X = rng.normal(size=(n, 3))
    scale = np.array([0.2, 1.0, 2.0, 0.5])[:d]
    C = 3 + X @ rng.normal(size=(3, d)) + scale * rng.exponential(size=(n, d))
    return X, C


@pytest.mark.parametrize("weights", [None, NeighborWeights(20)], ids=["errors", "neighbors"])
def test_decisions_have_the_least_cvar_of_their_scenarios(weights, rng) -> None:
    X, C = setting(rng)
    model = PredictThenOptimizeRegressor(Simplex(4)).fit(X[:50], C[:50])
    risk = CVaR(0.8, weights, random_state=0).calibrate(model, X[50:150], C[50:150])
    found = model.decide(X[150:], risk=risk)
    predicted = model.predict(X[150:])
    mixtures = np.vstack([np.eye(4), rng.dirichlet(np.ones(4), 1000)])
    for i in range(10):
        if weights is None:
            scenarios, p = predicted[i] + C[50:150] - model.predict(X[50:150]), np.full(100, 0.01)
        else:
            scenarios, p = C[50:150], weights.copy().fit(X[50:150], C[50:150]).weights(X[150:])[i]
        own = cvar(scenarios @ found.decisions[i], 0.8, weights=p)
        assert found.objective[i] == pytest.approx(own)
        assert found.expected[i] == pytest.approx(p @ scenarios @ found.decisions[i])
        assert own <= min(cvar(scenarios @ w, 0.8, weights=p) for w in mixtures) + 1e-8
        outcomes = scenarios @ found.decisions[i]
        inside = (outcomes >= found.low[i] - 1e-9) & (outcomes <= found.high[i] + 1e-9)
        assert p @ inside >= 0.9 - 1e-9


def test_alpha_zero_is_the_mean(rng) -> None:
    X, C = setting(rng)
    oracle = Maximize(TopK(4, 2))
    model = PredictThenOptimizeRegressor(oracle).fit(X[:50], C[:50])
    weights = NeighborWeights(15)
    risk = CVaR(0.0, weights).calibrate(model, X[50:150], C[50:150])
    found = model.decide(X[150:], risk=risk)
    means = weights.copy().fit(X[50:150], C[50:150]).weights(X[150:]) @ C[50:150]
    np.testing.assert_array_equal(found.decisions, oracle.solve(means).decisions)
    np.testing.assert_allclose(found.expected, np.vecdot(means, found.decisions))
    np.testing.assert_allclose(found.objective, found.expected)
    # and, close to zero, the program of the tail agrees with the oracle
    near = model.decide(X[150:], risk=CVaR(1e-9, weights).calibrate(model, X[50:150], C[50:150]))
    np.testing.assert_allclose(near.objective, found.objective, rtol=1e-6)


def test_values_are_cautious_from_below(rng) -> None:
    data = make_knapsack(100, n_items=5, random_state=0)
    model = PredictThenOptimizeRegressor(data.oracle).fit(data.X[:40], data.C[:40])
    risk = CVaR(0.8).calibrate(model, data.X[40:80], data.C[40:80])
    found = model.decide(data.X[80:], risk=risk)
    assert set(np.unique(found.decisions)) <= {0.0, 1.0}
    assert (found.objective <= found.expected + 1e-9).all()
    assert (found.low <= found.high).all()


def test_normal_costs_agree_with_scenarios(rng) -> None:
    """With many normal scenarios the closed form and the linear program find the same value."""
    d, n = 3, 4000
    factor = np.array([[0.5, 0, 0], [0.3, 1.0, 0], [0, 0.2, 1.5]])
    X = rng.normal(size=(n, 2))
    C = X @ rng.normal(size=(2, d)) + rng.normal(size=(n, d)) @ factor.T
    model = PredictThenOptimizeRegressor(Simplex(d)).fit(X[:2000], C[:2000])
    rules = [GaussianCVaR(0.9), CVaR(0.9, n_scenarios=2000)]
    gaussian, scenarios = (
        model.decide(X[:5] / 4, risk=rule.calibrate(model, X[2000:], C[2000:])) for rule in rules
    )
    np.testing.assert_allclose(gaussian.objective, scenarios.objective, atol=0.12)
    np.testing.assert_allclose(rules[0].covariance_, factor @ factor.T, atol=0.15)
    # the same problem as a conformal ellipsoid of that radius
    ellipsoid = ConformalEllipsoid(random_state=0).calibrate(model, X[2000:], C[2000:])
    ellipsoid.radius_ = gaussian_cvar_factor(0.9)
    near = model.decide(X[:5] / 4, risk=ellipsoid)
    np.testing.assert_allclose(near.objective, gaussian.objective, atol=0.15)


def test_portfolios_under_a_bound_on_their_variance(rng) -> None:
    X, C = setting(rng)
    covariance = np.cov(C.T)
    oracle = Portfolio(covariance, risk=np.trace(covariance) / 8)
    model = PredictThenOptimizeRegressor(oracle).fit(X[:50], C[:50])
    instance = {
        "risk": np.linspace(0.4, 1, 10) * oracle.risk + np.linalg.inv(covariance).sum() ** -1
    }
    risk = CVaR(0.9).calibrate(model, X[50:150], C[50:150])
    found = model.decide(X[150:], risk=risk, instance=instance)
    variance = np.einsum("ni,ij,nj->n", found.decisions, covariance, found.decisions)
    assert (variance <= instance["risk"] * (1 + 1e-7)).all()
    plain = model.decide(X[150:], instance=instance)
    errors = C[50:150] - model.predict(X[50:150])
    scenarios = model.predict(X[150:])[:, None] + errors
    for i in range(10):
        assert found.objective[i] <= cvar(scenarios[i] @ plain[i], 0.9) + 1e-6


def test_bad_parameters_and_long_data(rng) -> None:
    X, C = setting(rng, 40)
    model = PredictThenOptimizeRegressor(Simplex(4)).fit(X[:20], C[:20])
    for rule in (CVaR(1.0), CVaR(-0.1), CVaR(confidence=1.0), CVaR(n_scenarios=0), GaussianCVaR(1)):
        with pytest.raises(InvalidInputError):
            rule.calibrate(model, X[20:], C[20:])
    days = np.repeat(np.arange(40), 4)
    long = PredictThenOptimizeRegressor(Simplex(4)).fit(C.ravel()[:, None], C.ravel(), groups=days)
    rule = CVaR(0.5).calibrate(long, C.ravel()[:, None], C.ravel(), groups=days)
    assert rule.scenarios_.shape == (40, 4)
    with pytest.raises(UnsupportedError, match="a row of features an instance"):
        CVaR(0.5, NeighborWeights()).calibrate(long, C.ravel()[:, None], C.ravel(), groups=days)


# --- training -------------------------------------------------------------------------------------


def test_the_loss_is_the_cvar_of_the_batch(rng) -> None:
    oracle = Simplex(4)
    output = torch.from_numpy(rng.normal(size=(30, 4)))
    target = Target(costs=torch.from_numpy(rng.normal(size=(30, 4))))
    plain = make_loss("spo+", oracle)
    values = plain(output, target, reduction="none").numpy()
    for alpha in (0.0, 0.5, 0.9):
        loss = CVaRLoss(make_loss("spo+", oracle), alpha, window=0)
        assert loss(output, target).item() == pytest.approx(cvar(values, alpha))
    assert CVaRLoss(plain, 0.0)(output, target).item() == pytest.approx(values.mean())


def test_the_gradient_is_that_of_the_worst_samples(rng) -> None:
    oracle = Maximize(Simplex(3))
    start = torch.from_numpy(rng.normal(size=(20, 3)))
    target = Target(costs=torch.from_numpy(rng.normal(size=(20, 3))))
    plain = make_loss("squared", oracle)
    gradients = []
    for loss in (CVaRLoss(plain, 0.78, window=0), plain):
        output = start.clone().requires_grad_()
        loss(output, target, reduction="sum").backward()
        gradients.append(output.grad.numpy())
    values = plain(start, target, reduction="none").numpy()
    # 4.4 of 20: four whole ones, and the threshold itself, where the gradient is zero
    worst = np.argsort(values)[-4:]
    expected = np.zeros((20, 3))
    expected[worst] = gradients[1][worst] / 0.22
    np.testing.assert_allclose(gradients[0], expected, atol=1e-12)


def test_the_window_remembers_training_only(rng) -> None:
    loss = CVaRLoss(make_loss("squared", Simplex(1)), 0.5, window=3)
    zero = torch.zeros(2, 1)
    truth = [Target(costs=torch.tensor([[a], [b]])) for a, b in ((1.0, 2.0), (3.0, 4.0))]
    with torch.no_grad():
        loss(zero, truth[0])
    assert loss.recent.isnan().all()
    loss(zero, truth[0])
    loss(zero, truth[1])
    np.testing.assert_allclose(loss.recent.numpy(), [4, 9, 16])
    with pytest.raises(InvalidInputError, match="alpha=1"):
        CVaRLoss(make_loss("squared", Simplex(1)), 1.0)
    with pytest.raises(InvalidInputError, match="the loss of a policy"):
        CVaRLoss(make_loss("preference", None))


def exact(X, C, alpha):
    """Return the least CVaR of SPO+ of a linear model on a simplex, by a linear program.

    Over B, the threshold t, the losses l_i >= (c_i - 2 B x_i).v + 2 (B x_i).w_i - z_i for all
    vertices v, and their excesses over t.
    """
    n, p = X.shape
    d = C.shape[1]
    best, z = np.eye(d)[C.argmin(1)], C.min(1)
    costs = np.concatenate([np.zeros(d * p), [1], np.zeros(n), np.full(n, 1 / n / (1 - alpha))])
    rows, right = [], []
    for i in range(n):
        for v in np.eye(d):
            row = np.zeros(len(costs))
            row[: d * p] = np.outer(2 * (best[i] - v), X[i]).ravel()
            row[d * p + 1 + i] = -1
            rows.append(row)
            right.append(z[i] - C[i] @ v)
        row = np.zeros(len(costs))
        row[d * p + 1 + i], row[d * p], row[d * p + 1 + n + i] = 1, -1, -1
        rows.append(row)
        right.append(0.0)
    bounds = [(None, None)] * (d * p + 1 + n) + [(0, None)] * n
    return linprog(costs, np.array(rows), right, bounds=bounds).fun


@pytest.mark.parametrize("alpha", [0.0, 0.8])
def test_training_comes_close_to_the_exact_optimum(alpha, rng) -> None:
    n = 80
    X = rng.normal(size=(n, 2))
    C = np.abs(X @ rng.normal(size=(2, 3))) + rng.exponential(size=(n, 3))
    design = np.column_stack([X, np.ones(n)])
    least = exact(design, C, alpha)
    loss = CVaRLoss(make_loss("spo+", Simplex(3)), alpha, window=0)
    model = DecisionFocusedRegressor(
        Simplex(3), loss, max_iter=600, batch_size=n, learning_rate=0.03, schedule="cosine",
        early_stopping=False, random_state=0,
    ).fit(X, C)  # fmt: skip
    plain = copy.deepcopy(loss.loss)
    values = plain(
        torch.from_numpy(model.predict(X)), Target(costs=torch.from_numpy(C)), reduction="none"
    ).numpy()
    assert least - 1e-9 <= cvar(values, alpha) <= 1.03 * least
    assert len(loss.recent) == 0  # the estimator trained a copy


def test_training_for_the_tail_lowers_the_tail_of_the_loss() -> None:
    """With a window, in small batches, against the same training for the mean."""
    data = make_shortest_path(400, grid=(3, 3), degree=6, noise=0.5, random_state=1)
    tails = {}
    for name, loss in (
        ("mean", make_loss("spo+", data.oracle)),
        ("tail", CVaRLoss(make_loss("spo+", data.oracle), 0.9, window=400)),
    ):
        model = DecisionFocusedRegressor(
            data.oracle, loss, max_iter=40, early_stopping=False, random_state=0
        ).fit(data.X, data.C)
        values = make_loss("spo+", data.oracle)(
            torch.from_numpy(model.predict(data.X)),
            Target(costs=torch.from_numpy(data.C)),
            reduction="none",
        ).numpy()
        tails[name] = cvar(values, 0.9), values.mean()
    assert tails["tail"][0] < 0.97 * tails["mean"][0]
    assert tails["mean"][1] < tails["tail"][1]


@pytest.mark.parametrize("rule", [GaussianCVaR(confidence=2.0), GaussianCVaR(confidence=0.0),
                                  CVaR(confidence=2.0)], ids=repr)  # fmt: skip
def test_an_interval_without_probability_is_refused(rule, rng) -> None:
    X, C = rng.normal(size=(60, 2)), rng.normal(size=(60, 3))
    model = PredictThenOptimizeRegressor(Simplex(3)).fit(X, C)
    with pytest.raises(InvalidInputError, match=r"confidence=.*between 0 and 1"):
        rule.calibrate(model, X, C)
