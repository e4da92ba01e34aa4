"""
Your own model: a file, Gurobi or CVXPY
=======================================

A dairy has a production model, kept in a file for years. Prices of its products are known only
after the week was planned, so somebody predicts them. Can predictions be trained for the plans that
this very model makes, without writing it anew, and is it worth it?
"""

# %%
# The model
# ---------
# Five products share milk, hours and a cold store. Cheese is made in whole vats of 2 tonnes. The
# prices in the objective are placeholders; packing costs of yogurt are known, and stay.

from pathlib import Path
from tempfile import TemporaryDirectory

import cvxpy as cp
import gurobipy as gp
import matplotlib.pyplot as plt
import numpy as np

from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor, metrics
from dfl.plotting import RegretDisplay
from dfl_solvers import Maximize
from dfl_solvers.imports import from_cvxpy, from_file, from_gurobi

products = ["milk", "butter", "cheese", "yogurt", "cream"]
text = """
maximize
 income: milk + butter + cheese + yogurt + cream - 0.2 packing
subject to
 milk_t: milk + 4.5 butter + 4 cheese + 1.1 yogurt + 2.5 cream <= 120
 hours: milk + 5 butter + 9 cheese + 2 yogurt + 2.5 cream <= 190
 store: 0.5 milk + 0.4 butter + 2 cheese + yogurt + 0.6 cream <= 50
 vats: cheese - 2 vat = 0
 cups: packing - yogurt = 0
bounds
 milk <= 60
 butter <= 15
 yogurt <= 25
 cream <= 20
general
 vat
end
"""

# %%
# Three ways in
# -------------
# The file alone; the file read by Gurobi, which then solves it with whatever parameters you set;
# and the same plan in CVXPY. ``costs`` and ``predicted`` say by name what is predicted.

with TemporaryDirectory() as folder:
    path = Path(folder) / "dairy.lp"
    path.write_text(text)
    file = from_file(path, costs=products)
    model = gp.read(str(path), env=gp.Env(params={"OutputFlag": 0}))
    gurobi = from_gurobi(model, costs=[model.getVarByName(name) for name in products])

price, plan, vats = cp.Parameter(5), cp.Variable(5, nonneg=True), cp.Variable(integer=True)
use = np.array([[1, 4.5, 4, 1.1, 2.5], [1, 5, 9, 2, 2.5], [0.5, 0.4, 2, 1, 0.6]])
limits = [use @ plan <= [120, 190, 50], plan[[0, 1, 3, 4]] <= [60, 15, 25, 20], plan[2] == 2 * vats]
goal = cp.Maximize(price @ plan - 0.2 * plan[3])
cvxpy = from_cvxpy(cp.Problem(goal, limits), predicted={"price": price})

# %%
# Weeks of prices
# ---------------
# Six features, such as season and stocks, tell something about prices, but not along a line. The
# three forms of the model must agree on every week:

rng = np.random.default_rng(1)
X = rng.normal(size=(600, 6))
effect = rng.normal(size=(6, 5))
wave = np.tanh(X @ effect) + 0.08 * (X @ effect) ** 2
prices = np.array([1.0, 5.0, 6.5, 1.9, 2.9]) * np.exp(
    0.35 * wave + 0.15 * rng.normal(size=(600, 5))
)
X_test, prices_test = X[400:], prices[400:]

found = {"file": file, "gurobi": gurobi, "cvxpy": cvxpy}
income = {name: oracle.solve(prices_test[:20]).objectives for name, oracle in found.items()}
for name, objectives in income.items():
    gap = np.abs(objectives / income["file"] - 1).max()
    print(f"{name:7} mean income {objectives.mean():.1f}, off by {gap:.0e} at most")

# %%
# Two trainings
# -------------
# From here on it is an oracle like any other. A linear model of prices, by least squares and for
# the plans. Training may cut vats into pieces (``relax``), which is many times faster; both models
# are judged with whole vats.

pieces = Maximize(file.minimizing.relax())
models = {
    "least squares": PredictThenOptimizeRegressor(pieces),
    "SPO+": DecisionFocusedRegressor(pieces, loss="spo+", random_state=0),
}
predicted = {
    name: model.fit(X[:400], prices[:400]).predict(X_test) for name, model in models.items()
}

best = file.solve(prices_test)
plans = {name: file.solve(forecast).decisions for name, forecast in predicted.items()}
lost = {name: best.objectives - file.evaluate(prices_test, plan) for name, plan in plans.items()}
for name, forecast in predicted.items():
    error = np.sqrt(np.mean((forecast - prices_test) ** 2))
    share = 100 * lost[name].sum() / best.objectives.sum()
    print(f"{name:14} root mean squared error {error:.2f}, {share:.1f} % of the income is lost")

difference = metrics.paired_bootstrap(
    lost["SPO+"], lost["least squares"], weights=best.objectives, random_state=0
)
print(difference)

# %%
# The line above is the paired difference, over the same 200 weeks. The picture shows what each
# loses, with intervals of its own, and what the plans have in them.

plt.style.use("tableau-colorblind10")  # colors that all readers can tell apart
_, (left, right) = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
RegretDisplay.from_regrets(lost, best.objectives).plot(left)
left.set_xlabel("income lost, %")
for place, (name, plan) in enumerate({**plans, "in hindsight": best.decisions}.items()):
    right.bar(np.arange(5) + 0.27 * (place - 1), plan.mean(0), 0.27, label=name)
right.set_xticks(range(5), products)
right.set_ylabel("tonnes a week, mean")
right.legend()
plt.show()
