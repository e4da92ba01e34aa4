"""SPO+, perturbation gradients, and SPO+ followed by perturbation gradients, at equal epochs.

Shortest paths on the 5x5 grid with a linear predictor. Every method has the same number of epochs,
tries the same learning rates (the perturbation gradient two steps as well) and keeps what has the
smallest validation regret.

Run ``python experiments/benchmarks/warm_start.py [--write docs/_generated/warm_start.md]``.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

import numpy as np
from _common import report

from dfl import DecisionFocusedRegressor
from dfl.datasets import make_shortest_path
from dfl.metrics import paired_bootstrap

EPOCHS, RATES, STEPS = 40, (0.003, 0.01, 0.03), (0.1, 0.5)
DEGREES, ROWS, N_TEST = (4, 6, 8), (100, 1000), 2000
SEEDS = range(10)

Phase = tuple[str, dict[str, float], float]


def fitted(data: Any, n: int, seed: int, phases: list[Phase]) -> tuple[float, float]:
    """Train through phases (loss, parameters, rate); return validation and test regret."""
    model = DecisionFocusedRegressor(data.oracle, warm_start=True, random_state=seed)
    best = np.inf
    for loss, parameters, rate in phases:
        model.set_params(
            loss=loss,
            loss_parameters=parameters,
            learning_rate=rate,
            max_iter=EPOCHS // len(phases),
            n_iter_no_change=EPOCHS,
        ).fit(data.X[:n], data.C[:n])  # the same seed gives the same validation instances
        best = min(entry["validation"] for entry in model.history_)
    return best, 1 - model.score(data.X[n:], data.C[n:])


def compared(degree: int, n: int, seed: int) -> list[float]:
    """Return the test regrets of the three methods, each with what validates best."""
    data = make_shortest_path(n + N_TEST, degree=degree, noise=0.5, random_state=seed)
    first: list[list[Phase]] = [[("spo+", {}, rate)] for rate in RATES]
    second: list[list[Phase]] = [
        [("perturbation-gradient", {"step": step}, rate)] for step in STEPS for rate in RATES
    ]
    # one learning rate for both phases, so that as many are tried as of the second alone
    both = [[("spo+", {}, phases[0][2]), *phases] for phases in second]
    # the first of those that validate alike: a tie is not broken by the test
    return [
        min((fitted(data, n, seed, phases) for phases in tried), key=lambda found: found[0])[1]
        for tried in (first, second, both)
    ]


def table() -> str:
    """Measure, and return the result as a table in Markdown."""
    lines = []
    for degree, n in itertools.product(DEGREES, ROWS):
        found = 100 * np.array([compared(degree, n, seed) for seed in SEEDS]).T
        gaps = [paired_bootstrap(found[2], other, random_state=0) for other in found[:2]]
        means = " | ".join(f"{values.mean():.2f}" for values in found)
        told = " | ".join(f"{g.difference:+.2f} [{g.low:+.2f}, {g.high:+.2f}]" for g in gaps)
        lines.append(f"| {degree} | {n} | {means} | {told} |")
    return "\n".join(
        [
            f"Shortest paths on a 5x5 grid, linear predictor, noise 0.5, {EPOCHS} epochs in all, "
            f"{len(SEEDS)} draws of the data, {N_TEST} test rows; normalized regret in %, paired "
            f"differences with 95 % bootstrap intervals; {os.cpu_count()} cores.",
            "",
            "| degree | rows | `spo+` | `perturbation-gradient` | both in turn | minus `spo+` "
            "| minus `perturbation-gradient` |",
            "|---|---|---|---|---|---|---|",
            *lines,
        ]
    )


if __name__ == "__main__":
    report(__doc__, table)
