"""Sweeps: what a cell costs beside its computation, two processes against one, and kills.

The overhead is that of cells that compute nothing: planned, sent, sealed and written to the disk.
Two processes are compared with one on cells that solve integer programs by HiGHS, in interleaved
pairs after a start of the processes that does not count. Then a sweep of some 200 cells is ended by
SIGKILL ten times, each time after a random number of further cells, and its table is compared with
that of a sweep that nobody disturbed. There is no ``os.fork`` on Windows.

Run ``python experiments/benchmarks/sweep.py [--write docs/_generated/sweep.md]``.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import pandas as pd
from _common import report

from dfl_experiments.cells import CellStore
from dfl_experiments.execution import Engine, execute
from dfl_experiments.methods import ExpectedCosts
from dfl_experiments.problems.study import AbstractStudy
from dfl_experiments.runner import Cell

PAIRS = 3
EMPTY_CELLS = 100
MIP_CELLS = 8
KILLS = 10
SWEEP = """
name: killed
problems:
  grid: {kind: shortest-path, n_train: 60, n_test: 40, each: {degree: [1, 6]}}
predictors:
  linear: {predictor: linear}
  perceptron: {predictor: mlp}
methods:
  - {name: least squares, estimator: two-stage}
  - name: spo+
    estimator: decision-focused
    max_iter: 5
    tune: {learning_rate: {low: 0.001, high: 1, log: true}}
tuner: optuna
trials: 5
seeds: 0:23
"""

# one process imports, and starts and kills others
KILLER = """
import glob, os, random, signal, sys, time
import dfl.estimators.decision_focused
from dfl_experiments import cli
rng = random.Random(0)
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        os._exit(cli.main(["sweep", "sweep.yaml", "--out", "a", "--n-jobs", "1", "--quiet"]))
    enough = len(glob.glob("a/cells/*.json")) + rng.randint(1, 30)
    while len(glob.glob("a/cells/*.json")) < enough:
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            sys.exit("it ended before it was killed")
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


@final
class Nothing(AbstractStudy):
    """Cells that compute nothing."""

    kind: Literal["nothing"] = "nothing"

    def check(self, methods: Sequence[Any], seed: int) -> None:
        """Nothing to refuse."""

    def compute(self, method: Any, seed: int) -> dict[str, Any]:
        """Return numbers as long as those of 500 test instances."""
        return {"regret": np.random.default_rng(seed).random(500).tolist()}


@final
class IntegerPrograms(AbstractStudy):
    """Cells that solve knapsacks with ten dimensions by HiGHS."""

    kind: Literal["integer-programs"] = "integer-programs"

    def check(self, methods: Sequence[Any], seed: int) -> None:
        """Nothing to refuse."""

    def compute(self, method: Any, seed: int) -> dict[str, Any]:
        """Solve some of them."""
        from dfl_solvers import MixedIntegerProgram, Program

        rng = np.random.default_rng(seed)
        weights = rng.uniform(1, 10, (10, 40))
        oracle = MixedIntegerProgram(
            Program(
                A=weights,
                row_lower=np.full(10, -np.inf),
                row_upper=weights.sum(1) / 2,
                lower=np.zeros(40),
                upper=np.ones(40),
                integrality=np.ones(40, dtype=bool),
            )
        )
        return {"objectives": oracle.solve(-rng.uniform(1, 10, (4, 40))).objectives.tolist()}


def seconds(problem: AbstractStudy, seeds: range, n_jobs: int) -> float:
    """Return the time of computing cells in a new folder."""
    cells = [Cell("problem", problem, ExpectedCosts(), seed) for seed in seeds]
    with tempfile.TemporaryDirectory() as folder:
        store, failures = CellStore(Path(folder) / "cells"), CellStore(Path(folder) / "failures")
        engine = Engine(n_jobs, timeout=600.0, failures=failures)
        # idle processes leave after a while: they are started where they have left
        first = [Cell("start", Nothing(), ExpectedCosts(), 10**6 + k) for k in range(2 * n_jobs)]
        execute(first, store, engine, lambda: None)
        start = time.perf_counter()
        failed = execute(cells, store, engine, lambda: None)
        taken = time.perf_counter() - start
    if failed:
        raise RuntimeError(failed[0].message)
    return taken


def pairs(problem: AbstractStudy, n_cells: int) -> tuple[list[float], list[float]]:
    """Time one process and two, in turns, on the same cells."""
    times: dict[int, list[float]] = {1: [], 2: []}
    for pair in range(-1, PAIRS):
        for n_jobs, own in times.items():
            taken = seconds(problem, range(n_cells), n_jobs)
            if pair >= 0:
                own.append(taken)
    return times[1], times[2]


def killed() -> tuple[int, bool]:
    """Kill a sweep ten times; return its cells, and whether its table is an unbroken one's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sweep.yaml").write_text(SWEEP)
        subprocess.run([sys.executable, "-c", KILLER, str(KILLS)], cwd=folder, check=True)
        for out in ("a", "b"):
            command = [sys.executable, "-m", "dfl_experiments", "sweep", "sweep.yaml", "--quiet"]
            subprocess.run([*command, "--out", out, "--n-jobs", "2"], cwd=folder, check=True)
        first, second = (
            pd.read_parquet(folder / out / "results.parquet").drop(columns="seconds")
            for out in ("a", "b")
        )
        return len(list((folder / "a" / "cells").glob("*.json"))), first.equals(second)


def timed() -> list[str]:
    """Return the rows about times."""
    empty = pairs(Nothing(), EMPTY_CELLS)
    mips = pairs(IntegerPrograms(), MIP_CELLS)
    ratios = [one / two for one, two in zip(*mips, strict=True)]
    each = [1000 * statistics.median(own) / EMPTY_CELLS for own in empty]
    one = 1000 * statistics.median(mips[0]) / MIP_CELLS
    start = time.process_time()
    seconds(Nothing(), range(EMPTY_CELLS), 1)
    processor = 1000 * (time.process_time() - start) / EMPTY_CELLS
    return [
        f"| overhead of a cell, processor time | {processor:.1f} ms |",
        f"| overhead of a cell, one process | {each[0]:.1f} ms |",
        f"| overhead of a cell, two processes | {each[1]:.1f} ms |",
        f"| cells of integer programs ({one:.0f} ms each): speed of two processes against one, "
        f"median of {PAIRS} pairs | {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}) |",
    ]


def killed_row() -> str:
    """Return the row about kills."""
    n_cells, same = killed()
    return (
        f"| sweep of {n_cells} cells, killed {KILLS} times: table of an unbroken sweep, times "
        f"aside | {'the same' if same else 'ANOTHER'} |"
    )


def table() -> str:
    """Make the table."""
    return "\n".join(["| what | measured |", "|---|---|", *timed(), killed_row()])


if __name__ == "__main__":
    report(__doc__, table)
