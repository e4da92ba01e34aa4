"""Time of one solve, oracle by oracle, against PyEPO's Gurobi models and the nearest specialist.

A peer gets the same costs. Gurobi's model is built once and re-solved with new costs, which is how
PyEPO trains; specialists that take batches get batches. Rounds are interleaved, and every objective
is compared.

Run ``python experiments/benchmarks/oracles.py [--write docs/_generated/oracles_benchmark.md]``
with the extras ``pyepo`` and ``benchmarks`` installed.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import highspy  # noqa: F401  (must be loaded before the ortools that PyEPO loads)
import numpy as np
from _common import report
from _oracle_cases import cases
from _oracle_cases.case import Case, Peer
from _oracle_cases.peers import resolved

from dfl_solvers import GridShortestPath
from dfl_solvers.kernels import set_threads
from dfl_solvers.oracle import Array, minimizing

ROUNDS = 5
SHORTEST = 0.05  # seconds of a timing


def microseconds(solve: Callable[[Array], Any], costs: Array) -> float:
    """Return the time of one solve; short calls are repeated, as they are in training."""
    calls, spent = 0, 0.0
    start = time.perf_counter()
    while spent < SHORTEST:
        solve(costs)
        calls += 1
        spent = time.perf_counter() - start
    return 1e6 * spent / (calls * len(costs))


def row(case: Case) -> str:
    """Measure one problem, and return its row."""
    found = case.oracle.solve(case.costs).objectives  # compiles, too
    _, sign = minimizing(case.oracle)
    others: dict[str, tuple[Peer, int]] = dict(case.peers)
    if case.gurobi is not None:
        others = {"Gurobi": (resolved(case.gurobi(), sign), case.n_gurobi), **others}
    for name, (peer, n) in others.items():
        theirs = peer(case.costs[:n])
        worse = sign * (found[:n] - theirs) / (1.0 + np.abs(theirs))
        if worse.max() > 1e-5 or (name != "Gurobi" and -worse.min() > 1e-5):
            raise SystemExit(f"{case.name}: {name} and ours differ by {np.abs(worse).max():.2g}")
    own, one, times = [], [], {name: [] for name in others}
    for _ in range(ROUNDS):
        own.append(microseconds(case.oracle.solve, case.costs))
        set_threads(1)
        one.append(microseconds(case.oracle.solve, case.costs))
        set_threads(None)
        for name, (peer, n) in others.items():
            times[name].append(microseconds(peer, case.costs[:n]))
    mine = statistics.median(own)
    median = {name: statistics.median(values) for name, values in times.items()}
    against = [f"{name} {shown(value)} ({ratio(value / mine)})" for name, value in median.items()]
    gurobi = [text for text in against if text.startswith("Gurobi ")]
    rest = [text for text in against if not text.startswith("Gurobi ")]
    cells = [case.name, shown(mine), shown(statistics.median(one))]
    cells += [gurobi[0].removeprefix("Gurobi ") if gurobi else "", ", ".join(rest)]
    return f"| {' | '.join(cells)} |"


def shown(number: float) -> str:
    """Write a time with two digits."""
    return f"{float(f'{number:.2g}'):.2f}" if number < 1 else f"{float(f'{number:.2g}'):,g}"


def ratio(number: float) -> str:
    """Write a ratio with two or three digits."""
    return f"{number:,.0f} x" if number >= 10 else f"{number:.1f} x"


def overhead() -> str:
    """Return what a call costs beyond the kernel at n = 1, in words."""
    from dfl_solvers.problems.shortest_path import _walk

    oracle = GridShortestPath(5, 5)
    costs = np.random.default_rng(0).uniform(1, 2, (1, 40))
    decisions, objectives, status = np.empty((1, 40)), np.empty(1), np.empty(1, np.int8)

    def calls(function: Callable[[], Any]) -> float:
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            for _ in range(2000):
                function()
            times.append((time.perf_counter() - start) / 2000)
        return 1e6 * statistics.median(times)

    whole = calls(lambda: oracle.solve(costs))
    kernel = calls(lambda: _walk(0, 1, costs, decisions, objectives, status, 5, 5))
    return (
        f"One instance alone: a call of `GridShortestPath(5, 5).solve` takes {whole:.1f} "
        f"microseconds, {whole - kernel:.1f} more than its kernel."
    )


def table() -> str:
    """Measure, and return a row per problem."""
    return "\n".join(
        [
            f"Microseconds a solve, float64 unless said, checks included, {os.cpu_count()} cores; "
            f"median of {ROUNDS} interleaved rounds; in brackets how many times slower than ours. "
            f"Gurobi is {version('gurobipy')} through PyEPO {version('pyepo')}, re-solved with new "
            "costs.",
            "",
            "| | dfl | dfl, one thread | Gurobi | others |",
            "|---|---|---|---|---|",
            *(row(case) for case in cases()),
            "",
            overhead(),
        ]
    )


if __name__ == "__main__":
    report(__doc__, table)
