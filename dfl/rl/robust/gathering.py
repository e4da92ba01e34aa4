"""Steps of episodes whose observations an adversary moves, and what they gained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from dfl.montecarlo import Budget
from dfl.rl.advantages import generalized_advantages
from dfl.rl.envs.gym_collect import Transitions
from dfl.rl.envs.model import State
from dfl.rl.fitting import part
from dfl.rl.returns import RunningReturns, check_rewards
from dfl.rl.robust.agent import RobustAgent, Seen
from dfl.rl.robust.collect import Collector, ModelCollector
from dfl.rl.robust.present_adversary import PresentAdversary


@final
@dataclass
class Rollout:
    """Steps that were taken, with what was shown in them if the adversary took part."""

    observations: Tensor
    shown: Tensor | None
    actions: Tensor
    returns: Tensor
    advantages: Tensor
    old: Tensor

    def rows(self, index: Tensor) -> Rollout:
        """Return some of the steps."""
        kept: dict[str, Any] = {k: None if v is None else v[index] for k, v in vars(self).items()}
        return Rollout(**kept)


@final
class Gathering:
    """Act in environments, whose episodes go on from rollout to rollout.

    Parameters
    ----------
    collector : Collector
    discount, trace : float
        See ``generalized_advantages``.
    """

    def __init__(self, collector: Collector, discount: float, trace: float) -> None:
        self.collector = collector
        self.discount = discount
        self.trace = trace
        self._returns = RunningReturns()
        self._discounted = RunningReturns(discount)

    def gather(
        self,
        agent: RobustAgent,
        n_steps: int,
        adversary: PresentAdversary | None,
        generator: torch.Generator,
        budget: Budget,
    ) -> tuple[Rollout, Tensor]:
        """Act so many times in each environment; return that and what whole episodes earned.

        Without an adversary the truth is seen.
        """
        known: list[tuple[Tensor, Tensor, Tensor]] = []
        chance = 0.0 if adversary is None else adversary.strength

        def decide(state: State, generator: torch.Generator) -> Tensor:
            observations = agent.scaled(self.collector.observe(state))
            shown = moved = observations
            if adversary is not None and chance > 0:
                shown = moved = adversary.moved(agent, observations, generator)
                if chance < 1:
                    drawn = torch.rand(len(moved), 1, generator=generator, device=generator.device)
                    shown = moved.where(drawn.to(moved) < chance, observations)
            raw = agent.law.draw(agent.parameters_of(shown), 1, generator)[:, 0]
            known.append((observations, moved, raw))
            return agent.law.action(raw)

        with torch.no_grad():
            steps = self.collector.collect(decide, n_steps, generator=generator, budget=budget)
            observations, moved, raw = (torch.stack(c) for c in zip(*known, strict=True))
            rewards, finished = self._scaled_rewards(agent, steps)
            values = agent.values(observations.flatten(0, 1)).reshape(rewards.shape)
            after = agent.scaled(steps.next_observations.flatten(0, 1))
            next_values = agent.values(after).reshape(rewards.shape)
            advantages = generalized_advantages(
                rewards.T.to(values),
                values.T,
                next_values.T,
                steps.terminated.T,
                steps.truncated.T,
                discount=self.discount,
                trace=self.trace,
            ).T
            valid = steps.valid
            kept = observations[valid], moved[valid], raw[valid]
            returns, gained = (values + advantages)[valid], advantages[valid]
            shown = kept[1] if chance > 0 else None
            old = agent.log_probs(Seen(kept[0], shown, chance, kept[2], returns))
            # what is seen next is scaled by what was seen
            agent.scale.update(steps.observations[valid].flatten(1))
        gained = (gained - gained.mean()) / (gained.std(correction=0) + 1e-8)
        return Rollout(kept[0], shown, kept[2], returns, gained, old), finished

    def state_dict(self) -> dict[str, Tensor]:
        """Return where the episodes are; Gymnasium's environments begin anew."""
        found: dict[str, Tensor] = {}
        if isinstance(self.collector, ModelCollector):
            found = {f"state.{k}": v for k, v in self.collector.state_dict().items()}
        return found | {"returns": self._returns.sums, "discounted": self._discounted.sums}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` returned, from among other entries."""
        if isinstance(self.collector, ModelCollector):
            self.collector.load_state_dict(part(state, "state."))
            self._returns.sums, self._discounted.sums = state["returns"], state["discounted"]

    def _scaled_rewards(self, agent: RobustAgent, steps: Transitions) -> tuple[Tensor, Tensor]:
        """Return rewards (T, n) in units of the spread of discounted returns, and whole returns."""
        rewards = steps.rewards.to(torch.float64).masked_fill(~steps.valid, 0.0)
        check_rewards("", rewards)
        over = steps.terminated | steps.truncated
        finished = self._returns.add(rewards, over)[over]
        agent.reward_scale.update(self._discounted.add(rewards, over).flatten())
        return rewards / agent.reward_scale.deviation.to(rewards), finished
