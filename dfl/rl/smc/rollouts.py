"""Episodes acted out by search, as a source of batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from dfl._validation import check_at_least, check_share
from dfl.montecarlo import Budget, WeightedSamples
from dfl.rl.envs.model import BatchedModel, State, acted, begin_anew
from dfl.rl.fitting import part, spent, trained_as
from dfl.rl.returns import RunningReturns, check_rewards
from dfl.rl.smc.learner import Learner, Steps
from dfl.rl.smc.replay import Replay
from dfl.rl.smc.search import SearchResult, smc_search
from dfl.rl.smc.targets import Weigh, as_searched, replayed


@final
class SMCRollouts:
    """Act by search in n environments at once, and yield batches of what was found.

    A pass collects a rollout of a number of steps in each environment, then yields batches of
    sequences of the latest rollouts. Environments go on where they were in the pass before; those
    whose episode ended start anew.

    Parameters
    ----------
    model : BatchedModel
        Where to act and to search.
    search : callable, default=smc_search
        How to look ahead and act: ``smc_search``, a ``functools.partial`` of it, or another
        function of the same arguments.
    weigh : callable, default=as_searched
        Which actions of replayed steps are to become likelier. Default: those that the search
        found, by its weights.
    n_environments : int, default=64
        Episodes side by side.
    rollout_length : int, default=16
        Steps in each environment in a pass.
    n_rollouts : int, default=8
        How many of the latest rollouts batches are drawn from.
    n_updates : int, default=16
        Batches in a pass.
    batch_size : int, default=32
        Sequences of ``rollout_length`` steps in a batch.
    discount : float, default=0.99
        What a reward counts a step later, in the targets of the values.
    trace : float, default=0.95
        How far these targets trust rewards rather than values; see ``generalized_advantages``.
    max_episode_steps : int, optional
        Truncate episodes after so many steps, whatever the model does. Default: never.
    budget : Budget, optional
        Is charged ``"env_steps"``, ``"model_steps"`` and ``"optimizer_steps"``.

    Attributes
    ----------
    budget : Budget
    summary : dict of str to float
        Of the last pass: ``episodes`` that ended and, if any did, their mean ``return``, the
        ``temperature``, the ``divergence`` of the weights of the searches from equal ones, that of
        the policy from its slow copy after the last batch, all parts added up
        (``policy_divergence``), and what was spent so far.

    Raises
    ------
    InvalidInputError
        If a number is out of range.

    Notes
    -----
    What was searched is not searched again: weights are as old as the rollout. Targets of the
    values are made anew for each batch, from the values of the slow copy. States are kept rather
    than observations, which are larger.
    """

    kinds: ClassVar[tuple[str, ...]] = ("env_steps", "model_steps", "optimizer_steps")

    def __init__(
        self,
        model: BatchedModel,
        search: Callable[..., SearchResult] = smc_search,
        weigh: Weigh = as_searched,
        *,
        n_environments: int = 64,
        rollout_length: int = 16,
        n_rollouts: int = 8,
        n_updates: int = 16,
        batch_size: int = 32,
        discount: float = 0.99,
        trace: float = 0.95,
        max_episode_steps: int | None = None,
        budget: Budget | None = None,
    ) -> None:
        check_at_least(
            1,
            "",
            n_environments=n_environments,
            rollout_length=rollout_length,
            n_rollouts=n_rollouts,
            n_updates=n_updates,
            batch_size=batch_size,
            max_episode_steps=1 if max_episode_steps is None else max_episode_steps,
        )
        check_share("", discount=discount, trace=trace)
        self.model = model
        self.search = search
        self.weigh = weigh
        self.n_environments = n_environments
        self.rollout_length = rollout_length
        self.n_updates = n_updates
        self.batch_size = batch_size
        self.discount = discount
        self.trace = trace
        self.max_episode_steps = max_episode_steps
        self.budget = Budget() if budget is None else budget
        self.summary: dict[str, float] = {}
        self._replay = Replay(n_rollouts)
        self._state: State | None = None
        self._lengths = torch.zeros(n_environments, dtype=torch.int64)
        self._returns = RunningReturns()

    def batches(
        self, model: nn.Module, generator: torch.Generator
    ) -> Iterator[tuple[Steps, WeightedSamples]]:
        """Collect a rollout, and yield batches for the ``Learner`` that is trained."""
        learner = trained_as(self, model, Learner)
        learner.eval()
        self._replay.add(self._collect(learner, generator))
        learner.train()
        for _ in range(self.n_updates):
            self.budget.charge("optimizer_steps", 1)
            steps, samples = self._batch(learner, generator)
            yield steps, samples
            learner.follow()
        learner.eval()  # what is looked at only moves no running mean
        self._summarize(learner, steps)

    def state_dict(self) -> dict[str, Tensor]:
        """Return all that the next pass depends on, so that a killed run goes on as it was."""
        found = {f"replay.{k}": v for k, v in self._replay.state_dict().items()}
        found |= {f"state.{k}": v for k, v in (self._state or {}).items()}
        return found | {
            "lengths": self._lengths,
            "returns": self._returns.sums,
            "spent": self.budget.spent_on(self.kinds),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` returned; what was spent is charged."""
        # files are read to the CPU, and the model may be elsewhere
        first = self.model.reset(1, torch.Generator())
        device = next(iter(first.values())).device
        self._replay.load_state_dict({k: v.to(device) for k, v in part(state, "replay.").items()})
        self._state = {k: v.to(device) for k, v in part(state, "state.").items()} or None
        self._lengths, self._returns.sums = state["lengths"], state["returns"]
        self.budget.charge_all(self.kinds, state["spent"])

    @torch.no_grad()
    def _collect(self, learner: Learner, generator: torch.Generator) -> dict[str, Tensor]:
        """Act ``rollout_length`` times in each environment; return what happened, (n, l, ...)."""
        n, temperature = self.n_environments, learner.temperature
        if self._state is None:
            self._state = self.model.reset(n, generator)
        taken: list[dict[str, Tensor]] = []
        for _ in range(self.rollout_length):
            state = self._state
            found = self.search(
                self.model,
                learner.network,
                state,
                temperature=temperature,
                generator=generator,
                budget=self.budget,
            )
            self.budget.charge("env_steps", n)
            after, rewards, terminated, truncated = acted(
                self.model, state, found.actions, generator
            )
            check_rewards(type(self.model).__name__, rewards)
            self._lengths = self._lengths + 1
            if self.max_episode_steps is not None:
                late = self._lengths.to(terminated.device) >= self.max_episode_steps
                truncated = truncated | (late & ~terminated)
            over = terminated | truncated
            taken.append(_step(state, after, rewards, terminated, truncated, found))
            self._lengths = self._lengths.masked_fill(over.cpu(), 0)
            self._state = begin_anew(self.model, after, over, generator)
        rollout = {name: torch.stack([step[name] for step in taken], 1) for name in taken[0]}
        over = (rollout["terminated"] | rollout["truncated"]).T.cpu()
        earned = self._returns.add(rollout["rewards"].T.cpu(), over)[over]
        weights = rollout["weights"]
        apart = torch.xlogy(weights, weights).sum(2).mean() + math.log(weights.shape[2])
        self.summary = {
            "episodes": float(len(earned)),
            "temperature": temperature,
            "divergence": float(apart),
        }
        if len(earned):
            self.summary["return"] = float(earned.mean())
        return rollout

    @torch.no_grad()
    def _batch(self, learner: Learner, generator: torch.Generator) -> tuple[Steps, WeightedSamples]:
        """Draw sequences, make targets for the values by the slow copy, and weigh actions."""
        drawn = self._replay.sample(self.batch_size, generator)
        seen = replayed(self.model, learner, drawn, discount=self.discount, trace=self.trace)
        return self.weigh(learner, seen, generator)

    @torch.no_grad()
    def _summarize(self, learner: Learner, steps: Steps) -> None:
        parameters, _ = learner.network(steps.observations)
        apart = learner.law.divergences(steps.reference, parameters).mean(0).sum()
        self.summary["policy_divergence"] = float(apart)
        self.summary |= spent(self.budget, self.kinds)


def _step(
    state: State,
    after: State,
    rewards: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    found: SearchResult,
) -> dict[str, Tensor]:
    """Name all that is kept of a step."""
    return {
        **{f"state.{k}": v for k, v in state.items()},
        **{f"after.{k}": v for k, v in after.items()},
        "rewards": rewards,
        "terminated": terminated,
        "truncated": truncated,
        "raw": found.samples.actions,
        "weights": found.samples.weights,
        "advantages": found.advantages,
    }
