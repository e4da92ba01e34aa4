"""Estimated calibration functions: closed forms, theorems, slopes, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dfl import Target, make_loss, metrics
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl.layers import Gumbel, Normal
from dfl.risk import (
    ball_calibration,
    box_calibration,
    calibration_bound,
    calibration_function,
    interval_calibration,
    mean_resultant_length,
    set_geometry,
    squared_bound,
)
from dfl_solvers import (
    Ball,
    Box,
    Ellipsoid,
    GridShortestPath,
    LogBarrierSimplex,
    Maximize,
    Simplex,
    TopK,
)


def spo_plus(oracle, mean, eps, **more):
    more = {"sigma": 1.0, "n_samples": 2000, "n_directions": 64, "random_state": 0, **more}
    return calibration_function("spo+", oracle, mean, "normal", eps, **more)


@pytest.mark.parametrize("mean", [0.2, 0.7, 2.0])
def test_interval(mean: float) -> None:
    found = spo_plus(Box(1), [mean], [0.5 * mean, mean, 1.1 * mean], sigma=1.3, n_samples=40_000)
    exact = interval_calibration([mean], mean, 1.3)[0]
    assert found.value[:2] == pytest.approx([exact, exact], rel=0.03)
    assert (found.low[:2] <= found.value[:2]).all()
    assert (found.value[:2] <= found.high[:2]).all()
    assert found.value[2] == np.inf
    assert np.isnan(found.predictions[2]).all()


@pytest.mark.parametrize("d", [2, 4])
def test_box_and_ball_are_found_and_never_undercut(d: int, rng: np.random.Generator) -> None:
    mean = rng.normal(size=d)
    for oracle, exact, largest in (
        (Box(d), box_calibration, np.abs(mean).sum()),
        (Ball(d), ball_calibration, 2 * np.linalg.norm(mean)),
    ):
        eps = largest * np.array([0.01, 0.1, 0.4, 0.9])
        found = spo_plus(oracle, mean, eps, n_samples=8000, confidence=0.9999)
        truth = exact(eps, mean, 1.0)
        assert (found.high >= truth).all()  # an upper estimate
        assert (found.low <= 1.03 * truth).all()  # and a near one


def test_the_interval_has_its_coverage() -> None:
    exact, hits = interval_calibration([0.7], 0.7, 1.0)[0], 0
    for seed in range(200):
        found = spo_plus(Box(1), [0.7], [0.7], n_samples=400, n_directions=1, random_state=seed)
        hits += found.low[0] <= exact <= found.high[0]
    assert 0.9 <= hits / 200 <= 0.99  # 95 % within its binomial interval


def test_the_predictions_found_have_so_much_regret_and_the_risk_that_is_said() -> None:
    oracle, mean = GridShortestPath(2, 3), np.array([1.0, 2.0, 1.5, 0.5, 1.0, 2.5, 0.7])
    best = oracle.solve(mean[None]).objectives[0]
    eps = np.array([0.1, 0.5, 1.0])
    found = spo_plus(oracle, mean, eps)
    rng = np.random.default_rng(9)
    z = rng.normal(size=(20_000, 7))
    target = Target(costs=torch.from_numpy(np.concatenate([mean + z, mean - z])))
    loss = make_loss("spo+", oracle)

    def risk(prediction: np.ndarray) -> float:
        return loss(torch.from_numpy(np.tile(prediction, (40_000, 1))), target).item()

    for prediction, least, value in zip(found.predictions, eps, found.value, strict=True):
        assert mean @ oracle.solve(prediction[None]).decisions[0] - best >= least * (1 - 1e-6)
        # by the definition and not by the identity
        assert risk(prediction) - risk(mean) == pytest.approx(value, rel=0.1)


@pytest.mark.parametrize("seed", range(10))
def test_bounds_are_below_estimates(seed: int) -> None:
    """Five kinds of sets; the table of the benchmark has fifty settings and their ratios."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 5))
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    oracle = [Box(d), Simplex(d + 1), TopK(5, 2), Ball(d),
              Ellipsoid(turn @ np.diag(rng.uniform(1, 2, d)) @ turn.T)][seed % 5]  # fmt: skip
    mean = rng.normal(size=oracle.n_costs)
    largest = -oracle.solve(np.stack([mean, -mean])).objectives.sum()
    eps = largest * np.array([0.02, 0.2, 0.9])
    sigma = float(rng.uniform(0.3, 3))
    found = spo_plus(oracle, mean, eps, sigma=sigma, n_samples=1000)
    bound = calibration_bound(oracle, mean, sigma, eps)
    assert (bound > 0).all()
    assert (bound <= found.low).all()


@pytest.mark.parametrize("d", [2, 3, 10])
def test_the_bound_of_level_sets_on_balls_for_all_sizes_of_noise(d: int) -> None:
    # exact on both sides, so that a bound in the wrong direction of its condition would show
    for ratio in np.geomspace(0.05, 4, 12):
        least = float(mean_resultant_length(ratio, d))
        bound = calibration_bound(Ball(d), ratio * np.eye(d)[0], 1.0, [1.0])[0]
        assert 0 < bound <= least


def test_slopes() -> None:
    eps = np.geomspace(0.02, 0.2, 5)
    more = {"n_samples": 40_000, "n_directions": 8}
    interval = [spo_plus(Box(1), [e], [e], **more).value[0] for e in eps]
    way = np.array([1.0, 2.0]) / 3
    box = [spo_plus(Box(2), e * way, [e], **more).value[0] for e in eps]
    ball = spo_plus(Ball(2), [1.0, 0.0], np.geomspace(1e-3, 0.1, 5), **more)
    assert slope(eps, interval) == pytest.approx(2.0, abs=0.15)
    assert slope(eps, box) == pytest.approx(2.0, abs=0.15)
    assert slope(ball.eps, ball.value) == pytest.approx(1.0, abs=0.15)


def slope(x, y) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def test_squared_error_on_an_interval_is_exact() -> None:
    found = calibration_function("squared", Box(1), [0.7], "normal", [0.1, 0.7], random_state=0)
    assert found.value == pytest.approx([0.49, 0.49])
    bound = squared_bound([0.1, 0.7], set_geometry(Box(1)))
    assert (bound <= found.value * (1 + 1e-9)).all()
    assert bound[1] == pytest.approx(0.49)  # tight


def test_values_are_costs_of_the_other_sign() -> None:
    mean, eps = np.array([1.0, -0.5, 0.3]), [0.2, 0.6]
    costs = spo_plus(TopK(3, 1), mean, eps)
    values = spo_plus(Maximize(TopK(3, 1)), -mean, eps)
    np.testing.assert_allclose(values.value, costs.value, rtol=0.1)
    best = Maximize(TopK(3, 1)).solve(-mean[None]).objectives[0]
    for prediction, least in zip(values.predictions, eps, strict=True):
        decision = Maximize(TopK(3, 1)).solve(prediction[None]).decisions[0]
        assert best - (-mean) @ decision >= least - 1e-9


def test_a_loss_with_a_set_of_its_own() -> None:
    mean, eps = np.array([0.0, 0.4, 1.0]), [0.2, 0.8]
    smooth = make_loss("spo+", LogBarrierSimplex(3))
    found = calibration_function(smooth, Simplex(3), mean, "normal", eps, random_state=0)
    assert (found.low > 0).all()
    # what the identity says of the smooth set, for the prediction found
    rng = np.random.default_rng(1)
    z = rng.normal(size=(20_000, 3))
    costs = np.concatenate([mean + z, mean - z])
    for prediction, value in zip(found.predictions, found.value, strict=True):
        excess = metrics.regret(LogBarrierSimplex(3), costs, costs + 2 * (prediction - mean))
        assert excess.mean() == pytest.approx(value, rel=0.1)


def test_other_losses_and_laws() -> None:
    mean, eps = [0.0, 0.5, 1.0], [0.3]
    more = {"n_samples": 400, "n_directions": 8, "n_rounds": 1, "random_state": 0}
    # its least risk is searched for, and is at the mean, as that of the squared error
    huber, squared = (
        calibration_function(loss, Simplex(3), mean, Normal(), eps, sigma=0.5, **more)
        for loss in (make_loss("huber", Simplex(3), {"delta": 100.0}), "squared")
    )
    assert 2 * huber.value == pytest.approx(squared.value, rel=0.05)  # half the square
    skewed = calibration_function("spo+", Simplex(3), mean, Gumbel(), eps, antithetic=False, **more)
    assert np.isfinite(skewed.value).all()
    residuals = np.random.default_rng(2).normal(size=(500, 3))
    drawn = calibration_function(
        "spo+", Simplex(3), mean, lambda n, rng: residuals[rng.integers(500, size=n)], eps, **more
    )
    law = calibration_function("spo+", Simplex(3), mean, "normal", eps, **more)
    assert drawn.value == pytest.approx(law.value, rel=0.5)


def test_same_seed_same_result() -> None:
    first, second = (spo_plus(Simplex(3), [0.0, 0.5, 1.0], [0.3]) for _ in range(2))
    assert first.value == second.value
    assert spo_plus(Simplex(3), [0.0, 0.5, 1.0], [0.3], random_state=1).value != first.value


def test_what_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="eps"):
        spo_plus(Box(1), [1.0], [0.0])
    with pytest.raises(InvalidInputError, match=r"2 mean costs, expected 3"):
        spo_plus(Simplex(3), [1.0, 2.0], [0.1])
    with pytest.raises(InvalidInputError, match="not symmetric"):
        calibration_function("spo+", Box(1), [1.0], "gumbel", [0.1])
    with pytest.raises(InvalidInputError, match="noise of shape"):
        calibration_function("spo+", Box(2), [1.0, 2.0], lambda n, rng: np.zeros((n, 1)), [0.1])
    with pytest.raises(InvalidInputError, match="n_samples"):
        spo_plus(Box(1), [1.0], [0.1], n_samples=2)
    with pytest.raises(UnsupportedError, match="derivative"):
        calibration_function("smooth-regret", Simplex(3), [1.0, 2.0, 3.0], "normal", [0.1])
