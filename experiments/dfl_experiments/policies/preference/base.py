"""What studies of diffusion models share: how samples are drawn and judged."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from dfl.exceptions import InvalidInputError
from dfl_experiments.policies.study import AbstractPolicyStudy

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from dfl.rl.preference import DDIMTransition

# samples that are judged come from seeds beyond those of training
_JUDGED = 10_000


class DiffusionTask(Protocol):
    """A diffusion model, what rewards its samples, and how they are measured."""

    @property
    def denoiser(self) -> nn.Module:
        """The untuned model."""
        ...

    @property
    def scheduler(self) -> Any:
        """The schedule of the noise that it removes."""
        ...

    @property
    def reward(self) -> Any:
        """Gives each sample of a batch a number."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        ...

    def measures(self, samples: Tensor) -> dict[str, float]:
        """Return numbers by name, ``reward`` among them."""
        ...


class AbstractDiffusionStudy(AbstractPolicyStudy):
    """A diffusion model to be tuned with a number of reward queries.

    A leaf gives ``scores``, among them ``reward``, ``divergence`` (of the sampler's path from that
    of the untuned model, in nats) and ``chosen`` (the reward, less what the divergence is above
    ``divergence_limit``, by which settings are chosen), and writes ``task``.
    """

    axes: ClassVar[Mapping[str, str]] = {"reward_queries": "reward queries"}
    chosen_by: ClassVar[str] = "chosen"

    queries: PositiveInt = 23_040
    """Of the reward, that a method may spend."""
    samples: PositiveInt = Field(default=512, ge=2)
    """That each method is judged by; a seed has the same noise for all methods."""
    n_steps: PositiveInt = 20
    """Of the sampler."""
    divergence_limit: PositiveFloat = 20.0
    """Of a path from that of the untuned model, in nats."""
    base_seed: NonNegativeInt = 0
    """Of the model that is tuned, the same for all seeds."""

    @abstractmethod
    def task(self) -> DiffusionTask:
        """Make the task."""

    def rewarding(self, seed: int) -> Any:
        """Return the reward that a method with some seed is told; samples are judged apart."""
        del seed
        return self.task().reward

    def transition(self) -> DDIMTransition:
        """Return the steps of the sampler."""
        from dfl.rl.preference import DDIMTransition

        return DDIMTransition.of(self.task().scheduler, self.n_steps)

    def generator(self, seed: int) -> torch.Generator:
        """Return what seeds the samples that a method with some seed is judged by."""
        import torch

        return torch.Generator().manual_seed(_JUDGED + seed)

    def judged(self, denoiser: nn.Module, seed: int) -> tuple[dict[str, float], dict[str, Any]]:
        """Sample from a denoiser; return the scores, and what pictures are made of."""
        samples, divergence = self._sampled(denoiser, seed)
        return self.scored(samples, divergence, seed), self.shown(samples)

    def shown(self, samples: Tensor) -> dict[str, Any]:
        """Return what of the samples pictures are made of; nothing by default."""
        del samples
        return {}

    def scored(self, samples: Tensor, divergence: float, seed: int) -> dict[str, float]:
        """Judge samples whose path is so far from that of the untuned model."""
        del seed
        found = self.task().measures(samples)
        chosen = found["reward"] - max(divergence - self.divergence_limit, 0.0)
        return {**found, "divergence": divergence, "chosen": chosen}

    def _sampled(self, denoiser: nn.Module, seed: int) -> tuple[Tensor, float]:
        """Return samples, and the mean divergence of their paths, in nats."""
        import torch

        from dfl.rl.preference import sample
        from dfl.rl.preference.learner import predict

        task, transition = self.task(), self.transition()
        apart = [0.0]
        steps = iter(range(len(transition)))

        class Watched(torch.nn.Module):
            """The denoiser, and how far it is from the untuned one at each step."""

            def __init__(self) -> None:
                super().__init__()
                self.inner = denoiser

            def forward(self, x: Tensor, times: Tensor, conditions: Any = None) -> Tensor:
                i = next(steps)
                found: Tensor = self.inner(x, times, conditions)
                before = predict(task.denoiser, transition, x, i, conditions)
                moved = transition.noise(found, x, i) - before
                apart[0] += float(transition.divergence(moved, i).mean())
                return found

        samples = sample(
            Watched(), transition, task.shape, self.samples, generator=self.generator(seed)
        )
        return samples, apart[0]


def rounds(name: str, queries: int, each: int, what: str) -> int:
    """Return how many rounds of so many queries can be paid.

    Raises
    ------
    InvalidInputError
        If not one can.
    """
    if queries < each:
        raise InvalidInputError(
            f"methods.{name}: got queries={queries}, expected at least {each}, {what}"
        )
    return queries // each
