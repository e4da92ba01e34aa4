"""
S&P 500: does it pay on stocks?
===============================

Every week we choose a portfolio of twenty large stocks. A better model of what to buy would be
worth money, so this is where decision-focused training is often advertised. We train on the years
before 2008, decide every week until 2022, and look for an honest answer.
"""

# %%
# The data
# --------
# What is known at the close of a week: returns over a week, a month and a quarter, and volatility,
# of each stock. The cost of a stock is minus its return of the next week. A portfolio is long only,
# and its variance is at most 2.25 times that of equal weights, by the covariance of the past year.
# The twenty were chosen at the end of the period: they are survivors, and absolute returns flatter
# everybody.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import Ridge

from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor, metrics
from dfl.datasets import load_sp500_weekly
from dfl.plotting import RegretDisplay

data = load_sp500_weekly()
years = data.dates.astype("datetime64[Y]").astype(int) + 1970


def part(rows):
    """Return some weeks as arguments of ``fit``."""
    instance = {name: values[rows] for name, values in data.instance.items()}
    return {"X": data.X[rows], "y": data.C[rows], "instance": instance}


train, test = part(years < 2008), part(years >= 2008)
dates, losses = data.dates[years >= 2008], test["y"]
print(f"{len(train['y'])} weeks to learn from, {len(dates)} to decide in")

# %%
# How much can be known?
# ----------------------
# Very little. Out of the sample, least squares explains less than nothing of next week's returns,
# and strong regularization brings it back to nothing:


def focused(seed):
    """Return a model trained for decisions, from one seed."""
    return DecisionFocusedRegressor(
        data.oracle, "spo+", max_iter=30, early_stopping=False, random_state=seed
    )


models = {
    "least squares": PredictThenOptimizeRegressor(data.oracle),
    "ridge": PredictThenOptimizeRegressor(data.oracle, Ridge(100.0)),
    "SPO+": focused(0),
}
for name, model in models.items():
    model.fit(**train)
    error = losses - model.predict(test["X"])
    explained = 1 - (error**2).sum() / ((losses - train["y"].mean(0)) ** 2).sum()
    print(f"{name:14} explains {100 * explained:6.2f} % of the variance")

# %%
# The decisions
# -------------
# Regret is what a portfolio earned less than the best one in hindsight. Nobody has hindsight, so
# all are near 100 %, and equal weights need no model.

decisions = {
    name: model.decide(test["X"], instance=test["instance"]) for name, model in models.items()
}
decisions["equal weights"] = np.full(losses.shape, 1 / losses.shape[1])
cost = {name: np.vecdot(losses, weights) for name, weights in decisions.items()}
best = metrics.optimal_objectives(data.oracle, losses, instance=test["instance"])
regret = {name: values - best for name, values in cost.items()}
display = RegretDisplay.from_regrets(regret, best).plot()

for name in models:
    difference = metrics.paired_bootstrap(
        regret[name], regret["equal weights"], weights=np.abs(best), random_state=0
    )
    print(f"{name:14} minus equal weights: {difference}")

# %%
# Stop here, and it is a success: SPO+ beats equal weights, and the interval leaves out zero.
#
# The seed did it
# ---------------
# The seed of training only shuffles the weeks. Were there something to learn, it would hardly
# matter:

seeds = {}
for seed in range(4):
    weights = focused(seed).fit(**train).decide(test["X"], instance=test["instance"])
    seeds[f"seed {seed}"] = np.vecdot(losses, weights) - best
    difference = metrics.paired_bootstrap(
        seeds[f"seed {seed}"], regret["equal weights"], weights=np.abs(best), random_state=0
    )
    print(f"SPO+, seed {seed} minus equal weights: {difference}")
RegretDisplay.from_regrets({**seeds, "equal weights": regret["equal weights"]}, best).plot()

# %%
# The interval is about luck with weeks, for one trained model. It knows nothing of other models
# that might have been trained, nor of those that were tried and not shown. The recipe
# ``portfolio-sp500`` trains again every year, and finds no difference in regret or return that is
# more than chance.
#
# What an investor would have seen
# --------------------------------
# Return a year and its risk, where moving the money costs a tenth of a percent of what is traded.
# SPO+ is the one with the lucky seed. Even so, no model has a better ratio of return to risk than
# equal weights, which need no model. Look for gains where costs can be predicted at all, such as
# :doc:`energy prices <plot_energy_scheduling>`.

plt.style.use("tableau-colorblind10")  # colors that all readers can tell apart
_, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
for name, weights in decisions.items():
    traded = np.abs(np.diff(weights, axis=0, prepend=0)).sum(1)
    earned = -cost[name] - 0.001 * traded
    yearly, risk = 52 * earned.mean(), 52**0.5 * earned.std()
    print(
        f"{name:14} {100 * yearly:5.1f} % a year after costs, volatility {100 * risk:.1f} %, "
        f"{100 * traded.mean():.0f} % traded a week, ratio {yearly / risk:.2f}"
    )
    axes.plot(dates, np.cumprod(1 + earned), label=name, linewidth=1.2)
axes.set(yscale="log", ylabel="wealth, begins at 1", xlabel="year")
axes.legend()
plt.show()
