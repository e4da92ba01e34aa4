"""
Knapsacks: when the weights are unknown
=======================================

A truck is loaded before anybody knows what the parcels weigh. What each of them brings is agreed,
the load limit is known; weights depend on features such as season and sender. Parcels that turn out
not to fit are left behind, and that costs money. We predict weights so that little is lost in the
end, which is not the same as predicting weights well.
"""

# %%
# The data
# --------
# A row of ``X`` holds what is known before loading, a row of ``y`` the weights of the 16 parcels.
# ``costs`` are their values. ``oracle`` loads the truck for given weights.

import matplotlib.pyplot as plt
import numpy as np

from dfl import ConstraintRegressor, TwoStageConstraintRegressor, metrics
from dfl.datasets import make_knapsack_weights
from dfl_solvers import Discard, Reoptimize

data = make_knapsack_weights(1400, random_state=0)
X, y = data.X[:400], data.y[:400]
X_test, y_test = data.X[400:], data.y[400:]

# %%
# What happens afterwards
# -----------------------
# A recourse says what is done once the truth is known, and at which price. Here parcels are left
# behind, those first that bring least for their room, and the sender of each is paid half of its
# value.

recourse = Discard(drop=0.5)
problem = (data.oracle, data.predicts, recourse, data.costs)

expected = TwoStageConstraintRegressor(*problem, margins=[1.0]).fit(X, y)
decided = expected.decide(X_test)
worst = int(np.argmax((y_test * decided).sum(axis=1)))
day, limit = slice(worst, worst + 1), data.oracle.minimizing.capacities[0]
truth = {"weights": y_test[day, None]}
final = recourse.settle(data.oracle, decided[day], data.costs[None], truth)
best = data.oracle.solve(data.costs[None], truth)
shown = {"loaded": decided[day], "in the end": final.decisions, "best": best.decisions}
for name, decisions in shown.items():
    weight = (y_test[day] * decisions).sum()
    print(f"{name:10} {int(decisions.sum()):2} parcels of weight {weight:5.1f} (limit {limit:.1f})")
print(f"the worst day brings {final.objectives[0]:.1f}, at best {best.objectives[0]:.1f}")

# %%
# Three ways to predict
# ---------------------
# Expected weights by least squares; the same times a margin, which cross-validation chooses by the
# regret in the end; and training for that regret itself, by the score function: weights are drawn
# around the prediction, and those that cost little are made more likely.

models = {
    "least squares": expected,
    "least squares, margin": TwoStageConstraintRegressor(*problem, random_state=0),
    "post-hoc regret": ConstraintRegressor(
        *problem, sigma=0.2, learning_rate=3e-3, max_iter=60, random_state=0
    ),
}
for name, model in models.items():
    model.fit(X, y)
    error = np.sqrt(np.mean((model.predict(X_test) - y_test) ** 2))
    lost = 100 * (1 - model.score(X_test, y_test))
    print(f"{name:22} root mean squared error {error:.2f}, {lost:.1f} % of the value is lost")

print("margin:", models["least squares, margin"].margin_)

# %%
# Is the difference more than luck? All models loaded the same 1000 trucks:

regret = {name: model.evaluate(X_test, y_test)[0] for name, model in models.items()}
optimal = models["post-hoc regret"].evaluate(X_test, y_test)[1]
print(
    metrics.paired_bootstrap(
        regret["post-hoc regret"],
        regret["least squares, margin"],
        weights=optimal,
        random_state=0,
    )
)

# %%
# How much margin?
# ----------------
# The price of a mistake decides. If parcels may be exchanged for little, the factor hardly matters;
# if those left behind cost half of their value, it pays to be bold and to load by weights that are
# too small; if they cost twice their value, expected weights themselves do best, and less is dear.

margins = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 2.0])
rules = {
    "exchange for a tenth": Reoptimize(add=0.1, drop=0.1),
    "leave behind for half": Discard(drop=0.5),
    "leave behind for twice the value": Discard(drop=2.0),
}
predicted = expected.predict(X_test)
plt.style.use("tableau-colorblind10")  # colors that all readers can tell apart
_, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, rule in rules.items():
    lost = [
        100
        * metrics.normalize(
            metrics.post_hoc_regret(
                data.oracle,
                margin * predicted,
                y_test,
                data.costs,
                predicts="weights",
                recourse=rule,
                optimal=optimal,
            ),
            optimal,
        )
        for margin in margins
    ]
    (line,) = axes.plot(margins, lost, marker=".", label=name)
    axes.plot(margins[np.argmin(lost)], min(lost), "o", color=line.get_color())
axes.set(xlabel="factor on the expected weights", ylabel="% of the value lost", ylim=(0, 30))
axes.legend(loc="upper center")
