"""
Portfolios: how bad can it get?
===============================

Every week we choose a portfolio of twenty large stocks, whose returns can hardly be predicted. What
a decision is expected to earn says little then; how much it may lose says more. Each tool of
``dfl.risk`` gives a decision, what to expect of it, and an interval.
"""

# %%
# The data
# --------
# Costs are next week's losses. The model learns on the years until 2007, the tools are calibrated
# on those until 2014, and all are judged on every fourth week since: data that drift, so that
# promises which rest on exchangeable instances are on trial.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import Ridge

from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor, make_loss, metrics
from dfl.datasets import load_sp500_weekly
from dfl.plotting import CostIntervalDisplay, TailDisplay
from dfl.risk import (
    ConformalBox,
    ConformalEllipsoid,
    ConformalRegret,
    CVaR,
    CVaRLoss,
    ForestWeights,
    GaussianCVaR,
    NeighborWeights,
    WeightedSampleAverage,
)
from dfl_solvers import Newsvendor

data = load_sp500_weekly()
years = data.dates.astype("datetime64[Y]").astype(int) + 1970
first, second = (int((years < year).sum()) for year in (2008, 2015))


def part(start, stop, step=1):
    """Return the weeks of some years as arguments of ``fit``."""
    rows = slice(start, stop, step)
    instance = {name: values[rows] for name, values in data.instance.items()}
    return {"X": data.X[rows], "y": data.C[rows], "instance": instance}


past, middle, late = part(0, first), part(first, second), part(second, None, 4)
X, C, instance = late["X"], late["y"], late["instance"]
model = PredictThenOptimizeRegressor(data.oracle, Ridge(100.0)).fit(**past)

# %%
# What the next decision will cost and lose
# -----------------------------------------
# ``ConformalRegret`` leaves decisions as they are. Nine weeks out of ten should be within.

report = ConformalRegret(alpha=0.1).calibrate(model, **middle)
display = CostIntervalDisplay.from_estimator(model, X, C, report, instance=instance).plot()
regret, _ = model.evaluate(X, C, instance=instance)
below = np.mean(regret <= report.regret_bound_)
print(f"regret is at most {report.regret_bound_:.3f} in {below:.0%} of the weeks")

# %%
# Decisions for the worst losses of a box, or of an ellipsoid
# -----------------------------------------------------------
# The true losses of all stocks should be in the set nine weeks out of ten. In a box all are at
# their worst at once; an ellipsoid knows that they are not, and spreads the portfolio.

sets = [ConformalBox(0.1, random_state=0), ConformalEllipsoid(0.1, random_state=0)]
_, panels = plt.subplots(2, 1, figsize=(7, 6), layout="constrained", sharey=True)
for panel, risk in zip(panels, sets, strict=True):
    risk.calibrate(model, **middle)
    CostIntervalDisplay.from_estimator(model, X, C, risk, instance=instance).plot(panel)
    print(f"{type(risk).__name__}: losses inside {risk.contains(**late).mean():.0%} of the weeks")

# %%
# Decisions for the worst tenth of the outcomes
# ---------------------------------------------
# Scenarios are the errors of the model, or what followed the weeks that were most alike; or losses
# are taken to be normal. Each curve shows how many weeks lost at least that much.

rules = {
    "CVaR, errors": CVaR(0.9, n_scenarios=200, random_state=0),
    "CVaR, neighbors": CVaR(0.9, NeighborWeights(100), random_state=0),
    "CVaR, normal": GaussianCVaR(0.9),
}
losses = {"no rule": np.vecdot(C, model.decide(X, instance=instance))}
for name, risk in rules.items():
    found = model.decide(X, instance=instance, risk=risk.calibrate(model, **middle))
    losses[name] = np.vecdot(C, found.decisions)
TailDisplay(losses, label="loss in a week").plot()

# %%
# Training for the worst tenth of the losses
# ------------------------------------------
# ``CVaRLoss`` makes any loss look at its worst values. Weekly returns give training little to hold
# on to: whether the tail of the regret is any shorter has to be seen.

spo_plus = make_loss("spo+", data.oracle)
trained = {
    name: DecisionFocusedRegressor(
        data.oracle, loss, max_iter=20, early_stopping=False, random_state=0
    ).fit(**past)
    for name, loss in {"mean of SPO+": spo_plus, "CVaR of SPO+": CVaRLoss(spo_plus, 0.9)}.items()
}
display = TailDisplay.from_estimators(trained, X, C, instance=instance).plot()

# %%
# Reserves: a forecast is not a decision
# --------------------------------------
# How much to hold against next week's loss of each stock, if a percent too little costs nine times
# as much as one too many? The expected loss is far too little. Volatility says which weeks of the
# past were alike, and the weighted samples say what to hold.

volatility, loss = 100 * data.X[:, 60:], 100 * np.maximum(data.C, 0)
oracle = Newsvendor(np.ones((1, 20)), shortage=9.0, holding=1.0)
reserves = WeightedSampleAverage(oracle, ForestWeights(random_state=0), "demand")
reserves.fit(volatility[:second], loss[:second])
found = reserves.decide(volatility[second:], costs=np.zeros(20))
forecast = reserves.weights_.weights(volatility[second:]) @ loss[:second]
costs = {
    name: (9 * np.maximum(loss[second:] - w, 0) + np.maximum(w - loss[second:], 0)).sum(axis=1)
    for name, w in {"point forecast": forecast, "weighted samples": found.decisions}.items()
}
TailDisplay(costs, label="cost of the reserves in a week").plot()
print(metrics.mean_interval(costs["weighted samples"] - costs["point forecast"]))
