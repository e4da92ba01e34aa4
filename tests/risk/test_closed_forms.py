"""Closed forms of calibration functions: published values, and Monte Carlo by other means."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln, hyp1f1

from dfl import metrics
from dfl.exceptions import InvalidInputError
from dfl.risk import (
    ball_calibration,
    box_calibration,
    interval_calibration,
    mean_resultant_length,
)
from dfl.risk.closed_forms import _mean_norm
from dfl_solvers import Ball


@pytest.mark.parametrize(
    ("mean", "value"), [(0.2, 0.0244538), (0.7, 0.2868191), (2.0, 1.7521284), (-2.0, 1.7521284)]
)
def test_interval(mean: float, value: float) -> None:
    found = interval_calibration([0.01, abs(mean), 1.01 * abs(mean)], mean, 1.3)
    assert found[:2] == pytest.approx([value, value], abs=1e-7)
    assert found[2] == np.inf
    # widths are a unit: everything doubles
    wide = interval_calibration([2 * abs(mean)], mean, 1.3, width=2.0)
    assert wide == pytest.approx([2 * value], abs=2e-7)


def test_interval_without_noise_is_linear() -> None:
    assert interval_calibration([0.7], 0.7, 1e-6) == pytest.approx([0.7])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0.05, 3.0), min_size=1, max_size=6),
    st.floats(0.2, 3.0),
    st.floats(0.01, 1.1),
)
def test_box_is_the_best_of_all_subsets(sizes: list[float], sigma: float, share: float) -> None:
    mean = np.array(sizes) * np.where(np.arange(len(sizes)) % 2, -1, 1)
    eps = share * sum(sizes)
    prices = [interval_calibration([s], s, sigma)[0] for s in sizes]
    best = np.inf
    for chosen in itertools.product([False, True], repeat=len(sizes)):
        if np.dot(chosen, sizes) >= eps * (1 - 1e-12):
            best = min(best, float(np.dot(chosen, prices)))
    assert box_calibration([eps], mean, sigma) == pytest.approx([best], rel=1e-9)


def test_box_with_noise_of_its_own_for_each_cost() -> None:
    found = box_calibration([0.5], [1.0, 1.0], [1e-6, 10.0])
    assert found == pytest.approx(interval_calibration([1.0], 1.0, 10.0))


@pytest.mark.parametrize(
    ("ratio", "value"),
    [(0.05, 0.03132), (0.1, 0.06259), (0.25, 0.15545), (0.5, 0.30384), (1, 0.55718),
     (2, 0.84432), (4, 0.96694)],
)  # fmt: skip
def test_mean_resultant_length_in_the_plane(ratio: float, value: float) -> None:
    assert float(mean_resultant_length(ratio, 2)) == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("d", [2, 3, 7])
def test_mean_resultant_length_is_the_mean_cosine(d: int, rng: np.random.Generator) -> None:
    draws = rng.normal(size=(200_000, d))
    draws[:, 0] += 1.5
    cosines = draws[:, 0] / np.linalg.norm(draws, axis=1)
    error = 4 * cosines.std() / len(cosines) ** 0.5
    assert float(mean_resultant_length(1.5, d)) == pytest.approx(cosines.mean(), abs=error)
    assert float(mean_resultant_length(1e6, d)) == pytest.approx(1.0)


def test_ball_at_small_angles_and_at_the_antipode() -> None:
    mean, tiny = np.array([1.0, 0.0]), 1e-6
    assert ball_calibration([tiny], mean, 1.0)[0] / tiny == pytest.approx(2.23, abs=0.005)
    for ratio in (0.25, 1.0, 4.0):
        found = ball_calibration([2 * ratio, 2.001 * ratio], ratio * mean, 1.0)
        assert found[0] / (2 * ratio) == pytest.approx(float(mean_resultant_length(ratio, 2)))
        assert found[1] == np.inf
    # lengths and radii are units
    assert ball_calibration([0.6], 3 * mean, 3.0, radius=2.0) == pytest.approx(
        6 * ball_calibration([0.1], mean, 1.0)
    )


@pytest.mark.parametrize("d", [2, 5])
def test_ball_is_below_the_excess_risk_of_every_prediction(
    d: int, rng: np.random.Generator
) -> None:
    """The excess risk of predictions by brute force, and none is below the closed form."""
    oracle, mean = Ball(d), np.eye(d)[0]
    z = rng.normal(size=(1500, d))
    costs = np.concatenate([mean + z, mean - z])
    nearest = np.inf
    for _ in range(100):
        predicted = mean + rng.normal(size=d) * rng.uniform(0.1, 2)
        regret = float(mean @ (oracle.solve(predicted[None]).decisions[0] + mean))
        excess = metrics.regret(oracle, costs, costs + 2 * (predicted - mean))
        pairs = (excess[:1500] + excess[1500:]) / 2
        bound = ball_calibration([regret], mean, 1.0)[0]
        assert pairs.mean() >= bound - 5 * pairs.std() / 1500**0.5
        nearest = min(nearest, pairs.mean() / bound)
    assert nearest < 1.3  # it is no trivial bound


def test_numbers_out_of_range_are_named() -> None:
    with pytest.raises(InvalidInputError, match="eps"):
        interval_calibration([0.0], 1.0, 1.0)
    with pytest.raises(InvalidInputError, match="sigma"):
        box_calibration([0.1], [1.0], 0.0)
    with pytest.raises(InvalidInputError, match="at least two costs"):
        ball_calibration([0.1], [1.0], 1.0)
    with pytest.raises(InvalidInputError, match="dimension"):
        mean_resultant_length(1.0, 1)


@pytest.mark.parametrize("d", [2, 5, 30])
def test_mean_lengths_are_those_of_the_hypergeometric_function(d: int) -> None:
    distance = np.array([0.0, 0.1, 1.0, 3.0, 30.0, 1e6])
    factor = np.sqrt(2) * np.exp(gammaln((d + 1) / 2) - gammaln(d / 2))
    expected = factor * hyp1f1(-0.5, d / 2, -(distance**2) / 2)
    np.testing.assert_allclose(_mean_norm(distance, d), expected, rtol=1e-13)


@pytest.mark.parametrize("distance", [0.0, 9.0, 20.0, 200.0])
def test_mean_lengths_of_many_costs_are_those_of_draws(
    distance: float, rng: np.random.Generator
) -> None:
    """Where the hypergeometric function overflows."""
    along, across = rng.normal(size=100_000) + distance, rng.chisquare(199, 100_000)
    lengths = np.sqrt(along**2 + across)
    error = 4 * lengths.std() / len(lengths) ** 0.5
    assert float(_mean_norm(np.array(distance), 200)) == pytest.approx(lengths.mean(), abs=error)


def test_ball_of_many_costs() -> None:
    mean = np.ones(200)
    found = ball_calibration([0.01, 1.0, 2 * 200**0.5], mean, 1.0)
    assert np.isfinite(found).all()
    resultant = float(mean_resultant_length(200**0.5, 200))
    # the least ratio is that of the antipode
    assert (found / [0.01, 1.0, 2 * 200**0.5] >= resultant - 1e-9).all()
    assert found[2] / (2 * 200**0.5) == pytest.approx(resultant)
