"""
Language models: which prompts to label next
============================================

A cheap language model is right most of the time, a dear one more often, and a wrong answer is worse
than none. A router decides for each question: no answer, the cheap model, or the dear one. To learn
that, questions are tried on both models and the answers checked: that is a label, and it costs
money. Which questions to try?
"""

# %%
# Questions, answers and prices
# -----------------------------
# 15 thousand exam questions with the answers that Mixtral 8x7B and GPT-4 gave in 2023. A right
# answer is worth half a cent, a wrong one costs as much, and tokens have their prices. Features are
# simple: length, share of digits, level of the exam. Where the data can neither be found nor
# downloaded, they are made up, and the numbers below mean nothing.

import os

import matplotlib.pyplot as plt
import numpy as np

from dfl import metrics
from dfl.datasets import fetch_llm_routing
from dfl.design import (
    BayesianLinearRegression,
    DOptimal,
    IntegratedDirectionalDesign,
    RandomSampling,
    RegretUncertainty,
    SequentialDesign,
)
from dfl.exceptions import InvalidInputError
from dfl.plotting import LabelCurveDisplay, UncertaintyMapDisplay
from dfl_solvers import Simplex


def questions():
    """Return features (n, 6) of real questions, letters, answers in words, and who is right."""
    data = fetch_llm_routing()
    letters = np.array([len(prompt) for prompt in data.prompts], dtype=float)
    digits = [sum(map(str.isdigit, prompt)) / len(prompt) for prompt in data.prompts]
    level = [
        np.char.find(data.tasks, word) >= 0 for word in ("gsm8k", "school", "college", "profess")
    ]
    return np.column_stack([np.log(letters), digits, *level]), letters, level[0], data.correct


def invented():
    """Return questions of which long ones need the better model."""
    rng = np.random.default_rng(0)
    letters, words = rng.lognormal(5.5, 0.8, 6000), rng.random(6000) < 0.1
    X = np.column_stack(
        [np.log(letters), rng.beta(1, 20, 6000), words, rng.random((6000, 3)) < 0.2]
    )
    right = rng.random((6000, 2)) < np.column_stack([0.8 - 0.1 * words, 0.85 + 0.05 * words])
    return X, letters, words, right.astype(float)


try:
    raw, letters, in_words, correct = questions()
except InvalidInputError as error:
    print(f"made-up questions, since the real ones are missing: {error}")
    raw, letters, in_words, correct = invented()

dollars = np.array([[0.6, 0.6], [10.0, 30.0]])  # per million tokens: of the question, of the answer
tokens = np.column_stack([letters / 4, np.where(in_words, 120, 1)])
costs = 100 * tokens @ dollars.T / 1e6 + 0.5 * (1 - correct) - 0.5 * correct
C = np.column_stack([np.zeros(len(costs)), costs])
X = np.column_stack([np.ones(len(raw)), (raw - raw.mean(0)) / raw.std(0)])
for name, right, cost in zip(("cheap", "dear"), correct.mean(0), costs.mean(0), strict=True):
    print(f"{name:6} right {right:.2f}, {cost:.3f} cents a question")

# %%
# For these prices the two models are worth the same on average: only who sends the right questions
# to each gains anything.
#
# Four ways to ask
# ----------------
# At random; where a wrong choice is likely and would be dear (``RegretUncertainty``); the batch
# that lowers the expected regret of the whole pool most (``IntegratedDirectionalDesign``); and the
# classical D-optimal design. All learn the same linear model, from the same first batch. A seed
# draws a pool of 1500 questions; the rest judge.

oracle = Simplex(3)  # one of three for each question
criteria = {
    "random": (RandomSampling(), "sample"),
    "regret uncertainty": (RegretUncertainty(), "sample"),
    "integrated regret": (IntegratedDirectionalDesign("regret"), "max"),
    "D-optimal": (DOptimal(), "max"),
}
labels = np.arange(20, 321, 20)


def routed(forecast, costs):
    """Return the mean cost of sending each question where the forecast is least."""
    return np.take_along_axis(costs, forecast.argmin(1)[:, None], axis=1).mean()


def study(criterion, selection, seed):
    """Return cents above a router that knows all labels of the pool, by number of labels."""
    rows = np.random.default_rng(seed).permutation(len(X))
    pool, test = rows[:1500], rows[1500:]
    all_labels = np.linalg.lstsq(X[pool], C[pool], rcond=None)[0]
    design = SequentialDesign(
        BayesianLinearRegression(), criterion, oracle, selection=selection, random_state=seed
    )
    costs = []
    for _ in labels:
        asked, _ = design.ask(X[pool], 20)
        design.tell(asked, C[pool[asked]])
        costs.append(routed(design.model.predict(X[test]), C[test]))
    return np.array(costs) - routed(X[test] @ all_labels, C[test]), design, pool


n_seeds = 8 if "CI" in os.environ else 40  # a short version where pages are only tested
found = {name: [study(*how, seed) for seed in range(n_seeds)] for name, how in criteria.items()}
curves = {name: np.array([curve for curve, *_ in runs]) for name, runs in found.items()}
LabelCurveDisplay(labels, curves, "cents a question above all 1500 labels").plot()

# %%
# Is one of them better than random questions? Seeds share pools and first batches, so differences
# are paired:

for name in ("regret uncertainty", "integrated regret", "D-optimal"):
    for count in (60, 160, 320):
        at = list(labels).index(count)
        change = metrics.mean_interval(1000 * (curves[name] - curves["random"])[:, at])
        print(
            f"{name:18} minus random after {count:3} labels: {change.mean:5.1f} "
            f"[{change.low:5.1f}, {change.high:5.1f}] thousandths of a cent"
        )

# %%
# On the real ones, no design is clearly better than random, and with more than a hundred labels two
# are worse, clearly so in the full version with its 40 seeds. These ask for what is rare, which is
# right if the model is; but nothing says that answers follow a line, and odd questions then pull it
# away from the common ones. What matters is to have labels at all: twenty are nearly worth nothing,
# three hundred nearly as much as all. ``llm-routing`` and ``llm-allocation``, the recipes, find no
# clear winner either.
#
# What was asked
# --------------
# Random questions come from where most are. The design asks for what is rare: very short and very
# long questions, and those full of digits.

_, panels = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
for panel, name in zip(panels, ("random", "integrated regret"), strict=True):
    _, design, pool = found[name][0]
    scores = RegretUncertainty().score(design.model, X[pool], oracle)
    place = np.column_stack([letters[pool], 100 * raw[pool, 1]])
    UncertaintyMapDisplay(place, scores, design.indices_, "regret uncertainty, cents").plot(panel)
    panel.set(xscale="log", title=name, xlabel="letters of the question", ylabel="digits, %")
plt.show()
