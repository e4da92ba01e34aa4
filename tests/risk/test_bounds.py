"""Bounds: their formulas, what they rest on, and that they hold on data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfl import SPOPlusLinearRegressor, metrics
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.risk import (
    ball_calibration,
    biconjugate,
    calibration_bound,
    count_certificate,
    excess_risk_bound,
    level_set_bound,
    margin_certificate,
    margin_loss,
    polyhedron_bound,
    rademacher_complexity,
    set_geometry,
    spo_plus_range,
    squared_bound,
    surrogate_excess_bound,
)
from dfl_solvers import Ball, Box, Ellipsoid, Knapsack, Maximize, Simplex, degeneracy_distance


def test_polyhedron_by_hand() -> None:
    geometry = set_geometry(Box(2))
    shape = 1 / (1 + 2 * 3**0.5 * 2**0.5)
    assert shape == pytest.approx(0.169521, abs=1e-6)
    constant = 0.5 * shape / (4 * (2 * np.pi) ** 0.5 * np.exp(1.5 * 1.25))
    found = polyhedron_bound([0.1, 50.0], geometry, sigma=2.0, ratio=0.5, share=0.5)
    assert found == pytest.approx([constant * 0.01 / (2**0.5 * 2), constant * 50])


def test_level_set_by_hand() -> None:
    geometry = set_geometry(Ellipsoid(np.diag([1.0, 2.0])))
    found = level_set_bound([0.3], geometry, ratio=2.0, share=0.8)
    assert found == pytest.approx([0.8 / (4 * 5 * 2**4.5) * 0.3])
    # linear in eps, and the best ratio is at least as good as this one
    from scipy.stats import ncx2

    mean = np.array([1.0, 0.0])
    for ratio in (0.5, 1.0, 1.5, 3.0):
        share = ncx2.cdf(ratio**2, 2, 1.0)
        one = level_set_bound([0.3], geometry, ratio=ratio, share=share)
        best = calibration_bound(Ellipsoid(np.diag([1.0, 2.0])), mean, 1.0, [0.3])
        assert one <= best * 1.001


def test_only_the_part_of_the_costs_within_the_hull_counts() -> None:
    mean = np.array([1.0, 0.0, -0.5])
    near = calibration_bound(Simplex(3), mean, 1.0, [0.1])
    np.testing.assert_allclose(calibration_bound(Simplex(3), mean + 7, 1.0, [0.1]), near)


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="strongly convex"):
        level_set_bound([0.1], set_geometry(Box(2)), ratio=1.0, share=0.5)
    knapsack = Knapsack(np.random.default_rng(0).uniform(1, 2, (1, 30)), np.array([9.0]))
    with pytest.raises(UnsupportedError, match="width"):
        calibration_bound(knapsack, np.ones(30), 1.0, [0.1])
    with pytest.raises(InvalidInputError, match="share"):
        polyhedron_bound([0.1], set_geometry(Box(2)), sigma=1.0, ratio=1.0, share=2.0)
    with pytest.raises(InvalidInputError, match="eps"):
        squared_bound([-0.1], set_geometry(Box(2)))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(0.0, 2.0)), min_size=1, max_size=12))
def test_biconjugate_is_convex_and_below_the_step_function(steps) -> None:
    eps, values = (np.cumsum(part) for part in zip(*steps, strict=True))
    x, y = biconjugate(eps, values)
    slopes = np.diff(y) / np.diff(x)
    assert (np.diff(slopes) >= -1e-9).all()
    assert (x[0], y[0], x[-1]) == (0.0, 0.0, eps[-1])
    dense = np.linspace(0, eps[-1], 200)
    place = np.searchsorted(eps, dense, side="right") - 1
    step = np.where(place < 0, 0.0, values[np.maximum(place, 0)])
    inner = dense < eps[-1]
    assert (np.interp(dense, x, y)[inner] <= step[inner] + 1e-9).all()


def test_transfer_of_linear_and_quadratic_functions() -> None:
    eps = np.linspace(1e-4, 2, 20_000)
    risks = np.array([0.0, 0.01, 0.5, 100.0])
    assert excess_risk_bound(risks, eps, 3 * eps) == pytest.approx(
        np.minimum(risks / 3, 2), abs=2e-4
    )
    assert excess_risk_bound(risks, eps, eps**2) == pytest.approx(
        np.minimum(risks**0.5, 2), abs=1e-3
    )
    # half as steep at the end: the hull, and not the function, carries over
    bent = np.minimum(eps, 1.0)
    assert excess_risk_bound([0.25], eps, bent)[0] == pytest.approx(0.5, abs=1e-3)
    # nothing is known of a function that is zero; regret that cannot occur is excluded
    assert excess_risk_bound([0.1], eps, 0 * eps)[0] == pytest.approx(2)
    assert excess_risk_bound([9.0], [0.5, 1.0], [0.2, np.inf])[0] == 1.0
    with pytest.raises(InvalidInputError, match="not decrease"):
        biconjugate([1.0, 2.0], [2.0, 1.0])


@pytest.mark.parametrize("norm", ["frobenius", "l1"])
def test_complexity_is_below_its_bound_and_the_supremum(norm: str, rng) -> None:
    X = rng.normal(size=(400, 3)) + 1
    found = rademacher_complexity(X, 4, 2.0, norm=norm, random_state=0)
    assert 0.3 * found.bound < found.empirical.mean < found.bound
    # no matrix of this norm follows coins better than the supremum
    signs = np.random.default_rng(5).integers(2, size=(200, 4, 400)) * 2 - 1
    B = rng.normal(size=(4, 3))
    B *= 2.0 / (np.linalg.norm(B) if norm == "frobenius" else np.abs(B).sum())
    assert np.mean((signs * (X @ B.T).T).sum((1, 2))) / 400 < found.empirical.low
    # four times the rows, half the complexity
    more = rademacher_complexity(np.tile(X, (4, 1)), 4, 2.0, norm=norm, random_state=0)
    assert more.bound == pytest.approx(found.bound / 2)
    assert more.empirical.mean == pytest.approx(found.empirical.mean / 2, rel=0.1)


def test_complexity_of_one_column_is_exact() -> None:
    # |sum of four coins| is 4, 2, 0 with probabilities 1/8, 1/2, 3/8: its mean is 3/2
    found = rademacher_complexity(np.ones((4, 1)), 1, 1.0, n_draws=20_000, random_state=0)
    assert found.empirical.mean == pytest.approx(1.5 / 4, abs=0.005)
    assert found.bound == 0.5


def test_generalization_holds_on_data(rng) -> None:
    """From rows to surrogate risk to regret: each step of the chain, on the ball."""
    oracle, B = Ball(3), rng.normal(size=(3, 2))
    geometry = set_geometry(oracle)
    X = rng.uniform(-1, 1, size=(800, 2))
    C = X @ B.T + rng.uniform(-1, 1, size=(800, 3))
    model = SPOPlusLinearRegressor(oracle, tol=1e-5).fit(X, C)
    radius = 1.5 * np.linalg.norm(B)
    complexity = rademacher_complexity(X, 3, radius, random_state=0).bound
    largest = spo_plus_range(
        oracle, C, diameter=geometry.diameter, prediction_radius=radius * 2**0.5
    )
    bound = surrogate_excess_bound(800, complexity, diameter=geometry.diameter, loss_bound=largest)
    fresh = rng.uniform(-1, 1, size=(20_000, 2))
    mean = fresh @ B.T
    z = rng.uniform(-1, 1, size=(20_000, 3))
    predicted = model.predict(fresh)
    excess = np.mean(
        [metrics.regret(oracle, mean + s * z, mean + s * z + 2 * (predicted - mean)).mean()
         for s in (1, -1)]
    )  # fmt: skip
    assert excess < bound
    losses = excess + metrics.regret(oracle, mean + z, 2 * mean - mean - z).mean()
    assert losses < largest
    with pytest.raises(InvalidInputError, match="confidence"):
        surrogate_excess_bound(800, complexity, diameter=1.0, loss_bound=1.0, confidence=1.0)


def test_the_chain_of_bounds_is_above_the_regret() -> None:
    mean, eps = np.array([1.0, 0.0]), np.linspace(0.001, 2, 500)
    values = ball_calibration(eps, mean, 1.0)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(20_000, 2))
    costs = np.concatenate([mean + z, mean - z])
    for _ in range(20):
        predicted = mean + rng.normal(size=2)
        excess = metrics.regret(Ball(2), costs, costs + 2 * (predicted - mean)).mean()
        regret = mean @ Ball(2).solve(predicted[None]).decisions[0] + 1
        assert regret <= excess_risk_bound(excess * 1.02, eps, values)


def test_margin_loss_is_between_regret_and_the_worst(rng) -> None:
    predicted, costs = rng.normal(size=(2, 200, 3))
    for oracle in (Ball(3), Simplex(3), Maximize(Simplex(3))):
        regret = metrics.regret(oracle, predicted, costs)
        worst = -Simplex(3).solve(-costs).objectives - Simplex(3).solve(costs).objectives
        if isinstance(oracle, Ball):
            worst = 2 * np.linalg.norm(costs, axis=1)
        small, large = (margin_loss(oracle, predicted, costs, g) for g in (0.2, 2.0))
        assert (regret <= small + 1e-12).all()
        assert (small <= large + 1e-12).all()
        assert (large <= worst + 1e-12).all()
        far = degeneracy_distance(oracle, predicted).distance >= 0.2
        np.testing.assert_allclose(small[far], regret[far], atol=1e-12)
    # continuous through zero on the ball, where regret jumps
    ends = [margin_loss(Ball(1), [[t]], [[1.0]], 0.5)[0] for t in (-1e-9, 1e-9)]
    assert ends[0] == pytest.approx(ends[1], abs=1e-6)


def test_certificates_by_hand_and_on_new_rows(rng) -> None:
    B = rng.normal(size=(3, 2))

    def rows(n: int) -> tuple[np.ndarray, np.ndarray]:
        X = rng.uniform(-1, 1, size=(n, 2))
        return X, X @ B.T + 0.1 * rng.uniform(-1, 1, size=(n, 3))

    X, C = rows(20_000)
    predicted = X @ B.T
    radius = float(np.linalg.norm(C, axis=1).max())
    found = margin_certificate(Ball(3), predicted, C, 0.5, complexity=0.002, cost_radius=radius)
    omega = 2 * radius
    assert found.ceiling == omega
    assert found.complexity == pytest.approx(10 * 2**0.5 * omega / 0.5 * 0.002)
    assert found.deviation == pytest.approx(omega * np.sqrt(np.log(20) / 40_000))
    assert found.empirical == margin_loss(Ball(3), predicted, C, 0.5).mean()
    assert found.informative
    fresh, true = rows(20_000)
    assert metrics.regret(Ball(3), fresh @ B.T, true).mean() < found.bound
    few = margin_certificate(Ball(3), predicted, C, 0.01, complexity=0.1, cost_radius=radius)
    assert not few.informative
    counted = count_certificate(
        Simplex(3), predicted, C, n_parameters=6, n_decisions=3, cost_radius=radius
    )
    omega = 2**0.5 * radius
    assert counted.complexity == pytest.approx(
        2 * omega * np.sqrt(2 * 6 * np.log(20_000 * 9) / 20_000)
    )
    assert metrics.regret(Simplex(3), fresh @ B.T, true).mean() < counted.bound
    with pytest.raises(UnsupportedError, match="count_certificate"):
        margin_certificate(Simplex(3), predicted, C, 0.5, complexity=0.1, cost_radius=radius)
    with pytest.raises(InvalidInputError, match="cost_radius"):
        margin_certificate(Ball(3), predicted, C, 0.5, complexity=0.1, cost_radius=0.1)


@pytest.mark.parametrize(("oracle", "most"), [(Simplex(4), -0.25), (Ball(2), -0.45)], ids=repr)
def test_excess_regret_falls_as_fast_as_guaranteed(oracle, most: float) -> None:
    """The exact SPO+ minimizer on linear data with normal noise; the benchmark has more rows."""
    rows, d = (50, 200, 800), oracle.n_costs
    excess = np.zeros(len(rows))
    for seed in range(6):
        B = np.random.default_rng(seed).normal(size=(d, 2))
        for k, n in enumerate(rows):
            rng = np.random.default_rng([seed, n])
            X = rng.normal(size=(n, 2))
            C = X @ B.T + rng.normal(size=(n, d))
            model = SPOPlusLinearRegressor(oracle, tol=1e-3).fit(X, C)
            fresh = rng.normal(size=(4000, 2))
            excess[k] += metrics.regret(oracle, model.predict(fresh), fresh @ B.T).mean() / 6
    assert np.polyfit(np.log(rows), np.log(excess), 1)[0] <= most
