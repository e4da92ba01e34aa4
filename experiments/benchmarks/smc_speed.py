"""Environment steps a second of policies that learn by search, on Rubik's cube.

The 3x3 cube, 64 environments, 16 particles, depth 4, a network of two layers of 256. Acting alone,
and training with 16 updates of 512 steps for every 1024 steps; on one thread and on two, in turn.
Wall time, the best of some rounds, suffers from whatever else runs; time of the processors, the
median, less so. Run
``python experiments/benchmarks/smc_speed.py [--write docs/_generated/smc_speed.md]``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from _common import report

from dfl.rl.envs import RubiksCube, gather_rows
from dfl.rl.smc import PolicyValueNetwork, SMCPolicyOptimizer, smc_search

ENVIRONMENTS, STEPS, ROUNDS = 64, 16, 5
CUBE = RubiksCube(3, (1, 3), max_steps=12)


def acting() -> None:
    """Act by search, ``STEPS`` times in each environment; episodes that end start anew."""
    generator = torch.Generator().manual_seed(0)
    network = PolicyValueNetwork(324, CUBE.n_actions, generator=generator)
    state = CUBE.reset(ENVIRONMENTS, generator)
    for _ in range(STEPS):
        found = smc_search(CUBE, network, state, temperature=0.5, generator=generator)
        state, _, terminated, truncated = CUBE.step(state, found.actions, generator)
        over = (terminated | truncated).nonzero().squeeze(1)
        fresh = CUBE.reset(ENVIRONMENTS, generator)
        rows = torch.arange(ENVIRONMENTS).index_fill(0, over, 0)
        rows[over] = ENVIRONMENTS + over
        both = {name: torch.cat([state[name], fresh[name]]) for name in state}
        state = gather_rows(both, rows)


def training() -> None:
    """Train for one epoch, which takes as many steps."""
    SMCPolicyOptimizer(max_iter=1, random_state=0).fit(CUBE)


def measured() -> dict[tuple[str, int], tuple[float, float]]:
    """Return steps a second of wall time, at best, and of the processors', by task and threads."""
    tasks: dict[str, Callable[[], None]] = {"acting": acting, "training": training}
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        for name, task in tasks.items():
            for threads in (1, 2):
                torch.set_num_threads(threads)
                wall, processor = time.perf_counter(), time.process_time()
                task()
                wall, processor = time.perf_counter() - wall, time.process_time() - processor
                steps = ENVIRONMENTS * STEPS
                found.setdefault((name, threads), []).append((steps / wall, steps / processor))
    return {
        key: (max(w for w, _ in rates), statistics.median(p for _, p in rates))
        for key, rates in found.items()
    }


def table() -> str:
    """Measure, and return the result as a table in Markdown."""
    acting()  # warm
    training()
    lines = [
        "| | threads | steps a second, at best | steps a second of the processors |",
        "|---|---|---|---|",
    ]
    for (name, threads), (wall, processor) in measured().items():
        lines.append(f"| {name} | {threads} | {wall:,.0f} | {processor:,.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    report(__doc__, table)
