"""Policies that learn in a simulator as in an environment: they never look ahead."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, final

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from dfl_experiments.policies.method import AbstractPolicyMethod
from dfl_experiments.policies.simulators.search import check_rollouts
from dfl_experiments.policies.study import PolicyOutcome

if TYPE_CHECKING:
    import torch

    from dfl.montecarlo import Budget
    from dfl.rl.baselines import NetworkPolicy, PPOPolicy
    from dfl.rl.envs import BatchedModel


class AbstractUnsearched(AbstractPolicyMethod):
    """What they share: rollouts, and that the network acts alone, by its likeliest actions."""

    env_steps: PositiveInt = 20_480
    environments: PositiveInt = 64
    rollout: PositiveInt = 16
    learning_rate: PositiveFloat = 1e-3
    discount: PositiveFloat = Field(default=0.99, le=1)
    trace: float = Field(default=0.95, ge=0, le=1)

    def check(self, study: Any) -> None:
        """Refuse fewer steps than one rollout."""
        del study
        check_rollouts(self.name, self.env_steps, self.environments * self.rollout)

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Learn, and judge the likeliest actions."""
        import torch

        from dfl.montecarlo import Budget

        generator, budget = torch.Generator().manual_seed(seed), Budget()
        started = time.perf_counter()
        policy = self.learned(study.model(False, seed), study.most_steps, generator, budget)
        seconds = time.perf_counter() - started

        def acting(judged: BatchedModel) -> Any:
            return policy.on(judged)

        scores = study.scored(acting, acting, seed)
        spent = {kind: float(n) for kind, n in budget.counts["train"].items()}
        return PolicyOutcome(scores, spent, seconds, study.followed(policy.history))

    @abstractmethod
    def learned(
        self, model: BatchedModel, most_steps: int, generator: torch.Generator, budget: Budget
    ) -> NetworkPolicy | PPOPolicy:
        """Learn in a model."""


@final
class PPO(AbstractUnsearched):
    """Proximal policy optimization of Stable-Baselines3; see ``dfl.rl.baselines.train_ppo``."""

    algorithm: Literal["ppo"]
    batch_size: PositiveInt = 256
    epochs: PositiveInt = 10
    entropy: NonNegativeFloat = 0.0

    def check(self, study: Any) -> None:
        """Refuse to begin without Stable-Baselines3."""
        from dfl_solvers.exceptions import import_optional

        super().check(study)
        import_optional("stable_baselines3", "rl")

    def learned(
        self, model: BatchedModel, most_steps: int, generator: torch.Generator, budget: Budget
    ) -> PPOPolicy:
        """Learn in a model that has a limit of steps of its own."""
        from dfl.rl.baselines import train_ppo

        del most_steps
        return train_ppo(
            model,
            self.env_steps,
            n_envs=self.environments,
            rollout=self.rollout,
            batch_size=self.batch_size,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            entropy=self.entropy,
            discount=self.discount,
            trace=self.trace,
            hidden=(256, 256),
            generator=generator,
            budget=budget,
        )


class AbstractReweighted(AbstractUnsearched):
    """Actions become likelier by weights with a temperature, near a slow copy of the policy."""

    updates: PositiveInt = 16
    temperature: PositiveFloat = 1.0
    divergence: PositiveFloat = 0.1
    target_rate: PositiveFloat = Field(default=0.05, le=1)

    @abstractmethod
    def trainer(self) -> Callable[..., NetworkPolicy]:
        """Return the function that learns."""

    def learned(
        self, model: BatchedModel, most_steps: int, generator: torch.Generator, budget: Budget
    ) -> NetworkPolicy:
        """Learn in a model."""
        return self.trainer()(
            model,
            self.env_steps,
            n_environments=self.environments,
            rollout_length=self.rollout,
            n_updates=self.updates,
            temperature=self.temperature,
            divergence=self.divergence,
            target_rate=self.target_rate,
            learning_rate=self.learning_rate,
            discount=self.discount,
            trace=self.trace,
            max_episode_steps=most_steps,
            generator=generator,
            budget=budget,
        )


@final
class MPO(AbstractReweighted):
    """One step of improvement by a learned critic; see ``dfl.rl.baselines.train_mpo``."""

    algorithm: Literal["mpo"]

    def trainer(self) -> Callable[..., NetworkPolicy]:
        """Return ``train_mpo``."""
        from dfl.rl.baselines import train_mpo

        return train_mpo


@final
class VMPO(AbstractReweighted):
    """The better half of what was done becomes likelier; see ``dfl.rl.baselines.train_vmpo``."""

    algorithm: Literal["v-mpo"]

    def trainer(self) -> Callable[..., NetworkPolicy]:
        """Return ``train_vmpo``."""
        from dfl.rl.baselines import train_vmpo

        return train_vmpo
