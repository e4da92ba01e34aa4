"""Steps of environments side by side, whether these are a simulator or Gymnasium's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget
from dfl.rl.envs.gym_collect import GymnasiumCollector, Transitions
from dfl.rl.envs.model import BatchedModel, State, acted, begin_anew
from dfl.rl.envs.play import Decide, play
from dfl_solvers.exceptions import import_optional


class Collector(Protocol):
    """What takes steps in environments, whose episodes go on from call to call."""

    n_actions: int | None
    action_dim: int | None

    def observe(self, state: State, /) -> Tensor:
        """Return what is seen of the states that ``decide`` is given, (n, ...)."""
        ...

    def collect(
        self,
        decide: Decide,
        n_steps: int,
        *,
        generator: torch.Generator,
        budget: Budget | None = None,
    ) -> Transitions:
        """Take so many steps in each environment."""
        ...


@final
class ModelCollector:
    """Collect steps of a batched simulator, as ``GymnasiumCollector`` does of Gymnasium's.

    Parameters
    ----------
    model : BatchedModel
    n : int
        Episodes side by side.
    max_episode_steps : int, optional
        Truncate episodes after so many steps, whatever the model does.
    """

    def __init__(self, model: BatchedModel, n: int, max_episode_steps: int | None = None) -> None:
        self.model = model
        self.n_actions = model.n_actions
        self.action_dim = model.action_dim
        self._n = n
        self._most = max_episode_steps
        self._state: State | None = None
        self._lengths = torch.zeros(n, dtype=torch.int64)

    def observe(self, state: State) -> Tensor:
        """Return what the model shows."""
        return self.model.observe(state)

    def collect(
        self,
        decide: Decide,
        n_steps: int,
        *,
        generator: torch.Generator,
        budget: Budget | None = None,
    ) -> Transitions:
        """Take so many steps in each environment; see ``GymnasiumCollector.collect``."""
        state = self.model.reset(self._n, generator) if self._state is None else self._state
        steps = []
        for _ in range(n_steps):
            state, step = self._step(state, decide, generator, budget)
            steps.append(step)
        self._state = state
        return Transitions(*(torch.stack(column) for column in zip(*steps, strict=True)))

    def state_dict(self) -> dict[str, Tensor]:
        """Return where the episodes are."""
        return {**(self._state or {}), "lengths.": self._lengths}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` returned."""
        first = next(iter(self.model.reset(1, torch.Generator()).values()))
        self._lengths = state["lengths."].to(first.device)
        found = {k: v.to(first.device) for k, v in state.items() if k != "lengths."}
        self._state = found or None

    def _step(
        self, state: State, decide: Decide, generator: torch.Generator, budget: Budget | None
    ) -> tuple[State, tuple[Tensor, ...]]:
        if budget is not None:
            budget.charge("env_steps", self._n)
        actions = decide(state, generator)
        after, rewards, terminated, truncated = acted(self.model, state, actions, generator)
        self._lengths = self._lengths.to(rewards.device) + 1
        if self._most is not None:
            truncated = truncated | ((self._lengths >= self._most) & ~terminated)
        over = terminated | truncated
        self._lengths = self._lengths.masked_fill(over, 0)
        shown, seen = self.observe(state), self.observe(after)
        valid = torch.ones_like(over)
        step = shown, actions, rewards, terminated, truncated, seen, valid
        return begin_anew(self.model, after, over, generator), step


def shape_of(collector: Collector) -> tuple[int, ...]:
    """Return the shape of an observation."""
    if isinstance(collector, GymnasiumCollector):
        spaces = import_optional("gymnasium.spaces", "rl")
        shown = collector.envs.single_observation_space
        return tuple(shown.shape) if isinstance(shown, spaces.Box) else (spaces.flatdim(shown),)
    if isinstance(collector, ModelCollector):
        first = collector.model.reset(2, torch.Generator().manual_seed(0))
        return tuple(collector.observe(first).shape[1:])
    other: Any = collector
    return tuple(other.shape)


def collector_of(env: Any, n_environments: int, max_episode_steps: int | None) -> Collector:
    """Return what takes steps in a batched simulator, or in a Gymnasium vector environment.

    What can take steps already is returned as it is.

    Raises
    ------
    InvalidInputError
        If it is neither.
    """
    if hasattr(env, "collect"):
        ready: Collector = env
        return ready
    if hasattr(env, "single_action_space"):
        return GymnasiumCollector(env)
    if all(hasattr(env, name) for name in ("reset", "observe", "step")):
        return ModelCollector(env, n_environments, max_episode_steps)
    raise InvalidInputError(
        f"got an environment of type {type(env).__name__}, expected a batched simulator, such as "
        "those of dfl.rl.envs, or a vector environment, such as gymnasium.make_vec gives"
    )


def episode_returns(
    env: Any,
    decide: Callable[[Tensor, torch.Generator], Tensor],
    n_episodes: int,
    max_steps: int,
    *,
    generator: torch.Generator,
    budget: Budget | None = None,
) -> Tensor:
    """Return what whole episodes earned, (n_episodes,), not discounted.

    ``decide`` takes observations (n, ...) and a generator. In a vector environment, each of its
    environments plays as many episodes as the others, so that short ones are not preferred.
    """
    if not hasattr(env, "single_action_space"):
        return play(
            env,
            lambda state, generator: decide(env.observe(state), generator),
            n_episodes,
            max_steps,
            generator=generator,
            budget=budget,
        )
    if n_episodes < 1:
        raise InvalidInputError(f"got n_episodes={n_episodes}, expected at least 1")
    collector = GymnasiumCollector(env)
    each = -(-n_episodes // env.num_envs)
    sums: list[list[float]] = [[0.0] for _ in range(env.num_envs)]
    lengths = [0] * env.num_envs
    while any(len(own) <= each for own in sums):
        steps = collector.collect(
            lambda state, generator: decide(state["shown"], generator),
            1,
            generator=generator,
            budget=budget,
        )
        over = (steps.terminated | steps.truncated)[0].tolist()
        for i, (earned, valid) in enumerate(
            zip(steps.rewards[0].tolist(), steps.valid[0].tolist(), strict=True)
        ):
            if valid and len(sums[i]) <= each:
                sums[i][-1] += earned
                lengths[i] += 1
                # an episode without end counts as far as it was played
                if over[i] or lengths[i] >= max_steps:
                    sums[i].append(0.0)
                    lengths[i] = 0
    played = [own[k] for k in range(each) for own in sums]
    return torch.tensor(played[:n_episodes], dtype=torch.float64)
