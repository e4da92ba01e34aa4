"""Time of one epoch against PyEPO with Gurobi, in the same run: of SPO+, and of a sampled loss.

All train a linear predictor on the same standard data: 1000 instances, batches of 32, Adam; labels
solved and validation excluded on all sides. Of this library there are the compiled steps that
linear predictors get (double precision) and the loop that any torch module gets (single precision).
They and PyEPO are timed in interleaved rounds, one after the other, so that a change of the
machine's speed meets all.

Run ``python experiments/benchmarks/training.py [--write docs/_generated/training_benchmark.md]``
with the extra ``pyepo`` installed (its Gurobi wheel carries a free license for these sizes).
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
from sklearn.utils import Bunch

from dfl import Target, make_loss
from dfl.datasets import (
    make_knapsack,
    make_portfolio,
    make_shortest_path,
    make_traveling_salesman,
)
from dfl.training import TableSource, train
from dfl_solvers import Counting

ROUNDS = 5
EPOCHS = 20  # of ours, in one timing, since one is short
N, BATCH, RATE = 1000, 32, 1e-2
SAMPLED_ON = ("shortest path 5 x 5", "knapsack, 32 items, 3 capacities of 20")
SAMPLED = "perturbed-fenchel-young"
DRAWS = {"n_samples": 10, "sigma": 1.0}


@dataclass
class Case:
    """One problem: our data, and PyEPO's model with the data it draws from the same seed."""

    name: str
    data: Bunch
    peer: Callable[[], tuple[Any, np.ndarray, np.ndarray]]


def cases() -> list[Case]:
    """Return the problems."""

    def grid(size: int) -> Case:
        def peer() -> tuple[Any, np.ndarray, np.ndarray]:
            import pyepo
            from pyepo.model.grb import shortestPathModel

            X, C = pyepo.data.shortestpath.genData(
                N, 5, (size, size), deg=4, noise_width=0.5, seed=0
            )
            return shortestPathModel((size, size)), X, C

        data = make_shortest_path(N, grid=(size, size), degree=4, noise=0.5, random_state=0)
        return Case(f"shortest path {size} x {size}", data, peer)

    def knapsack() -> tuple[Any, np.ndarray, np.ndarray]:
        import pyepo
        from pyepo.model.grb import knapsackModel

        weights, X, C = pyepo.data.knapsack.genData(N, 5, 32, dim=3, deg=4, noise_width=0.5, seed=0)
        return knapsackModel(weights, [20.0] * 3), X, C

    def portfolio() -> tuple[Any, np.ndarray, np.ndarray]:
        import pyepo
        from pyepo.model.grb import portfolioModel

        covariance, X, C = pyepo.data.portfolio.genData(N, 5, 50, deg=4, noise_level=1, seed=0)
        return portfolioModel(50, covariance), X, C

    def salesman() -> tuple[Any, np.ndarray, np.ndarray]:
        import pyepo
        from pyepo.model.grb import tspDFJModel

        X, C = pyepo.data.tsp.genData(N, 10, 10, deg=4, noise_width=0.5, seed=0)
        return tspDFJModel(10), X, C

    return [
        grid(5),
        grid(20),
        Case(
            "knapsack, 32 items, 3 capacities of 20",
            make_knapsack(N, n_dimensions=3, degree=4, noise=0.5, random_state=0),
            knapsack,
        ),
        Case("portfolio, 50 assets", make_portfolio(N, degree=4, random_state=0), portfolio),
        Case(
            "traveling salesman, 10 cities",
            make_traveling_salesman(N, n_cities=10, degree=4, noise=0.5, random_state=0),
            salesman,
        ),
    ]


def ours(
    data: Bunch, compiled: bool, name: str = "spo+", parameters: dict[str, Any] | None = None
) -> Callable[[], tuple[float, float]]:
    """Return a function that gives the seconds of one epoch of this library, and the oracle's."""
    oracle = Counting(data.oracle)
    loss = make_loss(name, oracle, parameters)
    # a layer within a Sequential is any module; alone, it is a linear predictor
    model = torch.nn.Linear(data.X.shape[1], data.C.shape[1])
    model = model.double() if compiled else torch.nn.Sequential(model)
    dtype = torch.float64 if compiled else torch.float32
    costs = torch.from_numpy(data.C)
    labels = loss.complete(Target(costs=loss.sign * costs)).decisions
    target = Target(costs=costs, decisions=labels).to(dtype)
    source = TableSource(torch.from_numpy(data.X).to(dtype), target, BATCH)

    def epoch() -> tuple[float, float]:
        before = oracle.counts.seconds
        start = time.perf_counter()
        train(model, loss, source, max_iter=EPOCHS, learning_rate=RATE)
        seconds = time.perf_counter() - start
        return seconds / EPOCHS, (oracle.counts.seconds - before) / EPOCHS

    return epoch


def theirs(case: Case, solve_ratio: float, sampled: bool = False) -> Callable[[], float]:
    """Return a function that gives the seconds of one epoch of the loop PyEPO's users write."""
    with quietly():
        import pyepo

        problem, X, C = case.peer()
        data = pyepo.data.dataset.optDataset(problem, X, C)
        kind = pyepo.func.perturbedFenchelYoung if sampled else pyepo.func.SPOPlus
        draws = DRAWS if sampled else {}
        loss = kind(problem, processes=1, solve_ratio=solve_ratio, dataset=data, **draws)
    # both are -1 where something is maximized
    factor = getattr(case.data.oracle, "sign", 1) * int(problem.modelSense)
    np.testing.assert_allclose(factor * C, case.data.C, rtol=1e-4, atol=1e-4)
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)
    model = torch.nn.Linear(X.shape[1], C.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)

    def epoch() -> float:
        start = time.perf_counter()
        for x, c, w, z in loader:
            value = loss(model(x), w) if sampled else loss(model(x), c, w, z)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        return time.perf_counter() - start

    return epoch


def row(case: Case) -> str:
    """Measure one problem, and return its row."""
    mine = [ours(case.data, compiled) for compiled in (True, False)]
    peers = [theirs(case, 1.0), theirs(case, 0.1)]
    for warm_up in (*mine, *peers):
        warm_up()
    own: list[list[tuple[float, float]]] = [[], []]
    other: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for times, run in zip(own, mine, strict=True):
            times.append(run())
        for seconds, peer in zip(other, peers, strict=True):
            seconds.append(peer())
    cells = [case.name]
    for times in own:
        cells.append(f"{1e3 * statistics.median(total for total, _ in times):.2f}")
        cells.append(f"{statistics.median(solving / total for total, solving in times):.0%}")
    for seconds in other:
        cells.append(f"{1e3 * statistics.median(seconds):.0f}")
        for times in own:
            ratio = [theirs / total for theirs, (total, _) in zip(seconds, times, strict=True)]
            cells.append(f"{statistics.median(ratio):.1f} ({min(ratio):.1f}-{max(ratio):.1f})")
    return f"| {' | '.join(cells)} |"


def sampled_row(case: Case) -> str:
    """Measure a sampled loss on one problem, and return its row."""
    mine, peer = ours(case.data, False, SAMPLED, DRAWS), theirs(case, 1.0, sampled=True)
    mine(), peer()
    times = [(mine()[0], peer()) for _ in range(ROUNDS)]
    ratios = [theirs / own for own, theirs in times]
    own, other = (1e3 * statistics.median(side) for side in zip(*times, strict=True))
    ratio = f"{statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})"
    return f"| {case.name} | {own:.2f} | {other:.0f} | {ratio} |"


def table() -> str:
    """Measure, and return the result as a table in Markdown."""
    torch.set_num_threads(1)
    return "\n".join(
        [
            f"One epoch of SPO+: {N} instances, batches of {BATCH}, linear predictor, one torch "
            f"thread, {os.cpu_count()} cores; {ROUNDS} interleaved rounds, labels and validation "
            f"excluded; peer: PyEPO {version('pyepo')} + Gurobi {version('gurobipy')}. A ratio is "
            "the median (range) over the rounds of the peer's time over ours. Compiled: what a "
            "linear predictor gets; loop: what any torch module gets.",
            "",
            "| | compiled, ms | of it oracle | loop, ms | of it oracle | peer, ms "
            "| / compiled | / loop | peer, solve_ratio=0.1, ms | / compiled | / loop |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
            *(row(case) for case in cases()),
            "",
            f"The same of `{SAMPLED}` with {DRAWS['n_samples']} draws an instance, all of a "
            "batch in one call of the oracle; the loop.",
            "",
            "| | loop, ms | peer, ms | / loop |",
            "|---|---|---|---|",
            *(sampled_row(case) for case in cases() if case.name in SAMPLED_ON),
        ]
    )


if __name__ == "__main__":
    report(__doc__, table)
