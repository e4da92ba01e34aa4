"""A ring of modes in the plane, of which some are wanted: laws before and after are exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from dfl_experiments.policies.preference.base import AbstractDiffusionStudy
from dfl_experiments.policies.preference.clouds import clouds, points
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
    from dfl.rl.preference.tasks import RingDenoiser, RingReward


@final
@dataclass(frozen=True)
class RingTask:
    """The exact denoiser of a ring beside a small network, and modes that are wanted.

    Attributes
    ----------
    denoiser : RingDenoiser
    scheduler : NoiseSchedule
        Of the sampler.
    reward : RingReward
        Knows the modes.
    shape : tuple of int
        Of one sample.
    """

    denoiser: RingDenoiser
    scheduler: NoiseSchedule
    reward: RingReward
    shape: tuple[int, ...] = (2,)

    def measures(self, samples: Tensor) -> dict[str, float]:
        """Return the reward without noise, and where samples are."""
        import torch

        ring, wanted = self.reward.ring, list(self.reward.modes)
        shares = ring.shares(samples)[wanted]
        centers = ring.centers[ring.mode_of(samples)]
        target = self.reward.target()
        within = shares / shares.sum().clamp(min=1e-12)
        return {
            "reward": float(self.reward(samples).mean()),
            "wanted": float(shares.sum()),
            "covered": float(shares.min()) * len(wanted),
            "entropy": -float(torch.xlogy(within, within).sum()),
            "spread": float(((samples - centers) ** 2).mean().sqrt()) / ring.deviation,
            "density": float(target.log_density(samples).mean()),
        }


@final
class RingStudy(AbstractDiffusionStudy):
    """Draw from some modes of a ring only: the logarithm of the chance to be of one of them.

    Tilted by the exponential of this reward the law is a ring again, in which the others have a
    hundredth of their weight.
    """

    scores: ClassVar[Mapping[str, Score]] = {
        "reward": Score("reward without noise"),
        "told": Score("reward as it is told"),
        "wanted": Score("share of samples in wanted modes"),
        "covered": Score("least share of a wanted mode, times their number"),
        "entropy": Score("entropy among wanted modes, share of the untuned model's"),
        "spread": Score("root mean squared distance from modes, in deviations", None),
        "density": Score("log-density in the exact target"),
        "divergence": Score("divergence of the path, nats", "lower"),
    }
    chosen_by: ClassVar[str] = "density"
    accepts = (Untuned, Stepwise, DiffusionDPO, DDPO, BestOfN, Guidance)

    kind: Literal["ring"]
    wanted: tuple[int, ...] = (0, 1, 4)
    """Modes, numbered from 0 to 7 around the circle."""
    noise: NonNegativeFloat = 0.0
    """Standard deviation of what is added to each reward that is told."""
    queries: PositiveInt = 46_080
    samples: PositiveInt = 4096
    divergence_limit: PositiveFloat = 20.0

    def task(self) -> RingTask:
        """Make the model and the reward without noise."""
        from dfl.rl.preference import NoiseSchedule
        from dfl.rl.preference.tasks import Ring, RingDenoiser

        schedule = NoiseSchedule.linear()
        denoiser = RingDenoiser(schedule, Ring(), random_state=self.base_seed)
        return RingTask(denoiser, schedule, self._reward(0.0, 0))

    def rewarding(self, seed: int) -> Any:
        """Return the reward with its noise."""
        return self._reward(self.noise, seed)

    def scored(self, samples: Tensor, divergence: float, seed: int) -> dict[str, float]:
        """Judge samples beside those of the untuned model from the same noise."""
        task = self.task()
        untuned, _ = self._sampled(task.denoiser, seed)
        found, before = task.measures(samples), task.measures(untuned)
        told = self._reward(self.noise, seed + 1)(samples)
        share = found["entropy"] / before["entropy"]
        return {
            **found,
            "told": float(told.mean()),
            "entropy": share,
            "divergence": divergence,
        }

    def shown(self, samples: Tensor) -> dict[str, Any]:
        """Keep some samples."""
        return points(samples)

    def files(self, cells: Sequence[tuple[str, int, Mapping[str, Any]]]) -> dict[str, bytes]:
        """Draw what each method draws from the same noise, of the first seed."""
        reward = self._reward(0.0, 0)
        centers = reward.ring.centers[list(self.wanted)].tolist()
        return {"samples.png": clouds(cells, centers)}

    def _reward(self, noise: float, seed: int) -> RingReward:
        import torch

        from dfl.rl.preference.tasks import Ring, RingReward

        generator = torch.Generator().manual_seed(seed)
        return RingReward(Ring(), self.wanted, noise=noise, generator=generator)
