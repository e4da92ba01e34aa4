"""
Shortest paths: predict, or decide?
===================================

A road network is a grid of 5 x 5 crossings, and we drive from the upper left to the lower right
corner. How long each road takes depends on features such as weather and hour, in a way that a
linear model cannot express. We train the same linear model twice, once to predict travel times well
and once to choose roads well, and compare the paths.
"""

# %%
# The data
# --------
# A row of ``X`` holds what is known before the drive, a row of ``C`` the time on each of the 40
# roads. ``oracle`` finds the fastest path for given times.

import matplotlib.pyplot as plt
import numpy as np

from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor, metrics
from dfl.datasets import make_shortest_path
from dfl.plotting import DecisionDisplay, LearningCurveDisplay, RegretDisplay

data = make_shortest_path(1500, degree=6, noise=0.5, random_state=0)
X, C = data.X[:1000], data.C[:1000]
X_test, C_test = data.X[1000:], data.C[1000:]

# %%
# Two trainings of one model
# --------------------------

models = {
    "least squares": PredictThenOptimizeRegressor(data.oracle),
    "SPO+": DecisionFocusedRegressor(data.oracle, loss="spo+", random_state=0),
}
predicted = {name: model.fit(X, C).predict(X_test) for name, model in models.items()}

# %%
# The accurate model is not the one that decides well:

optimal = metrics.optimal_objectives(data.oracle, C_test)
regret = {
    name: metrics.regret(data.oracle, costs, C_test, optimal=optimal)
    for name, costs in predicted.items()
}
for name, costs in predicted.items():
    error = np.sqrt(np.mean((costs - C_test) ** 2))
    extra = 100 * metrics.normalize(regret[name], optimal)
    print(f"{name:14} root mean squared error {error:.2f}, drives take {extra:.1f} % too long")

# %%
# Is the difference more than luck? Both models drove the same 500 days, so we resample days:

comparison = metrics.paired_bootstrap(
    regret["SPO+"], regret["least squares"], weights=optimal, random_state=0
)
print(comparison)

# %%
# Nobody can know the noise of a single day. Deciding for the true expected times is the least
# regret that features allow:

floor = metrics.normalized_regret(data.oracle, data.mean_costs[1000:], C_test)
display = RegretDisplay.from_estimators(models, X_test, C_test)
RegretDisplay(display.intervals, floor).plot().ax_.set_title("dashed: the least possible")

# %%
# One day
# -------
# The day on which least squares lost most against SPO+. Gray roads are slow in proportion to
# their width.

day = int(np.argmax(regret["least squares"] - regret["SPO+"]))
paths = {name: model.decide(X_test[day : day + 1])[0] for name, model in models.items()}
paths["best in hindsight"] = data.oracle.solve(C_test[day : day + 1]).decisions[0]

_, panels = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for panel, (name, path) in zip(panels, paths.items(), strict=True):
    DecisionDisplay(data.oracle, path, C_test[day], name).plot(panel)

# %%
# How training went
# -----------------
# Regret on a fifth of the training days, which were held out; the weights with the smallest one are
# kept (the dotted line). The linear model starts at least squares.

LearningCurveDisplay.from_estimator(models["SPO+"], "SPO+").plot()
