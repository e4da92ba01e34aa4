"""Rubik's cube: learned on a few random moves, judged on the most of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, final

from pydantic import PositiveInt

from dfl_experiments.policies.simulators.base import AbstractSimulatorStudy, labeled
from dfl_experiments.policies.simulators.search import SMC, Shooting, UniformSearch
from dfl_experiments.policies.simulators.unsearched import MPO, PPO, VMPO
from dfl_experiments.policies.study import Score

if TYPE_CHECKING:
    from dfl.rl.envs import BatchedModel


@final
class CubeStudy(AbstractSimulatorStudy):
    """Solve cubes; learned on 1 to ``scrambles`` random moves, judged on ``scrambles``."""

    scores: ClassVar[Mapping[str, Score]] = labeled(
        "solved", "solved without search", "solved of those as in training", "solved"
    )
    accepts = (SMC, PPO, MPO, VMPO, Shooting, UniformSearch)

    kind: Literal["rubiks-cube"]
    size: Literal[2, 3] = 3
    scrambles: PositiveInt = 3
    moves: PositiveInt = 12
    """Of an episode."""

    @property
    def most_steps(self) -> int:
        """Moves of an episode."""
        return self.moves

    def model(self, judged: bool, seed: int) -> BatchedModel:
        """Make the cube."""
        from dfl.rl.envs import RubiksCube

        del seed
        scrambles = self.scrambles if judged else (1, self.scrambles)
        return RubiksCube(self.size, scrambles, max_steps=self.moves)
