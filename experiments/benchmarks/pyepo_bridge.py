"""A PyEPO training script, unchanged but for the line that makes its model.

Both sides are PyEPO: its data set, its SPO+ loss, its regret. One side has PyEPO's model, the
other ``dfl_solvers.imports.to_pyepo`` of this library's oracle. Losses are checked to agree before
anything is timed; the two are timed in interleaved pairs, so that a change of the machine's speed
meets both.

Run ``python experiments/benchmarks/pyepo_bridge.py [--write docs/_generated/pyepo_bridge.md]`` with
the extra ``pyepo`` installed (its Gurobi wheel carries a free license for these sizes).
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import highspy  # noqa: F401  (must be loaded before the ortools that PyEPO loads)
import numpy as np
import torch
from _common import quietly, report

from dfl_solvers.imports import from_pyepo, to_pyepo

PAIRS = 5
BATCH, RATE = 32, 1e-2


@dataclass
class Case:
    """One problem of PyEPO with data from its generator."""

    name: str
    n: int
    build: Callable[[int], tuple[Any, np.ndarray, np.ndarray]]


def cases() -> list[Case]:
    """Return the problems."""
    from pyepo.data import knapsack, portfolio, shortestpath, tsp
    from pyepo.model import grb

    def grid(size: int) -> Callable[[int], tuple[Any, np.ndarray, np.ndarray]]:
        def build(n: int) -> tuple[Any, np.ndarray, np.ndarray]:
            X, C = shortestpath.genData(n, 5, (size, size), deg=4, noise_width=0.5, seed=0)
            return grb.shortestPathModel((size, size)), X, C

        return build

    def sacks(n: int) -> tuple[Any, np.ndarray, np.ndarray]:
        weights, X, C = knapsack.genData(n, 5, 32, dim=3, deg=4, noise_width=0.5, seed=0)
        return grb.knapsackModel(weights, [20.0] * 3), X, C

    def assets(n: int) -> tuple[Any, np.ndarray, np.ndarray]:
        covariance, X, C = portfolio.genData(n, 5, 50, deg=4, noise_level=1, seed=0)
        return grb.portfolioModel(50, covariance), X, C

    def tours(n: int) -> tuple[Any, np.ndarray, np.ndarray]:
        X, C = tsp.genData(n, 10, 10, deg=4, noise_width=0.5, seed=0)
        return grb.tspDFJModel(10), X, C

    return [
        Case("shortest path 5 x 5", 1000, grid(5)),
        Case("shortest path 20 x 20", 1000, grid(20)),
        Case("knapsack, 32 items, 3 capacities of 20", 320, sacks),
        Case("portfolio, 50 assets", 320, assets),
        Case("traveling salesman, 10 cities", 320, tours),
    ]


def script(model: Any, X: np.ndarray, C: np.ndarray, labels: Any) -> Callable[[], np.ndarray]:
    """Return a function that trains for an epoch and gives the losses of its batches."""
    import pyepo

    loss = pyepo.func.SPOPlus(model, processes=1)
    loader = torch.utils.data.DataLoader(labels, batch_size=BATCH)
    torch.manual_seed(0)
    predictor = torch.nn.Linear(X.shape[1], C.shape[1])
    optimizer = torch.optim.Adam(predictor.parameters(), lr=RATE)

    def epoch() -> np.ndarray:
        losses = []
        for x, c, w, z in loader:
            value = loss(predictor(x), c, w, z)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            losses.append(value.item())
        return np.array(losses)

    return epoch


def row(case: Case) -> str:
    """Measure one problem, and return its row."""
    import pyepo

    with quietly():
        theirs, X, C = case.build(case.n)
        ours = to_pyepo(from_pyepo(theirs))
        pyepo.data.dataset.optDataset(ours, X[:2], C[:2])  # compile
        labeling = []
        for model in (theirs, ours):
            start = time.perf_counter()
            labels = pyepo.data.dataset.optDataset(model, X, C)
            labeling.append(time.perf_counter() - start)
        # both sides train on the same labels, since optima may be tied
        epochs = [script(model, X, C, labels) for model in (theirs, ours)]
    first = [epoch() for epoch in epochs]
    gap = float(np.max(np.abs(first[1] - first[0]) / (1 + np.abs(first[0]))))
    seconds: list[list[float]] = [[], []]
    for _ in range(PAIRS):
        for times, epoch in zip(seconds, epochs, strict=True):
            start = time.perf_counter()
            epoch()
            times.append(time.perf_counter() - start)
    ratios = [a / b for a, b in zip(*seconds, strict=True)]
    cells = [
        case.name,
        f"{1e3 * labeling[0]:.0f}",
        f"{1e3 * labeling[1]:.1f}",
        f"{1e3 * statistics.median(seconds[0]):.0f}",
        f"{1e3 * statistics.median(seconds[1]):.0f}",
        f"{statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})",
        f"{gap:.0e}",
    ]
    return f"| {' | '.join(cells)} |"


def table() -> str:
    """Measure, and return the result as a table in Markdown."""
    torch.set_num_threads(1)
    with quietly():
        problems = cases()
    return "\n".join(
        [
            f"An epoch of PyEPO's own SPO+ script, batches of {BATCH}, linear predictor, one torch "
            f"thread, {os.cpu_count()} cores, 1000 instances of the shortest paths and 320 of the "
            f"others; {PAIRS} interleaved pairs; median (range) of the ratios of each pair.",
            "",
            f"| | labels, PyEPO {version('pyepo')} + Gurobi {version('gurobipy')}, ms "
            "| labels, one line changed, ms | epoch, PyEPO, ms | epoch, one line changed, ms "
            "| times faster | largest relative difference of a batch's loss |",
            "|---|---|---|---|---|---|---|",
            *(row(case) for case in problems),
        ]
    )


if __name__ == "__main__":
    report(__doc__, table)
