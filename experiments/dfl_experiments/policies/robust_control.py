"""Control while an adversary moves what is observed: natural and worst-case returns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from dfl.exceptions import InvalidInputError
from dfl_experiments.policies.method import AbstractPolicyMethod
from dfl_experiments.policies.study import AbstractPolicyStudy, PolicyOutcome, Score

if TYPE_CHECKING:
    from dfl.rl.envs import BatchedModel

# first states that policies are judged in come from seeds beyond those of training
_JUDGED = 10_000
# what all methods share in learning
_ENVIRONMENTS, _ROLLOUT = 16, 128

Configuration = Literal[
    "ppo",
    "arpo",
    "arpo+guidance",
    "barpo",
    "barpo+guidance",
    "barpo-ramp",
    "sa-ppo",
    "car-ppo",
]


@final
class Robust(AbstractPolicyMethod):
    """One of the configurations of ``dfl.rl.robust.RobustPolicyOptimizer``."""

    algorithm: Literal["robust"]
    configuration: Configuration
    adversary: Literal["kl", "value", "surrogate"] | None = None
    """In place of the configuration's, as are the others if they are given."""
    attacked_rollouts: bool | None = None
    kappa: NonNegativeFloat | None = None
    learning_rate: PositiveFloat | None = None
    """In place of the study's."""

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Learn, and judge under every attack."""
        from dfl.rl.robust import (
            ActionDifferenceAttack,
            CriticAttack,
            LearnedAttack,
            RandomAttack,
            RobustPolicyOptimizer,
            ValueAttack,
            configuration_by_name,
            evaluate,
        )

        changed = self.model_dump(
            include={"adversary", "attacked_rollouts", "kappa"}, exclude_none=True
        )
        policy = RobustPolicyOptimizer(
            **{**configuration_by_name(self.configuration), **changed},
            epsilon=study.epsilon,
            units=study.units,
            max_iter=study.epochs,
            n_environments=_ENVIRONMENTS,
            rollout_length=_ROLLOUT,
            discount=study.discount,
            learning_rate=self.learning_rate or study.learning_rate,
            random_state=seed,
        ).fit(study.model())
        steps = study.attack_steps
        report = evaluate(
            policy,
            attacks=[
                RandomAttack(),
                CriticAttack(steps),
                ActionDifferenceAttack(steps),
                ValueAttack(steps),
                LearnedAttack(study.adversary_steps),
            ],
            n_episodes=study.episodes,
            random_state=_JUDGED + seed,
        )
        scores = {name: float(values.mean()) for name, values in report.attacked.items()}
        scores |= {
            "natural": float(report.natural.mean()),
            "worst": report.worst,
            "ratio": report.ratio,
        }
        curve = [
            {"env_steps": entry["env_steps"], "training": entry["return"]}
            for entry in policy.history_
            if "return" in entry
        ]
        spent = dict(policy.budget_)
        seconds = spent.pop("seconds")
        return PolicyOutcome(scores, spent, seconds, curve)


@final
class PeerPPO(AbstractPolicyMethod):
    """PPO of Stable-Baselines3 at equal steps, judged without an attack."""

    algorithm: Literal["peer-ppo"]

    def check(self, study: Any) -> None:
        """Refuse to begin without Stable-Baselines3."""
        from dfl_solvers.exceptions import import_optional

        del study
        import_optional("stable_baselines3", "rl")

    def run(self, study: Any, seed: int) -> PolicyOutcome:
        """Learn, and judge without an attack."""
        import numpy as np
        import torch

        from dfl.rl.baselines import train_ppo
        from dfl.rl.envs import play

        started = time.perf_counter()
        policy = train_ppo(
            study.model(),
            study.epochs * _ENVIRONMENTS * _ROLLOUT,
            n_envs=_ENVIRONMENTS,
            rollout=_ROLLOUT,
            batch_size=256,
            learning_rate=study.learning_rate,
            discount=study.discount,
            generator=torch.Generator().manual_seed(seed),
        )
        seconds = time.perf_counter() - started
        # the first states are those in which the others are judged
        first = int(np.random.default_rng(_JUDGED + seed).integers(2**62))
        returns = play(
            study.model(),
            policy,
            study.episodes,
            1000,
            generator=torch.Generator().manual_seed(first),
        )
        spent = {"env_steps": study.epochs * _ENVIRONMENTS * _ROLLOUT}
        return PolicyOutcome({"natural": float(returns.mean())}, spent, seconds)


@final
class RobustControlStudy(AbstractPolicyStudy):
    """A cart with a pole, or a pendulum, whose sensors are attacked."""

    scores: ClassVar[Mapping[str, Score]] = {
        "natural": Score("return without an attack"),
        "worst": Score("return under the worst attack"),
        "ratio": Score("(worst - natural) / |natural|"),
        "random": Score("return under noise"),
        "critic": Score("return under the critic's attack"),
        "action-difference": Score("return under maximal action difference"),
        "value": Score("return under the attack by action values"),
        "learned": Score("return under a learned adversary"),
        "training": Score("return while learning, under the own adversary"),
    }
    axes: ClassVar[Mapping[str, str]] = {"env_steps": "environment steps"}
    chosen_by: ClassVar[str] = "worst"
    accepts = (Robust, PeerPPO)

    kind: Literal["robust-control"]
    task: Literal["cart-pole", "pendulum"]
    epsilon: PositiveFloat
    """Radius of the ball, in ``units``: the same in training and in judging, for all methods."""
    units: tuple[PositiveFloat, ...]
    """One for each coordinate of an observation."""
    env_steps: PositiveInt = 102_400
    discount: PositiveFloat = Field(default=0.99, le=1)
    learning_rate: PositiveFloat = 1e-3
    attack_steps: PositiveInt = 10
    """Gradients of an attack for each observation, in judging."""
    adversary_steps: PositiveInt = 50_000
    """For each of the two settings of the learned adversary."""
    episodes: PositiveInt = 100
    """Under each attack; a seed has the same first states for all methods and attacks."""

    @property
    def epochs(self) -> int:
        """Rollouts of 16 environments by 128 steps."""
        return self.env_steps // (_ENVIRONMENTS * _ROLLOUT)

    def check(self, methods: Any, seed: int) -> None:
        """Refuse units for other observations, and fewer steps than one rollout."""
        import torch

        super().check(methods, seed)
        shown = self.model().observe(self.model().reset(1, torch.Generator())).shape[1]
        if len(self.units) != shown:
            raise InvalidInputError(
                f"problem.units: got {len(self.units)}, expected {shown}: one for each coordinate "
                f"that is observed in {self.task}"
            )
        if self.epochs < 1:
            raise InvalidInputError(
                f"problem.env_steps: got {self.env_steps}, expected at least one rollout of "
                f"{_ENVIRONMENTS * _ROLLOUT}"
            )

    def model(self) -> BatchedModel:
        """Make the simulator."""
        from dfl.rl.envs import CartPole, Pendulum

        return CartPole() if self.task == "cart-pole" else Pendulum()
