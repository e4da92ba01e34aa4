"""Training on slow integer programs: one process against two, on real days of tasks and prices.

Twenty days of Irish prices, each with another load file of the ICON challenge, are trained on by
SPO+. Twice the schedules end after 50 ms, with the best that is found by then: on the days of two
loads as they come, most of which are solved sooner, and on the twenty of all days that reach the
limit most often. Once HiGHS solves smaller days to the end, one model a day, as a user would bring
it along. The two sides are timed in interleaved pairs after a fit of each that does not count, so
that processes, models and compiled code are there, and a change of the machine's speed meets both.

Run ``python experiments/benchmarks/slow_mips.py [--write docs/_generated/slow_mips.md]``; it reads
or downloads ``icon_energy.zip``.
"""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

import numpy as np
import torch
from _common import report
from sklearn.utils import Bunch

from dfl import DecisionFocusedRegressor
from dfl.datasets import fetch_energy_prices, fetch_scheduling_days
from dfl_solvers import FromCallable, MixedIntegerProgram, Oracle, Parallel

PAIRS = 5
DAYS = 20
JOBS = 2
TIME_LIMIT = 0.05
# prices that each day is tried with, to see which days are hard
TRIALS = 5


def limited() -> tuple[Oracle, dict[str, np.ndarray], int]:
    """Return hard days under a limit on time, their instance data, and epochs to train."""
    days = fetch_scheduling_days((6, 5), time_limit=TIME_LIMIT)
    return days.oracle, {name: values[:DAYS] for name, values in days.instance.items()}, 5


def hardest(prices: np.ndarray) -> tuple[Oracle, dict[str, np.ndarray], int]:
    """Return the days of all loads that reach the limit most often, as ``limited`` does."""
    days = fetch_scheduling_days(range(1, 9), time_limit=TIME_LIMIT)
    n = len(days.names)
    cut = np.zeros(n)
    for k in range(TRIALS):
        cut += days.oracle.solve(prices[k * n : (k + 1) * n], days.instance).status
    chosen = np.sort(np.argsort(-cut, kind="stable")[:DAYS])
    return days.oracle, {name: values[chosen] for name, values in days.instance.items()}, 5


def to_the_end() -> tuple[Oracle, dict[str, np.ndarray], int]:
    """Return easier days as models of their own in HiGHS, their numbers, and epochs to train."""
    days = fetch_scheduling_days((1, 2))
    models = [
        MixedIntegerProgram(
            days.oracle.program({name: values[i] for name, values in days.instance.items()})
        )
        for i in range(DAYS)
    ]

    def schedule(c: np.ndarray, day: int) -> np.ndarray:
        return models[int(day)].solve(c[None]).decisions[0]

    return FromCallable(schedule, n_costs=48, fields=("day",)), {"day": np.arange(DAYS)}, 2


def fit(oracle: Oracle, instance: dict[str, np.ndarray], epochs: int, data: Bunch) -> Any:
    """Train, and return the seconds that it took and the estimator."""
    rows = slice(48 * DAYS)
    estimator = DecisionFocusedRegressor(
        oracle, max_iter=epochs, early_stopping=False, random_state=0
    )
    start = time.perf_counter()
    estimator.fit(data.X[rows], data.y[rows], groups=data.groups[rows], instance=instance)
    return time.perf_counter() - start, estimator


def row(
    name: str, oracle: Oracle, instance: dict[str, np.ndarray], epochs: int, data: Bunch
) -> str:
    """Measure one case, and return its row."""
    parallel = Parallel(oracle, n_jobs=JOBS)
    for one in (oracle, parallel):
        fit(one, instance, 1, data)
    seconds: tuple[list[float], list[float]] = ([], [])
    interrupted: tuple[list[int], list[int]] = ([], [])
    for _ in range(PAIRS):
        for k, one in enumerate((oracle, parallel)):
            taken, estimator = fit(one, instance, epochs, data)
            seconds[k].append(taken)
            interrupted[k].append(estimator.budget_.interrupted)
    solves = estimator.budget_.instances
    ratios = [a / b for a, b in zip(*seconds, strict=True)]
    one, two = (f"{statistics.median(side):.2f}" for side in seconds)
    cut = " / ".join(f"{statistics.median(side):.0f}" for side in interrupted)
    ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
    return f"| {name} | {epochs} | {solves} | {cut} | {one} | {two} | {ratio} |"


def table() -> str:
    """Measure, and return the result as a table in Markdown."""
    torch.set_num_threads(1)
    data = fetch_energy_prices()
    return "\n".join(
        [
            f"SPO+ on {DAYS} days of Irish prices with {DAYS} load files: one process against "
            f"`Parallel(oracle, n_jobs={JOBS})`, {os.cpu_count()} cores; {PAIRS} interleaved "
            "pairs, medians, and median (range) of the ratios of each pair.",
            "",
            "| | epochs | solves | interrupted, one / two | one, s | two, s | times faster |",
            "|---|---|---|---|---|---|---|",
            row(
                f"loads 6 and 5, `EnergyScheduling` with time_limit={TIME_LIMIT}",
                *limited(),
                data,
            ),
            row(
                f"the hardest days of all loads, likewise with time_limit={TIME_LIMIT}",
                *hardest(data.y.reshape(-1, 48)),
                data,
            ),
            row("loads 1 and 2, each day in HiGHS to the end", *to_the_end(), data),
        ]
    )


if __name__ == "__main__":
    report(__doc__, table)
