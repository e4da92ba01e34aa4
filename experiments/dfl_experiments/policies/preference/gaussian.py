"""A normal law whose mean is to be moved: everything about the untuned model is exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from dfl_experiments.policies.preference.base import AbstractDiffusionStudy
from dfl_experiments.policies.preference.clouds import clouds, points
from dfl_experiments.policies.preference.exact_verdict import verdict
from dfl_experiments.policies.preference.methods import (
    DDPO,
    BestOfN,
    DiffusionDPO,
    Guidance,
    Stepwise,
    Untuned,
)
from dfl_experiments.policies.study import Score

if TYPE_CHECKING:
    from torch import Tensor

    from dfl.rl.preference import NoiseSchedule
    from dfl.rl.preference.tasks import DistanceReward, GaussianDenoiser


@final
@dataclass(frozen=True)
class GaussianTask:
    """The exact denoiser of a normal law with a bias for each time, and a center to come to.

    Attributes
    ----------
    denoiser : GaussianDenoiser
    scheduler : NoiseSchedule
        Of the sampler.
    reward : DistanceReward
        Minus the mean squared distance to the center.
    shape : tuple of int
        Of one sample.
    """

    denoiser: GaussianDenoiser
    scheduler: NoiseSchedule
    reward: DistanceReward
    shape: tuple[int, ...]

    def measures(self, samples: Tensor) -> dict[str, float]:
        """Return the reward without noise, and the mean distance of two samples."""
        from torch.nn.functional import pdist

        return {
            "reward": float(self.reward(samples).mean()),
            "distance": float(pdist(samples[:1000]).mean()),
        }


@final
class GaussianStudy(AbstractDiffusionStudy):
    """Move the mean of a standard normal law: minus the mean squared distance to a center.

    No shift of the mean can come to a reward above minus the variance that the sampler gives each
    coordinate, about -0.71 for 20 steps.
    """

    scores: ClassVar[Mapping[str, Score]] = {
        "reward": Score("reward without noise"),
        "told": Score("reward as it is told"),
        "divergence": Score("divergence of the path, nats", "lower"),
        "distance": Score("distance of two samples, share of the untuned model's"),
    }
    chosen_by: ClassVar[str] = "reward"
    accepts = (Untuned, Stepwise, DiffusionDPO, DDPO, BestOfN, Guidance)

    kind: Literal["gaussian"]
    dimension: PositiveInt = 16
    center: float = 2.0
    """Of the first coordinate; the others are to stay at zero."""
    noise: NonNegativeFloat = 0.0
    """Standard deviation of what is added to each reward that is told."""
    queries: PositiveInt = 46_080
    samples: PositiveInt = 4096
    divergence_limit: PositiveFloat = 20.0

    def task(self) -> GaussianTask:
        """Make the model and the reward without noise."""
        from dfl.rl.preference import NoiseSchedule
        from dfl.rl.preference.tasks import GaussianDenoiser

        schedule = NoiseSchedule.linear()
        shape = (self.dimension,)
        denoiser = GaussianDenoiser(schedule, schedule.times(self.n_steps), shape=shape)
        return GaussianTask(denoiser, schedule, self._reward(0.0, 0), shape)

    def rewarding(self, seed: int) -> Any:
        """Return the reward with its noise."""
        return self._reward(self.noise, seed)

    def scored(self, samples: Tensor, divergence: float, seed: int) -> dict[str, float]:
        """Judge samples beside those of the untuned model from the same noise."""
        task = self.task()
        untuned, _ = self._sampled(task.denoiser, seed)
        found, before = task.measures(samples), task.measures(untuned)
        return {
            "reward": found["reward"],
            "told": float(self._reward(self.noise, seed + 1)(samples).mean()),
            "divergence": divergence,
            "distance": found["distance"] / before["distance"],
        }

    def shown(self, samples: Tensor) -> dict[str, Any]:
        """Keep the first two coordinates of some samples."""
        return points(samples)

    def files(self, cells: Sequence[tuple[str, int, Mapping[str, Any]]]) -> dict[str, bytes]:
        """Draw what each method draws from the same noise, of the first seed; say what it shows."""
        said = verdict(cells, self.divergence_limit, self.noise > 0)
        text = "".join(f"- {line}\n" for line in said)
        return {"samples.png": clouds(cells, [(self.center, 0.0)]), "verdict.md": text.encode()}

    def _reward(self, noise: float, seed: int) -> DistanceReward:
        import torch

        from dfl.rl.preference.tasks import DistanceReward

        center = torch.zeros(self.dimension)
        center[0] = self.center
        return DistanceReward(center, noise, torch.Generator().manual_seed(seed))
