"""What importing costs beyond torch, in fresh interleaved processes.

Run ``python experiments/benchmarks/imports.py [--write docs/_generated/imports_benchmark.md]``.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from _common import report

ROUNDS = 7
STATEMENTS = (
    "import torch",
    "import torch, dfl",
    "import torch; from dfl import DecisionFocusedRegressor",
)


def seconds(statement: str) -> float:
    """Return the seconds that a statement takes in a fresh interpreter."""
    script = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    return float(done.stdout)


def table() -> str:
    """Measure, and return a row per statement: its median, and that of its extra over torch."""
    for statement in STATEMENTS:
        seconds(statement)
    rounds = [[seconds(statement) for statement in STATEMENTS] for _ in range(ROUNDS)]
    rows = []
    for i, statement in enumerate(STATEMENTS):
        total = statistics.median(times[i] for times in rounds)
        extra = statistics.median(times[i] - times[0] for times in rounds)
        rows.append(f"| `{statement}` | {total:.2f} | {extra:+.2f} |")
    return "\n".join(
        [
            f"Median of {ROUNDS} interleaved rounds of fresh processes, files in the cache of the "
            "operating system.",
            "",
            "| | seconds | beyond torch |",
            "|---|---|---|",
            *rows,
        ]
    )


if __name__ == "__main__":
    report(__doc__, table)
