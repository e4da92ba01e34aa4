"""Ways to make samples of a diffusion model better, at equal queries of the reward."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Literal, final

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from dfl.exceptions import InvalidInputError
from dfl_experiments.policies.method import AbstractPolicyMethod
from dfl_experiments.policies.preference.base import rounds
from dfl_experiments.policies.study import PolicyOutcome

if TYPE_CHECKING:
    from torch import Tensor

_QUERIES = "reward_queries"


@final
class Untuned(AbstractPolicyMethod):
    """The model as it is."""

    algorithm: Literal["untuned"]

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Judge."""
        scores, shown = study.judged(study.task().denoiser, seed)
        return PolicyOutcome(scores, {_QUERIES: 0}, 0.0, shown=shown)


@final
class Stepwise(AbstractPolicyMethod):
    """Compare candidates at each step; see ``dfl.rl.preference.StepwisePreferenceTuner``."""

    algorithm: Literal["stepwise"]
    loss: Literal["gradspo", "spo", "regress"] = "gradspo"
    direction: Literal["pair", "winner", "all", "antithetic", "gradient"] = "pair"
    weight: Literal["grad", "spo", "uniform"] | None = None
    learning_rate: PositiveFloat = 1e-3
    beta: PositiveFloat = 10.0
    candidates: PositiveInt = 4
    chains: PositiveInt = 64
    start_step: NonNegativeInt = 2
    divergence_limit: PositiveFloat = 1e9
    """Stop after the epoch in which paths are farther than this from the untuned model's, in
    nats."""
    control: Literal["none", "constant", "flipped"] = "none"
    """Negative controls: a reward that is always zero, or its opposite."""

    def check(self, study: Any) -> None:
        """Refuse a budget below one round."""
        self._rounds(study)

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Tune, and judge."""
        from dfl.rl.preference import StepwisePreferenceTuner

        task, reward = study.task(), study.rewarding(seed)

        def controlled(samples: Tensor, times: Tensor, conditions: Any) -> Tensor:
            sign = {"none": 1.0, "constant": 0.0, "flipped": -1.0}[self.control]
            found: Tensor = sign * reward(samples, times, conditions)
            return found

        tuner = StepwisePreferenceTuner(
            task.denoiser,
            task.scheduler,
            controlled,
            task.shape,
            loss=self.loss,
            direction=self.direction,
            weight=self.weight,
            beta=self.beta,
            n_candidates=self.candidates,
            n_chains=self.chains,
            start_step=self.start_step,
            divergence_limit=self.divergence_limit,
            n_steps=study.n_steps,
            max_iter=self._rounds(study),
            learning_rate=self.learning_rate,
            random_state=seed,
        ).fit()
        spent = dict(tuner.budget_)
        curve = [
            {
                _QUERIES: entry[_QUERIES],
                "reward": entry["reward"],
                "divergence": entry["path_divergence"],
            }
            for entry in tuner.history_
        ]
        seconds = spent.pop("seconds")
        scores, shown = study.judged(tuner.denoiser_, seed)
        return PolicyOutcome(scores, spent, seconds, curve, shown)

    def _rounds(self, study: Any) -> int:
        if self.start_step >= study.n_steps:
            raise InvalidInputError(
                f"methods.{self.name}: got start_step={self.start_step} of {study.n_steps} steps, "
                "expected fewer: there is nothing to compare"
            )
        each = self.chains * self.candidates * (study.n_steps - self.start_step)
        return rounds(self.name, study.queries, each, "one round of its samplers")


@final
class DiffusionDPO(AbstractPolicyMethod):
    """Learn from pairs of finished samples; see ``dfl.rl.preference.tune_by_diffusion_dpo``."""

    algorithm: Literal["diffusion-dpo"]
    beta: PositiveFloat = 100.0
    learning_rate: PositiveFloat = 1e-3
    epochs: PositiveInt = 1

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Tune, and judge."""
        import torch

        from dfl.montecarlo import Budget
        from dfl.rl.preference import tune_by_diffusion_dpo

        task, budget, started = study.task(), Budget(), time.perf_counter()
        tuned = tune_by_diffusion_dpo(
            task.denoiser,
            study.transition(),
            study.rewarding(seed),
            task.shape,
            n_pairs=rounds(self.name, study.queries, 2, "a pair"),
            generator=torch.Generator().manual_seed(seed),
            beta=self.beta,
            max_iter=self.epochs,
            learning_rate=self.learning_rate,
            budget=budget,
        )
        seconds = time.perf_counter() - started
        scores, shown = study.judged(tuned, seed)
        return PolicyOutcome(scores, budget.counts["train"], seconds, shown=shown)


@final
class DDPO(AbstractPolicyMethod):
    """Learn from the rewards of whole paths; see ``dfl.rl.preference.tune_by_ddpo``."""

    algorithm: Literal["ddpo"]
    learning_rate: PositiveFloat = 1e-3
    clip: PositiveFloat = 1e-4
    """Of ratios of likelihoods; published code has the default."""
    chains: PositiveInt = Field(default=512, ge=2)
    batch_size: PositiveInt = 512

    def check(self, study: Any) -> None:
        """Refuse a budget below one pass."""
        rounds(self.name, study.queries, self.chains, "one pass of its samplers")

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Tune, and judge."""
        import torch

        from dfl.montecarlo import Budget
        from dfl.rl.preference import tune_by_ddpo

        task, budget, started = study.task(), Budget(), time.perf_counter()
        tuned = tune_by_ddpo(
            task.denoiser,
            study.transition(),
            study.rewarding(seed),
            task.shape,
            generator=torch.Generator().manual_seed(seed),
            n_chains=self.chains,
            clip=self.clip,
            max_iter=rounds(self.name, study.queries, self.chains, "one pass of its samplers"),
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            budget=budget,
        )
        seconds = time.perf_counter() - started
        scores, shown = study.judged(tuned, seed)
        return PolicyOutcome(scores, budget.counts["train"], seconds, shown=shown)


@final
class BestOfN(AbstractPolicyMethod):
    """Keep the best of several samples: as many as the budget pays for, for each that is judged."""

    algorithm: Literal["best-of-n"]

    def check(self, study: Any) -> None:
        """Refuse a budget below one query a sample."""
        rounds(self.name, study.queries, study.samples, "one query a sample that is judged")

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Draw, keep, and judge; the divergence is that of the best of n from one."""
        from dfl.montecarlo import Budget
        from dfl.rl.preference import best_of_n

        task, budget, started = study.task(), Budget(), time.perf_counter()
        n = rounds(self.name, study.queries, study.samples, "one query a sample that is judged")
        samples = best_of_n(
            task.denoiser,
            study.transition(),
            study.rewarding(seed),
            task.shape,
            study.samples,
            n_candidates=n,
            generator=study.generator(seed),
            budget=budget,
        )
        seconds = time.perf_counter() - started
        scores = study.scored(samples, math.log(n) - (n - 1) / n, seed)
        shown = study.shown(samples)
        return PolicyOutcome(scores, budget.counts["train"], seconds, shown=shown)


@final
class Guidance(AbstractPolicyMethod):
    """Follow the gradient of the reward while sampling; see ``dfl.rl.preference.GuidedDenoiser``.

    It trains nothing: what is spent is what the samples that are judged cost.
    """

    algorithm: Literal["guidance"]
    scale: PositiveFloat = 1.0

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Sample, and judge."""
        from dfl.montecarlo import Budget
        from dfl.rl.preference import GuidedDenoiser

        task, budget, started = study.task(), Budget(), time.perf_counter()
        guided = GuidedDenoiser(
            task.denoiser, study.transition(), task.reward, scale=self.scale, budget=budget
        )
        scores, shown = study.judged(guided, seed)
        seconds = time.perf_counter() - started
        return PolicyOutcome(scores, budget.counts["train"], seconds, shown=shown)
