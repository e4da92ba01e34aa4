"""Sweeps: what a cell costs beside its computation, and two processes against one.

The overhead is that of cells that compute nothing: planned, sent, sealed and written to the disk.
Two processes are compared with one on cells that solve integer programs by HiGHS, in interleaved
pairs after a start of the processes that does not count.

Run ``python experiments/benchmarks/sweep.py [--write docs/_generated/sweep.md]``.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from _common import report

from dfl_experiments.cells import CellStore
from dfl_experiments.execution import Engine, execute
from dfl_experiments.methods import ExpectedCosts
from dfl_experiments.problems.study import AbstractStudy
from dfl_experiments.runner import Cell

PAIRS = 3
EMPTY_CELLS = 100
MIP_CELLS = 8


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


def table() -> str:
    """Make the table."""
    empty = pairs(Nothing(), EMPTY_CELLS)
    mips = pairs(IntegerPrograms(), MIP_CELLS)
    ratios = [one / two for one, two in zip(*mips, strict=True)]
    each = [1000 * statistics.median(own) / EMPTY_CELLS for own in empty]
    one = 1000 * statistics.median(mips[0]) / MIP_CELLS
    start = time.process_time()
    seconds(Nothing(), range(EMPTY_CELLS), 1)
    processor = 1000 * (time.process_time() - start) / EMPTY_CELLS
    rows = [
        "| what | measured |",
        "|---|---|",
        f"| overhead of a cell, processor time | {processor:.1f} ms |",
        f"| overhead of a cell, one process | {each[0]:.1f} ms |",
        f"| overhead of a cell, two processes | {each[1]:.1f} ms |",
        f"| cells of integer programs ({one:.0f} ms each): speed of two processes against one, "
        f"median of {PAIRS} pairs | {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}) |",
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    report(__doc__, table)
