"""Pictures of risk hold the right numbers and draw them."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from dfl import PredictThenOptimizeRegressor
from dfl.datasets import make_knapsack, make_shortest_path
from dfl.exceptions import InvalidInputError
from dfl.plotting import CostIntervalDisplay, TailDisplay
from dfl.risk import ConformalBox, ConformalRegret, cvar


@pytest.mark.parametrize("make", [make_shortest_path, make_knapsack])
def test_intervals_and_true_costs(make) -> None:
    data = make(120, random_state=0)
    model = PredictThenOptimizeRegressor(data.oracle).fit(data.X[:40], data.C[:40])
    risk = ConformalRegret(0.3).calibrate(model, data.X[40:80], data.C[40:80])
    X, C = data.X[80:], data.C[80:]
    display = CostIntervalDisplay.from_estimator(model, X, C, risk).plot(Figure().subplots())
    found = model.decide(X, risk=risk)
    costs = np.vecdot(found.decisions, C)
    np.testing.assert_allclose(display.costs, costs)
    inside = (costs >= found.low) & (costs <= found.high)
    assert display.coverage == inside.mean() < 1
    assert display.ax_.get_title() == f"ConformalRegret: {100 * inside.mean():.0f} % within"
    expected, true, outside = display.ax_.lines
    np.testing.assert_allclose(expected.get_ydata(), found.expected)
    np.testing.assert_allclose(true.get_ydata(), costs[inside])
    np.testing.assert_allclose(outside.get_ydata(), costs[~inside])
    with pytest.raises(InvalidInputError, match=r"costs of shape \(3,\), expected \(40,\)"):
        CostIntervalDisplay(found, [1, 2, 3])
    alone = CostIntervalDisplay(found).plot(Figure().subplots())
    assert alone.coverage is None
    assert len(alone.ax_.lines) == 1


def test_long_data() -> None:
    data = make_shortest_path(60, grid=(2, 2), noise=0.5, random_state=0)
    X, y = data.C.ravel()[:, None] + 0.1, data.C.ravel()
    days = np.repeat(np.arange(60), 4)
    model = PredictThenOptimizeRegressor(data.oracle).fit(X, y, groups=days)
    risk = ConformalBox(0.2, random_state=0).calibrate(model, X, y, groups=days)
    display = CostIntervalDisplay.from_estimator(model, X, y, risk, groups=days)
    assert display.coverage == 1.0


def test_tails(rng) -> None:
    outcomes = {"a": rng.exponential(size=50), "b": rng.normal(size=30)}
    display = TailDisplay(outcomes, 0.8).plot(Figure().subplots())
    assert display.tails == {name: cvar(values, 0.8) for name, values in outcomes.items()}
    for k, values in enumerate(outcomes.values()):
        curve = display.ax_.lines[2 * k]
        for x, share in zip(curve.get_xdata(), curve.get_ydata(), strict=True):
            assert share == pytest.approx((values >= x).mean())
    data = make_shortest_path(80, random_state=0)
    model = PredictThenOptimizeRegressor(data.oracle).fit(data.X[:40], data.C[:40])
    display = TailDisplay.from_estimators({"m": model}, data.X[40:], data.C[40:])
    regret, _ = model.evaluate(data.X[40:], data.C[40:])
    assert display.tails["m"] == pytest.approx(cvar(regret, 0.9))
    for bad in ({}, {"a": [np.nan]}, {"a": []}):
        with pytest.raises(InvalidInputError):
            TailDisplay(bad)
