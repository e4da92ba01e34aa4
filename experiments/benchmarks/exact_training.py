"""Exact SPO+ training against stochastic training and least squares: seconds, risk and regret.

Shortest paths on a 5x5 grid, 1000 rows to train on and 10,000 to test, a linear model. The risk is
the mean SPO+ loss of the training rows, which exact training minimizes; the regret is normalized,
of the test rows.

Run ``python experiments/benchmarks/exact_training.py [--write docs/_generated/exact_training.md]``.
"""

from __future__ import annotations

import os
import time
import warnings
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from _common import report
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Bunch

from dfl import (
    DecisionFocusedRegressor,
    PredictThenOptimizeRegressor,
    SPOPlusLinearRegressor,
    Target,
    make_loss,
)
from dfl.datasets import make_shortest_path

N, N_TEST, DEGREES = 1000, 10_000, (1, 4, 8)
ALPHA = 1e-3


def models(oracle: Any) -> dict[str, Any]:
    """Return the models that are compared."""
    return {
        "least squares": PredictThenOptimizeRegressor(oracle),
        "stochastic, early stopping": DecisionFocusedRegressor(oracle, random_state=0),
        "stochastic, all rows, 100 epochs": DecisionFocusedRegressor(
            oracle, early_stopping=False, random_state=0
        ),
        "bundle": SPOPlusLinearRegressor(oracle),
        "lp (HiGHS)": SPOPlusLinearRegressor(oracle, "lp"),
        "qp (Clarabel)": SPOPlusLinearRegressor(oracle, "qp"),
        f"bundle, l2, alpha={ALPHA:g}": SPOPlusLinearRegressor(oracle, penalty="l2", alpha=ALPHA),
        f"qp, l2, alpha={ALPHA:g}": SPOPlusLinearRegressor(oracle, "qp", penalty="l2", alpha=ALPHA),
    }


def row(degree: int, name: str, model: Any, data: Bunch) -> str:
    """Fit one model, and return its row."""
    X, C, rest = data.X[:N], data.C[:N], slice(N, None)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the gap is in the table
        model.fit(X, C)
    seconds = time.perf_counter() - start
    loss = make_loss("spo+", data.oracle)
    predicted = torch.from_numpy(np.asarray(model.predict(X)))
    risk = float(loss(predicted, Target(costs=torch.from_numpy(C))))
    gap = f"{model.duality_gap_:.0e}" if hasattr(model, "duality_gap_") else ""
    regret = 100 * (1 - model.score(data.X[rest], data.C[rest]))
    return f"| {degree} | {name} | {seconds:.2f} | {gap} | {risk:.6f} | {regret:.2f} |"


def table() -> str:
    """Measure, and return the result as a table in Markdown."""
    torch.set_num_threads(1)
    warm = make_shortest_path(50, random_state=0)
    for model in models(warm.oracle).values():
        row(1, "", model, Bunch(oracle=warm.oracle, X=np.tile(warm.X, (30, 1)),
                                C=np.tile(warm.C, (30, 1))))  # fmt: skip
    rows = []
    for degree in DEGREES:
        data = make_shortest_path(N + N_TEST, degree=degree, noise=0.5, random_state=0)
        rows += [row(degree, name, model, data) for name, model in models(data.oracle).items()]
    return "\n".join(
        [
            f"Shortest paths on a 5x5 grid, noise 0.5, {N} training rows, {N_TEST} test rows, one "
            f"run with one seed; {os.cpu_count()} cores, HiGHS {version('highspy')}, Clarabel "
            f"{version('clarabel')}. Risk: mean SPO+ loss of the training rows, without penalty. "
            "Regret: normalized, of the test rows.",
            "",
            "| degree | training | seconds | relative gap | risk | regret, % |",
            "|---|---|---|---|---|---|",
            *rows,
        ]
    )


if __name__ == "__main__":
    report(__doc__, table)
