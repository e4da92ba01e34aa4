"""
Trees: rules that a dispatcher can read
=======================================

A dispatcher sends a courier through a grid of streets and wants rules to hang on the wall, not
coefficients: if there is much rain, then this way. How few questions are enough, and what does it
cost to be so simple?
"""

# %%
# The city
# --------
# What is known: the hour, rain in millimeters, and the crowd at the stadium in thousands. From 15
# to 18 o'clock every street takes three times as long, by far the largest effect, which changes no
# path. Streets in the lower left are fast unless much rain floods them, those in the upper right
# unless there is a match.

import matplotlib.pyplot as plt
import numpy as np
import pandas
from sklearn.tree import DecisionTreeRegressor

from dfl import (
    DecisionFocusedRegressor,
    PredictThenOptimizeRegressor,
    SPOForestRegressor,
    SPOTreeRegressor,
    metrics,
)
from dfl.plotting import DecisionDisplay, RegretDisplay, TreeDisplay
from dfl_solvers import GridShortestPath

grid = GridShortestPath(4, 4)
row, column = np.divmod(grid.edges(), grid.cols)  # of both ends of each street
row, column = row.mean(1), column.mean(1)
lower_left, upper_right = (row > 1.2) & (column < 1.8), (row < 1.8) & (column > 1.2)


def days(n, seed):
    """Return what is known of n days, and minutes (n, 24) on each street."""
    rng = np.random.default_rng(seed)
    hour, rain, match = rng.uniform(6, 22, n), rng.exponential(4, n), rng.random(n) < 0.4
    crowd = np.where(match, rng.uniform(5, 50, n), 0)
    rush = np.where((hour > 15) & (hour < 18), 3, 1) * rng.lognormal(0, 0.2, n)
    streets = 3 - 1.2 * lower_left - 0.9 * upper_right  # minutes without rush, rain or match
    streets = streets + 3 * np.outer(rain > 5, lower_left) + 3 * np.outer(crowd > 15, upper_right)
    X = pandas.DataFrame({"hour": hour, "rain": rain, "crowd": crowd})
    return X, rush[:, None] * streets * rng.lognormal(0, 0.2, streets.shape)


X, C = days(400, seed=0)
X_test, C_test = days(1000, seed=1)

# %%
# Two questions
# -------------
# Two trees of at most two questions in a row. The one of scikit-learn asks where minutes change
# most: for the hour, which every path suffers from. The SPO tree asks where another path becomes
# better, and then drops the questions that are not worth it on held-out days.

models = {
    "regression tree": PredictThenOptimizeRegressor(
        grid, DecisionTreeRegressor(max_depth=2, min_samples_leaf=5, random_state=0)
    ),
    "SPO tree": SPOTreeRegressor(grid, max_depth=2, min_samples_leaf=5, random_state=0),
}
for model in models.values():
    model.fit(X, C)
tree = models["SPO tree"]
asked = models["regression tree"].regressor_.tree_.feature
print("regression tree asks for:", {X.columns[f] for f in asked if f >= 0})
print(tree.export_text())
_, axes = plt.subplots(figsize=(10, 3.6), layout="constrained")
TreeDisplay.from_estimator(tree, digits=2).plot(axes)

# %%
# The paths on the wall
# ---------------------
# One picture a leaf: the mean minutes there as widths, and the path.

leaves = tree.apply(X)
shown = np.unique(leaves)
_, panels = plt.subplots(1, len(shown), figsize=(2.6 * len(shown), 3), layout="constrained")
for panel, leaf in zip(np.atleast_1d(panels), shown, strict=True):
    mean = C[leaves == leaf].mean(0)
    DecisionDisplay(grid, grid.solve(mean[None]).decisions[0], mean, f"leaf {leaf}").plot(panel)
    panel.set_title(f"{(leaves == leaf).sum()} days of 400", fontsize="medium")

# %%
# What simplicity costs
# ---------------------
# The same days, decided by larger trees, a forest, and a linear model trained for decisions.

models |= {
    "regression tree, depth 8": PredictThenOptimizeRegressor(
        grid, DecisionTreeRegressor(max_depth=8, min_samples_leaf=5, random_state=0)
    ),
    "SPO forest": SPOForestRegressor(grid, n_estimators=30, min_samples_leaf=5, random_state=0),
    "linear, SPO+": DecisionFocusedRegressor(grid, random_state=0),
}
regret = {}
for name, model in models.items():
    regret[name], optimal = model.fit(X, C).evaluate(X_test, C_test)
    print(f"{name:24} {100 * metrics.normalize(regret[name], optimal):.1f} % longer than the best")
print(
    "SPO tree minus regression tree:",
    metrics.paired_bootstrap(
        regret["SPO tree"], regret["regression tree"], weights=optimal, random_state=0
    ),
)
display = RegretDisplay.from_regrets(regret, optimal).plot()
display.ax_.set_xlabel("longer than the best path in hindsight, %")
plt.show()
