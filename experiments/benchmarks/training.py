"""Time of one SPO+ epoch against PyEPO, in one run.

The problem is the standard one: shortest paths on a 5 x 5 grid, 1000 instances, batches of 32, a
linear predictor in torch, Adam; labels solved and validation excluded on both sides. Each pair runs
one after the other, so that a change of the machine's speed meets both.

Run ``python experiments/benchmarks/training.py [--write docs/_generated/training_benchmark.md]``
with the extra ``pyepo`` installed (its Gurobi wheel carries a free license for this size).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import highspy  # noqa: F401  (must be loaded before the ortools that PyEPO loads)
import numpy as np
import torch
from sklearn.utils import Bunch

from dfl import Target, make_loss
from dfl.datasets import make_shortest_path
from dfl.training import TableSource, train

PAIRS = 5
EPOCHS = 5  # of ours, in one timing, since one is short
N, BATCH, RATE = 1000, 32, 1e-2


def draw() -> Bunch:
    """Return the data of both sides; PyEPO draws the same from its seed."""
    return make_shortest_path(N, degree=4, noise=0.5, random_state=0)


def ours() -> Callable[[], float]:
    """Return a function that gives the seconds of one epoch of this library's training loop."""
    data = draw()
    loss = make_loss("spo+", data.oracle)
    target = loss.complete(Target(costs=torch.from_numpy(data.C))).to(torch.float32)
    source = TableSource(torch.from_numpy(data.X).float(), target, BATCH)
    model = torch.nn.Linear(5, 40)

    def epoch() -> float:
        start = time.perf_counter()
        train(model, loss, source, max_iter=EPOCHS, learning_rate=RATE)
        return (time.perf_counter() - start) / EPOCHS

    return epoch


def theirs(solve_ratio: float) -> Callable[[], float]:
    """Return a function that gives the seconds of one epoch of the loop PyEPO's users write."""
    quiet = io.StringIO()
    with (
        contextlib.redirect_stdout(quiet),
        contextlib.redirect_stderr(quiet),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        import pyepo
        from pyepo.model.grb import shortestPathModel

        features, costs = pyepo.data.shortestpath.genData(
            N, 5, (5, 5), deg=4, noise_width=0.5, seed=0
        )
        problem = shortestPathModel((5, 5))
        data = pyepo.data.dataset.optDataset(problem, features, costs)
        loss = pyepo.func.SPOPlus(problem, processes=1, solve_ratio=solve_ratio, dataset=data)
    np.testing.assert_allclose(costs, draw().C, rtol=1e-5, err_msg="the two sides' data differ")
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)
    model = torch.nn.Linear(5, 40)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)

    def epoch() -> float:
        start = time.perf_counter()
        for x, c, w, z in loader:
            value = loss(model(x), c, w, z)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        return time.perf_counter() - start

    return epoch


def table() -> str:
    """Measure, and return the result as a table in Markdown."""
    torch.set_num_threads(1)
    mine = ours()
    peers = {
        f"PyEPO {version('pyepo')} + Gurobi {version('gurobipy')}": theirs(1.0),
        f"PyEPO {version('pyepo')}, approximate (solve_ratio=0.1)": theirs(0.1),
    }
    for warm_up in (mine, *peers.values()):
        warm_up()
    own: list[float] = []
    other: dict[str, list[float]] = {name: [] for name in peers}
    ratios: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(PAIRS):
        for name, peer in peers.items():
            own.append(mine())
            other[name].append(peer())
            ratios[name].append(other[name][-1] / own[-1])
    rows = [f"| dfl, torch loop | {1e3 * statistics.median(own):.1f} | 1 |"]
    rows += [
        f"| {name} | {1e3 * statistics.median(other[name]):.1f} | "
        f"{statistics.median(ratios[name]):.1f} ({min(ratios[name]):.1f}-{max(ratios[name]):.1f}) |"
        for name in peers
    ]
    return "\n".join(
        [
            f"One epoch of SPO+ on the 5 x 5 grid: {N} instances, batches of {BATCH}, linear "
            f"predictor, one torch thread, {os.cpu_count()} cores; {PAIRS} interleaved pairs, "
            "labels and validation excluded.",
            "",
            "| | median, ms | times slower: median (range) |",
            "|---|---|---|",
            *rows,
        ]
    )


def main() -> None:
    """Print the table, and write it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="a Markdown file to write the table to")
    arguments = parser.parse_args()
    result = table()
    print(result)
    if arguments.write:
        arguments.write.parent.mkdir(parents=True, exist_ok=True)
        arguments.write.write_text(result + "\n")


if __name__ == "__main__":
    main()
