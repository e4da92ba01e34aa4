"""Time of one solve, oracle by oracle.

Run ``python experiments/benchmarks/oracles.py [--write docs/_generated/oracles_benchmark.md]``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np

from dfl.datasets import make_knapsack, make_portfolio, make_shortest_path
from dfl_solvers import (
    GridShortestPath,
    Knapsack,
    LinearProgram,
    Maximize,
    MixedIntegerProgram,
    Oracle,
    TopK,
)

ROUNDS = 5
SMALL, LARGE = 32, 2048


def problems() -> dict[str, tuple[Oracle, np.ndarray, int]]:
    """Return oracles with costs, and the largest batch to try."""
    rng = np.random.default_rng(0)
    grid = make_shortest_path(LARGE, degree=4, noise=0.5, random_state=0)
    wide = make_shortest_path(LARGE, grid=(20, 20), degree=4, noise=0.5, random_state=0)
    tight = make_knapsack(LARGE, n_items=32, n_dimensions=3, capacity=20, degree=4, random_state=0)
    weights = rng.integers(3, 9, (1, 32)).astype(float)
    half = Maximize(Knapsack(weights, weights.sum(1) / 2))
    stocks = make_portfolio(LARGE, n_assets=50, degree=4, random_state=0)
    small = GridShortestPath(5, 5).program()
    return {
        "TopK, 5 of 100": (TopK(100, 5), rng.normal(size=(LARGE, 100)), LARGE),
        "GridShortestPath 5 x 5": (grid.oracle, grid.C, LARGE),
        "GridShortestPath 20 x 20": (wide.oracle, wide.C, LARGE),
        "Knapsack, 32 items, 3 capacities of 20": (tight.oracle, tight.C, LARGE),
        "Knapsack, 32 items, 1 capacity of half their weight": (half, tight.C, LARGE),
        "Portfolio, 50 assets": (stocks.oracle, stocks.C, LARGE),
        "LinearProgram, the 5 x 5 grid": (LinearProgram(small), grid.C, SMALL),
        "MixedIntegerProgram, the first knapsack": (
            Maximize(MixedIntegerProgram(tight.oracle.minimizing.program())),
            tight.C,
            SMALL,
        ),
    }


def microseconds(oracle: Oracle, costs: np.ndarray) -> float:
    """Return the median time of one solve in a batch."""
    oracle.solve(costs)
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        oracle.solve(costs)
        times.append(time.perf_counter() - start)
    return 1e6 * statistics.median(times) / len(costs)


def shown(number: float) -> str:
    """Write a time with two digits."""
    return f"{float(f'{number:.2g}'):.2f}" if number < 1 else f"{float(f'{number:.2g}'):,g}"


def table() -> str:
    """Measure, and return a row per oracle."""
    rows = []
    for name, (oracle, costs, most) in problems().items():
        small = shown(microseconds(oracle, costs[:SMALL]))
        large = shown(microseconds(oracle, costs)) if most == LARGE else ""
        rows.append(f"| {name} | {small} | {large} |")
    return "\n".join(
        [
            f"Microseconds a solve, float64, checks included, {os.cpu_count()} cores; median of "
            f"{ROUNDS}.",
            "",
            f"| | batches of {SMALL} | batches of {LARGE} |",
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
        arguments.write.write_text(result + "\n")


if __name__ == "__main__":
    main()
