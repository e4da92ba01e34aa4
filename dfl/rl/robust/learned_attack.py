"""An attack that is itself learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget
from dfl.rl.envs.gym_collect import Transitions
from dfl.rl.envs.model import State
from dfl.rl.envs.play import Decide
from dfl.rl.robust.agent import RobustAgent
from dfl.rl.robust.attack import AbstractAttack, Showing, acting
from dfl.rl.robust.collect import Collector, collector_of, episode_returns

if TYPE_CHECKING:
    from dfl.rl.robust.optimizer import RobustPolicyOptimizer


@final
@dataclass(frozen=True)
class LearnedAttack(AbstractAttack):
    """A policy that moves observations is learned by PPO against the policy: it looks ahead.

    One is learned for each setting, and that is taken which costs the policy most in episodes
    played to choose it. What learning takes is charged to the phase ``"select"``.

    Parameters
    ----------
    env_steps : int, default=50_000
        To learn one, in whole epochs.
    settings : tuple of (float, float), default=((1e-3, 0.0), (3e-4, 0.01))
        Pairs of a learning rate and a weight of the entropy.
    n_episodes : int, default=64
        Played to choose.

    Raises
    ------
    InvalidInputError
        If there is no step, setting or episode.

    References
    ----------
    Zhang, Chen, Boning & Hsieh, "Robust Reinforcement Learning on State Observations with Learned
    Optimal Adversary", ICLR 2021, arXiv 2101.08452.
    """

    name: ClassVar[str] = "learned"
    env_steps: int = 50_000
    settings: tuple[tuple[float, float], ...] = ((1e-3, 0.0), (3e-4, 0.01))
    n_episodes: int = 64

    def __post_init__(self) -> None:
        """Refuse to learn nothing."""
        if not self.settings or self.env_steps < 1 or self.n_episodes < 1:
            raise InvalidInputError(
                f"LearnedAttack: got env_steps={self.env_steps}, settings={self.settings} and "
                f"n_episodes={self.n_episodes}, expected at least 1, one and 1"
            )

    def against(
        self,
        policy: RobustPolicyOptimizer,
        env: Any,
        epsilon: float,
        generator: torch.Generator,
        budget: Budget,
    ) -> Showing:
        """Learn adversaries, and return the best."""
        from dfl.rl.robust.optimizer import RobustPolicyOptimizer  # it offers attacks

        n = getattr(env, "num_envs", 32)
        length = 64
        found: list[tuple[float, RobustAgent]] = []
        with budget.phase("select"), budget.timed():
            for learning_rate, entropy in self.settings:
                seed, judged = torch.randint(2**62, (2,), generator=generator).tolist()
                learner = RobustPolicyOptimizer(
                    "identity",
                    max_iter=max(1, self.env_steps // (n * length)),
                    n_environments=n,
                    rollout_length=length,
                    discount=policy.discount,
                    hidden=policy.hidden,
                    learning_rate=learning_rate,
                    entropy=entropy,
                    max_episode_steps=policy.max_episode_steps,
                    random_state=seed,
                )
                attacked = VictimCollector(
                    collector_of(env, n, policy.max_episode_steps), policy.agent_, epsilon
                )
                learner.fit(attacked)
                budget.charge("env_steps", int(learner.budget_["env_steps"]))
                show = _moving(learner.agent_, epsilon)
                earned = episode_returns(
                    env,
                    acting(policy.agent_, show),
                    self.n_episodes,
                    policy.max_episode_steps,
                    generator=torch.Generator().manual_seed(judged),
                    budget=budget,
                )
                found.append((float(earned.mean()), learner.agent_))
        return _moving(min(found, key=lambda each: each[0])[1], epsilon)


@final
class VictimCollector:
    """Steps of an adversary: its actions move what a policy sees, and it earns what that loses.

    Parameters
    ----------
    collector : Collector
        Of the environments that the policy acts in.
    agent : RobustAgent
        The policy, which takes the likeliest action.
    epsilon : float
        What an action of 1 moves a coordinate by.
    """

    n_actions: None = None

    def __init__(self, collector: Collector, agent: RobustAgent, epsilon: float) -> None:
        self.collector = collector
        self.agent = agent
        self.epsilon = epsilon
        self.action_dim = len(agent.scale.mean)
        self.shape = (self.action_dim,)

    def observe(self, state: State) -> Tensor:
        """Return the truth, scaled as the policy sees it."""
        return self.agent.scaled(self.collector.observe(state))

    def collect(
        self,
        decide: Decide,
        n_steps: int,
        *,
        generator: torch.Generator,
        budget: Budget | None = None,
    ) -> Transitions:
        """Take steps; see ``GymnasiumCollector.collect``."""
        taken: list[Tensor] = []

        def act(state: State, generator: torch.Generator) -> Tensor:
            moves = decide(state, generator)
            taken.append(moves)
            return self.agent.best(self.observe(state) + self.epsilon * moves)

        with torch.no_grad():
            found = self.collector.collect(act, n_steps, generator=generator, budget=budget)
            first, second = (
                self.agent.scaled(seen.flatten(0, 1)).reshape(*seen.shape[:2], -1)
                for seen in (found.observations, found.next_observations)
            )
        return Transitions(
            first,
            torch.stack(taken),
            -found.rewards,
            found.terminated,
            found.truncated,
            second,
            found.valid,
        )


def _moving(mover: RobustAgent, epsilon: float) -> Showing:
    """Return what a learned adversary shows, by its likeliest move."""

    @torch.no_grad()
    def show(true: Tensor, generator: torch.Generator) -> Tensor:
        del generator
        return true + epsilon * mover.best(mover.scaled(true))

    return show
