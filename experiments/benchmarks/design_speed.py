"""Time and memory of choosing rows from a large pool.

A pool of 100,000 rows with 20 features, a committee of 100 linear hypotheses, 50 costs, on the
simplex, so that costs are projected. And ask and tell of a Bayesian linear model on the same pool.
Each row of the table runs in a process of its own, so that its memory is its own.

Run ``python experiments/benchmarks/design_speed.py [--write docs/_generated/design_speed.md]``.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _common import report

from dfl.design import (
    BayesianLinearRegression,
    CommitteeVariance,
    DeltaDirectionalUncertainty,
    DirectionalUncertainty,
    DOptimal,
    FiniteHypothesisClass,
    IntegratedDirectionalDesign,
    L2Uncertainty,
    ResultantUncertainty,
    SequentialDesign,
)
from dfl_solvers import Simplex, kernels

ROWS, FEATURES, MEMBERS, COSTS, REPEATS = 100_000, 20, 100, 50, 3


class Linear:
    """One hypothesis."""

    def __init__(self, coefficients: np.ndarray) -> None:
        self.coefficients = coefficients

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return costs, (n, p) to (n, d)."""
        return X @ self.coefficients


def world() -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Return a pool, coefficients, and the generator they come from."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, FEATURES)), rng.normal(size=(FEATURES, COSTS)), rng


def scoring(criterion: Any) -> Callable[[], float]:
    """Return a function that measures the seconds of scoring the pool once."""
    X, truth, rng = world()
    noise = 0.5 * rng.normal(size=(MEMBERS, *truth.shape))
    model = FiniteHypothesisClass([Linear(truth + own) for own in noise])

    def once() -> float:
        start = time.perf_counter()
        criterion.score(model, X, Simplex(COSTS))
        return time.perf_counter() - start

    criterion.score(model, X[:1000], Simplex(COSTS))  # compiles
    return once


def asking(criterion: Any, selection: Any) -> Callable[[], float]:
    """Return a function that measures the seconds of one ask and one tell."""
    X, truth, _ = world()
    design = SequentialDesign(
        BayesianLinearRegression(), criterion, Simplex(COSTS), random_state=0, selection=selection
    )

    def once() -> float:
        start = time.perf_counter()
        indices, _ = design.ask(X)
        design.tell(indices, X[indices] @ truth)
        return time.perf_counter() - start

    indices, _ = design.ask(X, 30)
    design.tell(indices, X[indices] @ truth)
    once()
    return once


JOBS: dict[str, Callable[[], Callable[[], float]]] = {
    "score, `DirectionalUncertainty()`": lambda: scoring(DirectionalUncertainty()),
    'score, `DirectionalUncertainty("bound")`': lambda: scoring(DirectionalUncertainty("bound")),
    "score, `ResultantUncertainty()`": lambda: scoring(ResultantUncertainty()),
    "score, `DeltaDirectionalUncertainty()`": lambda: scoring(DeltaDirectionalUncertainty()),
    "score, `L2Uncertainty()`": lambda: scoring(L2Uncertainty()),
    "score, `CommitteeVariance()`": lambda: scoring(CommitteeVariance()),
    "ask + tell, `DOptimal()`": lambda: asking(DOptimal(), "max"),
    "ask + tell, `IntegratedDirectionalDesign()`": lambda: asking(
        IntegratedDirectionalDesign(), "max"
    ),
    "ask + tell, `DeltaDirectionalUncertainty()`": lambda: asking(
        DeltaDirectionalUncertainty(), "sample"
    ),
}


def measure(name: str) -> str:
    """Measure one row of the table."""
    once = JOBS[name]()
    times, cpu = [], time.process_time()
    for _ in range(REPEATS):
        times.append(once())
    busy = (time.process_time() - cpu) / REPEATS
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    peak /= 1024 if sys.platform == "darwin" else 1
    return f"| {name} | {np.median(times):.2f} | {min(times):.2f} | {busy:.2f} | {peak:.0f} |"


def table() -> str:
    """Measure, and return the result as a table in Markdown."""
    rows = []
    load = os.getloadavg()[0]
    for name in JOBS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(measure, (name,)))
    return "\n".join(
        [
            f"A pool of {ROWS:,} rows, {FEATURES} features, {COSTS} costs; the committee has "
            f"{MEMBERS} linear members, whose predictions are part of the time. {os.cpu_count()} "
            f"cores, {kernels.n_threads()} threads, {REPEATS} runs, with {load:.0f} other "
            "processes running at the start. Processor seconds are those of all threads together, "
            "which other processes hardly change; MiB are the largest size of the whole process.",
            "",
            "| | seconds, median | best | processor seconds | MiB |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


if __name__ == "__main__":
    report(__doc__, table)
