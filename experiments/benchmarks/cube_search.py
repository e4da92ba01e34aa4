"""How often search without any learning solves a Rubik's cube, by particles and depth.

The prior is uniform and all values are zero; an episode has four moves. Run
``python experiments/benchmarks/cube_search.py [--write docs/_generated/cube_search.md]``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from _common import report
from torch import Tensor

from dfl.rl.envs import RubiksCube, play
from dfl.rl.smc import smc_search, uniform_network

EPISODES, MOVES = 1024, 4
# particles and depth; a single particle acts as the prior does
SEARCHES = ((1, 4), (16, 1), (16, 4), (64, 4), (256, 4))


def solved(scrambles: int, n_particles: int, depth: int) -> float:
    """Return the share of episodes that end with a solved cube."""
    cube = RubiksCube(3, scrambles)
    network = uniform_network(cube)

    def decide(state: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        return smc_search(
            cube,
            network,
            state,
            temperature=0.1,
            n_particles=n_particles,
            depth=depth,
            generator=generator,
        ).actions

    generator = torch.Generator().manual_seed(scrambles)
    return play(cube, decide, EPISODES, MOVES, generator=generator).mean().item()


def table() -> str:
    """Measure, and return the result as a table in Markdown."""
    rows = []
    for scrambles in (1, 2, 3):
        cells = [f"{solved(scrambles, *search):.3f}" for search in SEARCHES]
        rows.append(f"| {scrambles} | {' | '.join(cells)} |")
    return "\n".join(
        [
            "| scrambles | at random | 16 particles, depth 1 | 16 particles | 64 particles "
            "| 256 particles |",
            "|---|---|---|---|---|---|",
            *rows,
        ]
    )


if __name__ == "__main__":
    report(__doc__, table)
