"""The pendulum that is swung up by a torque: continuous actions."""

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
class PendulumStudy(AbstractSimulatorStudy):
    """Swing up a pendulum, as in ``Pendulum-v1`` of Gymnasium."""

    scores: ClassVar[Mapping[str, Score]] = labeled(
        "return", "return without search", "return in other episodes"
    )
    accepts = (SMC, PPO, MPO, VMPO, Shooting, UniformSearch)

    kind: Literal["pendulum"]
    steps: PositiveInt = 200
    """Of an episode."""

    @property
    def most_steps(self) -> int:
        """Steps of an episode."""
        return self.steps

    def model(self, judged: bool, seed: int) -> BatchedModel:
        """Make the pendulum."""
        from dfl.rl.envs import Pendulum

        del judged, seed
        return Pendulum(max_steps=self.steps)
