"""Trees, forests and boosting by decision loss, against scikit-learn's and linear models.

Normalized regret on the same test rows. Both forests have 100 trees; the one of scikit-learn is
shown with its own default and with the number of features that our forest looks at. Both trees have
at least five rows a leaf and are pruned by regret over five folds, that of scikit-learn among
sixteen prices of a leaf. Nothing else is tuned; settings were chosen on other seeds.

Run ``python experiments/benchmarks/trees.py [--write docs/_generated/trees.md]``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _common import report
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from dfl import (
    DecisionBoostingRegressor,
    DecisionFocusedRegressor,
    PredictThenOptimizeRegressor,
    SPOForestRegressor,
    SPOTreeRegressor,
    metrics,
)
from dfl.datasets import make_knapsack, make_shortest_path

N, N_TEST, N_TREES = 1000, 10_000, 100
SEEDS = range(10, 20)


def paths(degree: int, noise: float) -> Callable[[int], Any]:
    """Return a function of the seed that draws shortest paths on a 5x5 grid."""
    return lambda seed: make_shortest_path(
        N + N_TEST, degree=degree, noise=noise, random_state=seed
    )


def knapsacks(degree: int, noise: float) -> Callable[[int], Any]:
    """Return a function of the seed that draws knapsacks of 32 items and 2 dimensions."""
    return lambda seed: make_knapsack(
        N + 1000, n_dimensions=2, degree=degree, noise=noise, random_state=seed
    )


PROBLEMS = {
    "path, degree 1, noise 0.5": paths(1, 0.5),
    "path, degree 2, noise 0.5": paths(2, 0.5),
    "path, degree 4, noise 0.5": paths(4, 0.5),
    "path, degree 6, noise 0.5": paths(6, 0.5),
    "path, degree 6, no noise": paths(6, 0.0),
    "knapsack, degree 6, noise 0.5": knapsacks(6, 0.5),
}


def quadratic() -> Any:
    """Return a ridge on polynomials of degree two."""
    return make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge(1.0))


def pruned(oracle: Any) -> Any:
    """Return a tree of scikit-learn, pruned by cross-validated regret."""
    model = PredictThenOptimizeRegressor(
        oracle, DecisionTreeRegressor(min_samples_leaf=5, random_state=0)
    )
    prices = {"regressor__ccp_alpha": [0.0, *np.logspace(-4, 1, 15)]}
    return GridSearchCV(model, prices, cv=5)


# our forest tries at most 16 thresholds where a solve is slow
CANDIDATES = {"knapsack": 16}
METHODS: dict[str, Callable[[Any, int | None], Any]] = {
    "least squares": lambda o, k: PredictThenOptimizeRegressor(o),
    "quadratic ridge": lambda o, k: PredictThenOptimizeRegressor(o, quadratic()),
    "linear SPO+": lambda o, k: DecisionFocusedRegressor(o, random_state=0),
    "tree": lambda o, k: pruned(o),
    "SPO tree": lambda o, k: SPOTreeRegressor(
        o, min_samples_leaf=5, max_candidates=k, random_state=0
    ),
    "forest": lambda o, k: PredictThenOptimizeRegressor(
        o, RandomForestRegressor(N_TREES, random_state=0)
    ),
    "forest, a third of the features": lambda o, k: PredictThenOptimizeRegressor(
        o, RandomForestRegressor(N_TREES, max_features=2, random_state=0)
    ),
    "SPO forest": lambda o, k: SPOForestRegressor(
        o, n_estimators=N_TREES, max_candidates=k, random_state=0
    ),
    "boosting": lambda o, k: DecisionBoostingRegressor(o, random_state=0),
    "boosting from quadratic ridge": lambda o, k: DecisionBoostingRegressor(
        o, init=quadratic(), random_state=0
    ),
}
PAIRS = (
    ("SPO tree", "tree"),
    ("SPO forest", "forest"),
    ("SPO forest", "forest, a third of the features"),
    ("SPO forest", "linear SPO+"),
    ("boosting", "least squares"),
    ("boosting", "linear SPO+"),
    ("boosting", "SPO forest"),
    ("boosting from quadratic ridge", "quadratic ridge"),
)


def measure(problem: str, draw: Callable[[int], Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return normalized regrets (n_seeds, n_methods), and seconds of the fits likewise."""
    regrets, seconds = [], []
    for seed in SEEDS:
        data = draw(seed)
        k = CANDIDATES.get(problem.partition(",")[0])
        train, test = slice(0, N), slice(N, None)
        row, times = [], []
        for make in METHODS.values():
            start = time.perf_counter()
            model = make(data.oracle, k).fit(data.X[train], data.C[train])
            times.append(time.perf_counter() - start)
            row.append(
                metrics.normalized_regret(data.oracle, model.predict(data.X[test]), data.C[test])
            )
        regrets.append(row)
        seconds.append(times)
        sys.stderr.write(f"{problem}, seed {seed}: {np.round(100 * np.array(row), 2)}\n")
    return np.array(regrets), np.array(seconds)


def table() -> str:
    """Measure, and return the result as tables in Markdown."""
    torch.set_num_threads(1)
    found = {problem: measure(problem, draw) for problem, draw in PROBLEMS.items()}
    names = list(METHODS)
    lines = []
    for m, name in enumerate(names):
        cells = " | ".join(f"{100 * regrets[:, m].mean():.2f}" for regrets, _ in found.values())
        lines.append(f"| {name} | {cells} |")
    _, seconds = found["path, degree 6, noise 0.5"]

    def ratio(first: str, second: str) -> str:
        times = seconds[:, names.index(first)] / seconds[:, names.index(second)]
        return f"{np.median(times):.1f} times as long as {second}"

    gaps = []
    for first, second in PAIRS:
        pairs = []
        for regrets, _ in found.values():
            a, b = (100 * regrets[:, names.index(name)] for name in (first, second))
            gap = metrics.mean_interval(a - b)
            pairs.append(f"{gap.mean:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]")
        gaps.append(f"| {first} minus {second} | {' | '.join(pairs)} |")
    head = " | ".join(found)
    rule = "|---|" + "---|" * len(found)
    return "\n".join(
        [
            f"Mean normalized regret in % over {len(SEEDS)} draws of {N} training rows "
            f"({N_TEST} test rows, 1000 for knapsacks), {N_TREES} trees a forest:",
            "",
            f"| method | {head} |",
            rule,
            *lines,
            "",
            "Paired differences in points, with 95 % intervals of Student over the draws; negative "
            "favors the first:",
            "",
            f"| difference | {head} |",
            rule,
            *gaps,
            "",
            "Fits at degree 6 with noise, in the median of the draws: SPO forest takes "
            f"{ratio('SPO forest', 'forest')}, boosting {ratio('boosting', 'linear SPO+')} "
            f"({os.cpu_count()} cores, shared with other work).",
        ]
    )


if __name__ == "__main__":
    report(__doc__, table)
