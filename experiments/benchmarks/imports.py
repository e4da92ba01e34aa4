"""What importing costs beyond torch, in fresh interleaved processes.

Run ``python experiments/benchmarks/imports.py``.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 5
STATEMENTS = (
    "import torch",
    "import torch, dfl",
    "import torch; from dfl import DecisionFocusedRegressor",
)


def seconds(statement: str) -> float:
    """Return the seconds a fresh interpreter takes for a statement."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print a row per statement: the median, and the median of its extra over torch alone."""
    for statement in STATEMENTS:
        seconds(statement)
    rounds = [[seconds(statement) for statement in STATEMENTS] for _ in range(ROUNDS)]
    for i, statement in enumerate(STATEMENTS):
        total = statistics.median(times[i] for times in rounds)
        extra = statistics.median(times[i] - times[0] for times in rounds)
        print(f"{statement:60} {total:6.2f} s   {extra:+.2f} s")


if __name__ == "__main__":
    main()
