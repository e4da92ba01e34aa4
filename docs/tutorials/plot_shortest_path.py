"""
Predict edge costs, choose paths
================================

A table of features and a table of edge costs; paths are chosen by predicted costs. The predictor
is linear, the truth is a polynomial of degree six: the model is too simple, and it matters where
its errors fall.
"""

# %%
# Data and the two models
# -----------------------
# The last 500 instances are for judging only.

import matplotlib.pyplot as plt
import numpy as np

from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor
from dfl.datasets import make_shortest_path
from dfl.metrics import optimal_objectives, paired_bootstrap, regret

data = make_shortest_path(1500, degree=6, noise=0.5, random_state=0)
train, test = slice(0, 1000), slice(1000, None)

least_squares = PredictThenOptimizeRegressor(data.oracle).fit(data.X[train], data.C[train])
spo_plus = DecisionFocusedRegressor(data.oracle, loss="spo+", random_state=0)
spo_plus.fit(data.X[train], data.C[train])

# %%
# Least squares predicts better, SPO+ decides better
# --------------------------------------------------

errors, regrets = {}, {}
for name, model in (("least squares", least_squares), ("SPO+", spo_plus)):
    predicted = model.predict(data.X[test])
    errors[name] = np.mean((predicted - data.C[test]) ** 2)
    regrets[name] = regret(data.oracle, predicted, data.C[test])
    score = model.score(data.X[test], data.C[test])
    print(f"{name:14} mean squared error {errors[name]:6.2f}, score {score:.3f}")

# %%
# Is the difference real? Resample the test instances, both methods together.

best = optimal_objectives(data.oracle, data.C[test])
comparison = paired_bootstrap(
    regrets["SPO+"], regrets["least squares"], weights=best, random_state=0
)
print("SPO+ minus least squares:", comparison)

# %%
# How it learned
# --------------
# Training starts at least squares; the dashed line is the epoch whose weights were kept.

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
axes.plot([100 * entry["validation"] for entry in spo_plus.history_])
axes.axvline(spo_plus.best_iter_ - 1, color="gray", linestyle="--")
axes.set_xlabel("epoch")
axes.set_ylabel("validation regret, %")
plt.show()
