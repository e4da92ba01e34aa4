"""Proximal policy optimization on the steps of a sampler, with the reward of the end for all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import torch
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError
from dfl.losses import WeightedLikelihoodLoss
from dfl.montecarlo import Budget, WeightedSamples, standardized
from dfl.rl.fitting import trained_as
from dfl.rl.preference.adam import trained_part
from dfl.rl.preference.checks import check_conditions, check_counts
from dfl.rl.preference.learner import StepwiseLearner, predict, trained_copy
from dfl.rl.preference.objectives import StepBatch, make_objective
from dfl.rl.preference.rewards import Reward, counted_reward
from dfl.rl.preference.sampling import (
    compared_steps,
    first_noise,
    noise_of_step,
    placed,
    rows_of,
    shuffled,
)
from dfl.rl.preference.time_weight import time_weights
from dfl.rl.preference.transition import DDIMTransition

_LARGEST = 5.0  # advantages are cut there


@final
class SampledPaths:
    """Sample n chains to their end, judge what comes out, and yield the steps that led there.

    Parameters
    ----------
    reward : callable
        From samples, times and conditions to what each is worth; see ``StepwisePreferenceTuner``.
    shape : tuple of int
        Of one sample.
    n_chains : int, default=64
        Number of samplers side by side.
    group_size : int, optional
        So many chains share a condition, and their rewards are standardized together; it divides
        ``n_chains``. Default: all.
    batch_size : int, default=64
        Steps in a batch.
    conditions : object of a length, optional
        Each pass draws one a group.
    budget : Budget, optional
        Is charged ``"reward_queries"``, one a chain, and ``"optimizer_steps"``.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or conditions have no rows.
    """

    def __init__(
        self,
        reward: Reward,
        shape: tuple[int, ...],
        *,
        n_chains: int = 64,
        group_size: int | None = None,
        batch_size: int = 64,
        conditions: Any = None,
        budget: Budget | None = None,
    ) -> None:
        check_counts((("n_chains", n_chains, 1), ("batch_size", batch_size, 1)))
        check_conditions(conditions)
        self.group_size = n_chains if group_size is None else group_size
        if n_chains < 2 or self.group_size < 2 or n_chains % self.group_size:
            raise InvalidInputError(
                f"got n_chains={n_chains} in groups of {self.group_size}, expected whole groups of "
                "at least 2"
            )
        self.budget = Budget() if budget is None else budget
        self.reward = counted_reward(reward, self.budget)
        self.shape = shape
        self.n_chains = n_chains
        self.batch_size = batch_size
        self.conditions = conditions

    def batches(
        self, model: nn.Module, generator: torch.Generator
    ) -> Iterator[tuple[StepBatch, WeightedSamples]]:
        """Sample, and yield every step that has noise, in random order."""
        learner = trained_as(self, model, StepwiseLearner)
        learner.eval()
        rows = self._collect(learner, generator)
        learner.train()
        for picked in shuffled(len(rows["x"]), self.batch_size, generator):
            part = {name: values[picked.to(values.device)] for name, values in rows.items()}
            conditions = rows_of(self.conditions, part["index"])
            batch = StepBatch(
                part["x"], part["steps"], conditions, part["drawn"], origin=part["origin"]
            )
            with torch.no_grad():
                old = learner.objective.log_prob(part["origin"], batch)
            self.budget.charge("optimizer_steps", 1)
            yield batch, WeightedSamples(part["drawn"], part["weights"], old)

    @torch.no_grad()
    def _collect(self, learner: StepwiseLearner, generator: torch.Generator) -> dict[str, Tensor]:
        transition, n = learner.transition, self.n_chains
        compared = compared_steps(transition, 0)
        index = torch.zeros(n, dtype=torch.int64)
        if self.conditions is not None:
            groups = n // self.group_size
            drawn = torch.randint(len(self.conditions), (groups,), generator=generator)
            index = drawn.repeat_interleave(self.group_size)
        conditions = rows_of(self.conditions, index)
        x = first_noise(learner.denoiser, n, self.shape, generator)
        index = index.to(x.device)
        kept: list[dict[str, Tensor]] = []
        for i in range(len(transition)):
            noise = predict(learner.denoiser, transition, x, i, conditions)
            drawn = noise_of_step(transition, x, i, generator)
            if compared[i]:
                steps = torch.full((n,), i, dtype=torch.int64, device=x.device)
                found = {"x": x, "steps": steps, "index": index, "origin": noise}
                kept.append({**found, "drawn": drawn[:, None]})
            x = transition.step(x, noise, i, drawn)
        ends = torch.zeros(n, dtype=torch.int64, device=x.device)
        values = self.reward(x, ends, conditions).reshape(-1, self.group_size)
        advantages = standardized(values).clamp(-_LARGEST, _LARGEST).reshape(n, 1)
        rows = {name: torch.cat([found[name] for found in kept]) for name in kept[0]}
        return {**rows, "weights": advantages.repeat(len(kept), 1)}


def tune_by_ddpo(
    denoiser: nn.Module,
    transition: DDIMTransition,
    reward: Reward,
    shape: tuple[int, ...],
    *,
    generator: torch.Generator,
    n_chains: int = 64,
    group_size: int | None = None,
    conditions: Any = None,
    clip: float = 1e-4,
    max_iter: int = 10,
    batch_size: int = 64,
    learning_rate: float = 1e-4,
    budget: Budget | None = None,
) -> nn.Module:
    r"""Tune a denoiser by reinforcement learning on the steps of its sampler.

    Parameters
    ----------
    denoiser : nn.Module
        It is copied; the copy is trained by Adam.
    transition : DDIMTransition
        Steps of the sampler.
    reward : callable
        See ``StepwisePreferenceTuner``. It costs one query a chain.
    shape : tuple of int
        Of one sample.
    generator : torch.Generator
        On the CPU; all randomness comes from it.
    n_chains, group_size, conditions
        See ``SampledPaths``.
    clip : float, default=1e-4
        Range of the ratio of likelihoods, whose logarithm is a mean over coordinates.
    max_iter : int, default=10
        Number of passes.
    batch_size
        See ``SampledPaths``.
    learning_rate : float, default=1e-4
        Of Adam.
    budget : Budget, optional
        Is charged ``"reward_queries"`` and ``"optimizer_steps"``.

    Returns
    -------
    nn.Module
        The tuned copy.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or nothing is to be trained.

    References
    ----------
    Black, Janner, Du, Kostrikov & Levine, "Training Diffusion Models with Reinforcement Learning",
    ICLR 2024, arXiv 2305.13301.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference import DDIMTransition, NoiseSchedule, sample, tune_by_ddpo
    >>> from dfl.rl.preference.tasks import DistanceReward, GaussianDenoiser
    >>> schedule = NoiseSchedule.linear()
    >>> steps = DDIMTransition.of(schedule, n_steps=10)
    >>> denoiser = GaussianDenoiser(schedule, steps.times, shape=(1,))
    >>> generator = torch.Generator().manual_seed(0)
    >>> tuned = tune_by_ddpo(
    ...     denoiser, steps, DistanceReward(torch.tensor([1.0])), (1,), generator=generator,
    ...     n_chains=128, clip=0.1, learning_rate=0.02,
    ... )
    >>> float(sample(tuned, steps, (1,), 500, generator=generator).mean()) > 0.3
    True
    """
    objective = make_objective("spo", transition, time_weights("spo", transition))
    learner = StepwiseLearner(trained_copy(denoiser), transition, objective, 0.0)
    source = SampledPaths(
        reward,
        shape,
        n_chains=n_chains,
        group_size=group_size,
        batch_size=batch_size,
        conditions=placed(conditions, denoiser),
        budget=budget,
    )
    return trained_part(
        learner,
        learner.denoiser,
        WeightedLikelihoodLoss(clip=clip),
        source,
        max_iter=max_iter,
        learning_rate=learning_rate,
        generator=generator,
    )
