"""Policies that search in the simulator: with a network that learns from it, or without one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, final

from pydantic import Field, PositiveFloat, PositiveInt

from dfl.exceptions import InvalidInputError
from dfl_experiments.policies.method import AbstractPolicyMethod
from dfl_experiments.policies.study import PolicyOutcome

if TYPE_CHECKING:
    from dfl.rl.envs import BatchedModel
    from dfl.rl.envs.play import Decide

PER_ACTION = "model_steps_an_action"
"""What is spent for each action when the policy is judged."""


@final
class SMC(AbstractPolicyMethod):
    """Learn from searches by particles; see ``dfl.rl.smc.SMCPolicyOptimizer``."""

    algorithm: Literal["smc"]
    env_steps: PositiveInt = 20_480
    n_particles: PositiveInt = 16
    depth: PositiveInt = 4
    environments: PositiveInt = 64
    rollout: PositiveInt = 16
    updates: PositiveInt = 16
    temperature: PositiveFloat = 1.0
    divergence: PositiveFloat = 0.5
    target_rate: PositiveFloat = Field(default=0.05, le=1)
    learning_rate: PositiveFloat = 1e-3
    discount: PositiveFloat = Field(default=0.99, le=1)
    trace: float = Field(default=0.95, ge=0, le=1)

    def check(self, study: Any) -> None:
        """Refuse fewer steps than one rollout, and weights that cannot differ so much."""
        del study
        check_rollouts(self.name, self.env_steps, self.environments * self.rollout)
        check_divergence(self.name, self.divergence, self.n_particles)

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Learn, and judge the network with search and alone."""
        from dfl.rl.smc import SMCPolicyOptimizer, smc_search

        optimizer = SMCPolicyOptimizer(
            max_iter=self.env_steps // (self.environments * self.rollout),
            n_environments=self.environments,
            rollout_length=self.rollout,
            n_updates=self.updates,
            n_particles=self.n_particles,
            depth=self.depth,
            temperature=self.temperature,
            divergence=self.divergence,
            target_rate=self.target_rate,
            learning_rate=self.learning_rate,
            discount=self.discount,
            trace=self.trace,
            max_episode_steps=study.most_steps,
            random_state=seed,
        ).fit(study.model(False, seed))

        def acting(judged: BatchedModel) -> Decide:
            return lambda state, generator: (
                smc_search(
                    judged,
                    optimizer.network_,
                    state,
                    temperature=optimizer.temperature_,
                    n_particles=self.n_particles,
                    depth=self.depth,
                    generator=generator,
                ).actions
            )

        def alone(judged: BatchedModel) -> Decide:
            return lambda state, generator: optimizer.decide(judged.observe(state), search=False)

        spent = {**optimizer.budget_, PER_ACTION: self.n_particles * self.depth}
        seconds = spent.pop("seconds")
        scores = study.scored(acting, alone, seed)
        return PolicyOutcome(scores, spent, seconds, study.followed(optimizer.history_))


@final
class UniformSearch(AbstractPolicyMethod):
    """Search by particles that act at random and value nothing: what learning starts from."""

    algorithm: Literal["uniform-search"]
    n_particles: PositiveInt = 16
    depth: PositiveInt = 4
    temperature: PositiveFloat = 0.1

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Judge; there is nothing to learn."""
        from dfl.rl.smc import smc_search, uniform_network

        def acting(judged: BatchedModel) -> Decide:
            blind = uniform_network(judged)
            return lambda state, generator: (
                smc_search(
                    judged,
                    blind,
                    state,
                    temperature=self.temperature,
                    n_particles=self.n_particles,
                    depth=self.depth,
                    generator=generator,
                ).actions
            )

        spent = {PER_ACTION: self.n_particles * self.depth}
        return PolicyOutcome(study.scored(acting, None, seed), spent, 0.0)


@final
class Shooting(AbstractPolicyMethod):
    """Follow the best of many random plans for a step; see ``random_shooting``."""

    algorithm: Literal["random-shooting"]
    n_plans: PositiveInt = 16
    depth: PositiveInt = 4

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Judge; there is nothing to learn."""
        from dfl.rl.baselines import random_shooting

        def acting(judged: BatchedModel) -> Decide:
            return random_shooting(judged, n_plans=self.n_plans, depth=self.depth)

        spent = {PER_ACTION: self.n_plans * self.depth}
        return PolicyOutcome(study.scored(acting, None, seed), spent, 0.0)


def check_divergence(name: str, divergence: float, k: int) -> None:
    """Refuse a divergence that the weights of k actions cannot have."""
    if not divergence < math.log(k):
        raise InvalidInputError(
            f"methods.{name}.divergence: got {divergence}, expected less than {math.log(k):.4g}: "
            f"the weights of {k} actions cannot differ more from equal ones"
        )


def check_rollouts(name: str, env_steps: int, size: int) -> None:
    """Refuse fewer steps than one rollout."""
    if env_steps < size:
        raise InvalidInputError(
            f"methods.{name}.env_steps: got {env_steps}, expected at least one rollout of {size}"
        )
