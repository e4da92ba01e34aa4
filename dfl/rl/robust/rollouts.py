"""Episodes whose observations an adversary moves, as a source of batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from dfl.adversary import AbstractAdversary, AbstractStrength, ConstantStrength
from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget, WeightedSamples, softmax
from dfl.rl.advantages import generalized_advantages
from dfl.rl.envs.gym_collect import Transitions
from dfl.rl.envs.model import State
from dfl.rl.robust.agent import RobustAgent, Seen
from dfl.rl.robust.collect import ModelCollector, collector_of

OBJECTIVES = ("attacked", "regularized", "weighted")


@final
@dataclass
class _Rollout:
    """Steps that were taken, with what was shown in them if the adversary took part."""

    observations: Tensor
    shown: Tensor | None
    actions: Tensor
    returns: Tensor
    advantages: Tensor
    old: Tensor

    def rows(self, index: Tensor) -> _Rollout:
        kept: dict[str, Any] = {
            k: None if part is None else part[index] for k, part in vars(self).items()
        }
        return _Rollout(**kept)


@final
class AttackedRollouts:
    """Act in environments while an adversary moves what is seen, and yield batches of the steps.

    A pass collects a rollout of a number of steps in each environment, then yields all of them in
    batches, ``n_epochs`` times over. The adversary attacks while steps are taken, and these are
    learned from as they were seen; or else it attacks the present policy anew for each batch.

    Parameters
    ----------
    env : BatchedModel or gymnasium.vector.VectorEnv
        Where to act.
    adversary : AbstractAdversary
        Its radius is in units of scaled observations: standard deviations.
    objective : {"attacked", "regularized", "weighted"}, default="attacked"
        What batches make likelier; see ``RobustPolicyOptimizer``.
    kappa : float, default=0.0
        Weight of what is seen without the adversary (``"attacked"``), or of the adversary's part
        (``"weighted"``).
    softness : float, default=10.0
        Scale of the soft maximum over a batch of ``"weighted"``.
    strength : AbstractStrength, optional
        Chance that the adversary's observation is shown. Default: 1 throughout.
    radius : AbstractStrength, optional
        Share of the adversary's radius. Default: 1 throughout.
    attacked : bool, default=True
        Attack while steps are taken; else they are taken without an adversary.
    n_passes : int, default=100
        Passes in all: what progress is measured by.
    n_environments, rollout_length : int, default=16 and 128
        Of a simulator; a vector environment has its own number.
    n_epochs, batch_size : int, default=10 and 256
        Times that the steps of a pass are learned from, and steps in a batch.
    discount, trace : float, default=0.99 and 0.95
        See ``generalized_advantages``.
    clip : float, default=0.2
        Of the loss that ``"surrogate"`` adversaries ascend.
    max_episode_steps : int, optional
        Truncate episodes of a simulator after so many steps. Default: never.
    budget : Budget, optional
        Is charged ``"env_steps"``, ``"attack_gradients"`` and ``"optimizer_steps"``.

    Attributes
    ----------
    budget : Budget
    summary : dict of str to float
        Of the last pass: ``episodes`` that ended and, if any did, their mean ``return``,
        ``strength``, ``radius`` as a share, the share of ratios that were clipped in the last
        batch, ``clipped``, and what was spent so far.

    Raises
    ------
    InvalidInputError
        If a number is out of range.
    """

    kinds: ClassVar[tuple[str, ...]] = ("env_steps", "attack_gradients", "optimizer_steps")

    def __init__(
        self,
        env: Any,
        adversary: AbstractAdversary,
        *,
        objective: str = "attacked",
        kappa: float = 0.0,
        softness: float = 10.0,
        strength: AbstractStrength | None = None,
        radius: AbstractStrength | None = None,
        attacked: bool = True,
        n_passes: int = 100,
        n_environments: int = 16,
        rollout_length: int = 128,
        n_epochs: int = 10,
        batch_size: int = 256,
        discount: float = 0.99,
        trace: float = 0.95,
        clip: float = 0.2,
        max_episode_steps: int | None = None,
        budget: Budget | None = None,
    ) -> None:
        numbers = {
            "n_passes": n_passes,
            "n_environments": n_environments,
            "rollout_length": rollout_length,
            "n_epochs": n_epochs,
            "batch_size": batch_size,
            "max_episode_steps": 1 if max_episode_steps is None else max_episode_steps,
        }
        for name, number in numbers.items():
            if number < 1:
                raise InvalidInputError(f"got {name}={number}, expected at least 1")
        for name, share in (("discount", discount), ("trace", trace)):
            if not 0 <= share <= 1:
                raise InvalidInputError(f"got {name}={share}, expected a number from 0 to 1")
        if objective not in OBJECTIVES:
            raise InvalidInputError(
                f"got objective={objective!r}, expected one of: {', '.join(OBJECTIVES)}"
            )
        if not kappa >= 0 or not softness > 0:
            raise InvalidInputError(
                f"got kappa={kappa} and softness={softness}, expected at least 0, and above 0"
            )
        asks = [
            name
            for name, found in (("strength", strength), ("radius", radius))
            if found is not None and found.observes
        ]
        if "radius" in asks or (asks and attacked and objective == "attacked"):
            raise InvalidInputError(
                f"AttackedRollouts: got a {asks[-1]} that asks for scores, which are to be without "
                "an adversary: only strength may, with attacked=False"
            )
        self.collector = collector_of(env, n_environments, max_episode_steps)
        self.adversary = adversary
        self.objective = objective
        self.kappa = kappa
        self.softness = softness
        self.strength = ConstantStrength() if strength is None else strength
        self.radius = ConstantStrength() if radius is None else radius
        self.attacked = attacked
        self.n_passes = n_passes
        self.rollout_length = rollout_length
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.discount = discount
        self.trace = trace
        self.clip = clip
        self.budget = Budget() if budget is None else budget
        self.summary: dict[str, float] = {}
        self._passes = 0
        self._returns = torch.zeros(0, dtype=torch.float64)
        self._discounted = torch.zeros(0, dtype=torch.float64)

    def batches(
        self, model: nn.Module, generator: torch.Generator
    ) -> Iterator[tuple[Seen, WeightedSamples]]:
        """Take steps, and yield batches of them for the ``RobustAgent`` that is trained."""
        if not isinstance(model, RobustAgent):
            raise InvalidInputError(
                f"AttackedRollouts: got a model of type {type(model).__name__} to train, expected "
                "a RobustAgent"
            )
        progress = self._passes / self.n_passes
        strength, radius = self.strength.at(progress), self.radius.at(progress)
        if self.adversary.epsilon * radius == 0:
            strength = 0.0  # nothing moves
        rollout = self._collect(model, strength, radius, generator)
        for _ in range(self.n_epochs):
            order = torch.randperm(len(rollout.returns), generator=generator)
            for index in torch.split(order, self.batch_size):
                rows = rollout.rows(index.to(rollout.returns.device))
                seen, samples = self._batch(model, rows, strength, radius, generator)
                self.budget.charge("optimizer_steps", 1)
                yield seen, samples
        self._summarize(model, seen, samples, strength, radius)
        self._passes += 1

    def state_dict(self) -> dict[str, Tensor]:
        """Return all that the next pass depends on; Gymnasium's environments begin anew."""
        found = {f"strength.{k}": v for k, v in self.strength.state_dict().items()}
        if isinstance(self.collector, ModelCollector):
            found |= {f"state.{k}": v for k, v in self.collector.state_dict().items()}
        counts = [self.budget.spent(kind) for kind in self.kinds]
        return found | {
            "passes": torch.tensor(self._passes),
            "returns": self._returns,
            "discounted": self._discounted,
            "spent": torch.tensor(counts, dtype=torch.int64),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` returned; what was spent is charged."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

        self.strength.load_state_dict(part("strength."))
        self._passes = int(state["passes"])
        if isinstance(self.collector, ModelCollector):
            self.collector.load_state_dict(part("state."))
            self._returns, self._discounted = state["returns"], state["discounted"]
        for kind, spent in zip(self.kinds, state["spent"].tolist(), strict=True):
            self.budget.charge(kind, spent)

    def _collect(
        self, agent: RobustAgent, strength: float, radius: float, generator: torch.Generator
    ) -> _Rollout:
        """Act ``rollout_length`` times in each environment."""
        known: list[tuple[Tensor, Tensor, Tensor]] = []
        chance = strength if self.attacked and self.objective == "attacked" else 0.0

        def decide(state: State, generator: torch.Generator) -> Tensor:
            observations = agent.scaled(self.collector.observe(state))
            shown = moved = observations
            if chance > 0:
                moved = self.adversary.perturb(
                    observations,
                    agent.victim(observations),
                    generator,
                    strength=radius,
                    budget=self.budget,
                )
                shown = moved
                if chance < 1:
                    drawn = torch.rand(len(moved), 1, generator=generator, device=generator.device)
                    shown = moved.where(drawn.to(moved) < chance, observations)
            raw = agent.law.draw(agent.parameters_of(shown), 1, generator)[:, 0]
            known.append((observations, moved, raw))
            return agent.law.action(raw)

        with torch.no_grad():
            steps = self.collector.collect(
                decide, self.rollout_length, generator=generator, budget=self.budget
            )
            observations, moved, raw = (torch.stack(c) for c in zip(*known, strict=True))
            rewards = self._scaled_rewards(agent, steps)
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
        return _Rollout(kept[0], shown, kept[2], returns, gained, old)

    def _scaled_rewards(self, agent: RobustAgent, steps: Transitions) -> Tensor:
        """Return rewards (T, n) in units of the spread of discounted returns; count episodes."""
        rewards = steps.rewards.to(torch.float64).masked_fill(~steps.valid, 0.0)
        if not rewards.isfinite().all():
            raise InvalidInputError(
                "got rewards that are not finite, first in environment "
                f"{int((~rewards.isfinite()).any(0).nonzero()[0])}"
            )
        over = steps.terminated | steps.truncated
        if not len(self._returns):
            self._returns = rewards.new_zeros(rewards.shape[1])
            self._discounted = rewards.new_zeros(rewards.shape[1])
        ended, sums = [], []
        for earned, ends in zip(rewards, over, strict=True):
            self._returns = self._returns.to(earned) + earned
            self._discounted = self.discount * self._discounted.to(earned) + earned
            sums.append(self._discounted)
            ended.append(self._returns[ends])
            self._returns = self._returns.masked_fill(ends, 0.0)
            self._discounted = self._discounted.masked_fill(ends, 0.0)
        agent.reward_scale.update(torch.cat(sums))
        finished = torch.cat(ended)
        self.summary = {"episodes": float(len(finished))}
        if len(finished):
            self.summary["return"] = float(finished.mean())
            self.strength.observe(self.summary["return"])
        return rewards / agent.reward_scale.deviation.to(rewards)

    def _batch(
        self,
        agent: RobustAgent,
        rows: _Rollout,
        strength: float,
        radius: float,
        generator: torch.Generator,
    ) -> tuple[Seen, WeightedSamples]:
        """Attack the present policy, and weigh what was done under the adversary and without."""
        gained, old = rows.advantages[:, None], rows.old
        seen = Seen(rows.observations, None, strength, rows.actions, rows.returns)
        if strength == 0:
            return seen, WeightedSamples(rows.actions[:, None], gained, old[:, :1])
        harm = agent.surrogate(rows.actions, rows.advantages, old[:, 0], self.clip)
        # actions that were taken on what was shown are judged on it: on a new attack, which may
        # show the other side of the ball, their ratios would be those of two observations
        shown = rows.shown
        if shown is None:
            shown = self.adversary.perturb(
                rows.observations,
                agent.victim(rows.observations, harm),
                generator,
                strength=radius,
                budget=self.budget,
            )
        seen = Seen(rows.observations, shown, strength, rows.actions, rows.returns)
        weights = torch.cat([gained, self.kappa * gained], 1)
        if self.objective == "regularized":
            weights = torch.cat([0 * gained, gained], 1)
        elif self.objective == "weighted":
            with torch.no_grad():
                worst = softmax(harm(shown)[None], temperature=self.softness)[0]
            share = self.kappa * len(rows.returns) * worst[:, None]
            weights = torch.cat([share * gained, gained], 1)
        actions = torch.stack([rows.actions, rows.actions], 1)
        return seen, WeightedSamples(actions, weights, old)

    @torch.no_grad()
    def _summarize(
        self,
        agent: RobustAgent,
        seen: Seen,
        samples: WeightedSamples,
        strength: float,
        radius: float,
    ) -> None:
        old = samples.log_prob_old
        moved = torch.zeros(1)
        if old is not None:
            moved = (agent.log_probs(seen)[:, : old.shape[1]] - old).exp() - 1
        self.summary |= {
            "strength": strength,
            "radius": radius,
            "clipped": float((moved.abs() > self.clip).float().mean()),
            **{kind: float(self.budget.spent(kind)) for kind in self.kinds},
        }
