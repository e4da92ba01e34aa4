"""Sokoban: boxes that are pushed onto goals, in rooms drawn anew in each episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, final

from pydantic import Field, PositiveInt

from dfl_experiments.policies.simulators.base import AbstractSimulatorStudy, labeled
from dfl_experiments.policies.simulators.search import SMC, Shooting, UniformSearch
from dfl_experiments.policies.simulators.unsearched import MPO, PPO, VMPO
from dfl_experiments.policies.study import Score

if TYPE_CHECKING:
    from dfl.rl.envs import BatchedModel


@final
class SokobanStudy(AbstractSimulatorStudy):
    """Solve rooms: 10 for all boxes on goals, 1 for each that comes onto one, -0.1 a step."""

    scores: ClassVar[Mapping[str, Score]] = labeled(
        "return", "return without search", "return in other rooms"
    )
    accepts = (SMC, PPO, MPO, VMPO, Shooting, UniformSearch)

    kind: Literal["sokoban"]
    cells: int = Field(default=6, ge=5)
    """Along a side of a room, the walls around included."""
    boxes: PositiveInt = 1
    steps: PositiveInt = 50
    """Of an episode."""

    @property
    def most_steps(self) -> int:
        """Steps of an episode."""
        return self.steps

    def model(self, judged: bool, seed: int) -> BatchedModel:
        """Make the simulator."""
        from dfl.rl.envs import Sokoban

        del judged, seed
        return Sokoban(self.cells, self.boxes, max_steps=self.steps)
