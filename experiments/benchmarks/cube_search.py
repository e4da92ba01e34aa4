"""How often search without any learning solves a Rubik's cube, by particles, depth and latency.

The prior is uniform and all values are zero; an episode has four moves. Run
``python experiments/benchmarks/cube_search.py [--write docs/_generated/cube_search.md]``; with
``--write`` the picture ``docs/images/cube_search.png`` is drawn as well, which takes a minute or
two: the share of cubes of two random moves that are solved, by particles for each depth, and by the
milliseconds of one core that a search from 64 cubes at once takes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from _common import report
from torch import Tensor

from dfl.rl.envs import RubiksCube, play
from dfl.rl.smc import smc_search, uniform_network

EPISODES, MOVES = 1024, 4
# particles and depth; a single particle acts as the prior does
SEARCHES = ((1, 4), (16, 1), (16, 4), (64, 4), (256, 4))
# of the picture
PARTICLES, DEPTHS, TIMED, ROUNDS = (4, 16, 64, 256), (1, 2, 4, 8), 64, 5
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "cube_search.png"


def search(
    cube: RubiksCube,
    state: Mapping[str, Tensor],
    n_particles: int,
    depth: int,
    generator: torch.Generator,
) -> Tensor:
    """Act by search, knowing nothing."""
    return smc_search(
        cube,
        uniform_network(cube),
        state,
        temperature=0.1,
        n_particles=n_particles,
        depth=depth,
        generator=generator,
    ).actions


def solved(scrambles: int, n_particles: int, depth: int) -> float:
    """Return the share of episodes that end with a solved cube."""
    cube = RubiksCube(3, scrambles)

    def decide(state: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        return search(cube, state, n_particles, depth, generator)

    generator = torch.Generator().manual_seed(scrambles)
    return play(cube, decide, EPISODES, MOVES, generator=generator).mean().item()


def milliseconds(n_particles: int, depth: int) -> float:
    """Return the time that a search from 64 cubes at once takes of one core, at best."""
    cube, generator = RubiksCube(3, 2), torch.Generator().manual_seed(0)
    state, taken = cube.reset(TIMED, generator), []
    for _ in range(ROUNDS + 1):
        # time of the processor hardly depends on what else runs
        start = time.process_time()
        search(cube, state, n_particles, depth, generator)
        taken.append(1000 * (time.process_time() - start))
    return min(taken[1:])


def draw(path: Path) -> None:
    """Draw the share solved by particles, and by time."""
    from matplotlib.figure import Figure

    from dfl.plotting._axes import color

    torch.set_num_threads(1)
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for place, depth in enumerate(DEPTHS):
        shares = [solved(2, n, depth) for n in PARTICLES]
        times = [milliseconds(n, depth) for n in PARTICLES]
        style = {"marker": "o", "color": color(place), "label": f"depth {depth}"}
        left.plot(PARTICLES, shares, **style)
        right.plot(times, shares, **style)
    left.set_xlabel("particles")
    left.set_ylabel("cubes of 2 random moves solved")
    right.set_xlabel(f"ms of one core for a search from {TIMED} cubes")
    for panel in (left, right):
        panel.set_xscale("log")
        panel.set_ylim(0, 1)
        panel.grid(alpha=0.3)
    left.set_xticks(PARTICLES, [str(n) for n in PARTICLES])
    left.legend()
    figure.savefig(path, dpi=150)


def table() -> str:
    """Measure, and return the result as a table in Markdown."""
    if "--write" in sys.argv:
        draw(PICTURE)
    rows = []
    for scrambles in (1, 2, 3):
        cells = [f"{solved(scrambles, *each):.3f}" for each in SEARCHES]
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
