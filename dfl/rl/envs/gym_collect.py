"""Steps of Gymnasium vector environments, whichever way they begin episodes anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from dfl._validation import check_at_least
from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget
from dfl.rl.envs.gym_spaces import Spaces
from dfl.rl.envs.model import State
from dfl.rl.envs.play import Decide
from dfl_solvers.exceptions import import_optional


@final
@dataclass(frozen=True)
class Transitions:
    """T successive steps of n environments.

    Attributes
    ----------
    observations : Tensor of shape (T, n, ...)
    actions : Tensor of shape (T, n) or (T, n, action_dim)
    rewards : Tensor of shape (T, n)
    terminated, truncated : Tensor of bool of shape (T, n)
        Never both.
    next_observations : Tensor of shape (T, n, ...)
        What the step led to; at the end of an episode its last observation, not the first of the
        next one: the value of a truncated episode is taken there.
    valid : Tensor of bool of shape (T, n)
        False where an environment began anew in place of a step: leave these out of everything.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    terminated: Tensor
    truncated: Tensor
    next_observations: Tensor
    valid: Tensor


@final
class GymnasiumCollector:
    """Collect steps of a Gymnasium vector environment; episodes go on from call to call.

    Vector environments begin episodes anew in three ways, in two of which the last observation of
    an episode or the first step of the next is easily mistaken. Here all give the same transitions.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv
        Environments side by side.

    Attributes
    ----------
    n_actions, action_dim : int or None
        Of ``Discrete`` and of bounded ``Box`` actions, which are from -1 to 1 here.

    Raises
    ------
    MissingDependencyError
        If Gymnasium is not installed.
    UnsupportedError
        If actions are of another space.
    InvalidInputError
        If it is not a vector environment.

    Examples
    --------
    >>> import gymnasium
    >>> import torch
    >>> from dfl.rl.envs import GymnasiumCollector, random_actions
    >>> collector = GymnasiumCollector(gymnasium.make_vec("CartPole-v1", num_envs=2))
    >>> act = lambda state, generator: random_actions(collector, len(state["shown"]), generator)
    >>> found = collector.collect(act, 50, generator=torch.Generator().manual_seed(0))
    >>> found.observations.shape
    torch.Size([50, 2, 4])
    >>> bool(found.terminated.any() and not found.valid.all())
    True
    """

    def __init__(self, envs: Any) -> None:
        modes = import_optional("gymnasium.vector", "rl").AutoresetMode
        if not hasattr(envs, "single_action_space"):
            raise InvalidInputError(
                f"GymnasiumCollector: got {envs!r}, expected a vector environment, such as "
                "gymnasium.make_vec gives"
            )
        self.envs = envs
        self._spaces = Spaces(envs.single_observation_space, envs.single_action_space)
        self.n_actions = self._spaces.n_actions
        self.action_dim = self._spaces.action_dim
        # an environment that does not say begins anew in the next step, as is the default
        mode = modes(envs.metadata.get("autoreset_mode", modes.NEXT_STEP))
        self._waits = mode == modes.NEXT_STEP
        self._asks = mode == modes.DISABLED
        self._rows = import_optional("gymnasium.vector.utils", "rl").iterate
        self._shown = torch.empty(0)
        self._started = False
        self._resets = np.zeros(envs.num_envs, dtype=bool)

    def observe(self, state: State) -> Tensor:
        """Return what is shown, so that policies of models act here too."""
        return state["shown"]

    def collect(
        self,
        decide: Decide,
        n_steps: int,
        *,
        generator: torch.Generator,
        budget: Budget | None = None,
    ) -> Transitions:
        """Take so many steps in each environment.

        Parameters
        ----------
        decide : callable
            From ``{"shown": (n, ...)}`` and a generator to n actions.
        n_steps : int
            Steps in each environment.
        generator : torch.Generator
            Seeds the environments, in the first call, and is handed to ``decide``.
        budget : Budget, optional
            Is charged ``"env_steps"``, one for each valid step.

        Returns
        -------
        Transitions
            What was seen, done and earned.

        Raises
        ------
        InvalidInputError
            If there is no step to take.
        BudgetError
            If the next step would exceed the limit.
        """
        check_at_least(1, self, n_steps=n_steps)
        if not self._started:
            seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
            self._shown = self._tensor(self.envs.reset(seed=seed)[0])
            self._started = True
        steps = [self._step(decide, generator, budget) for _ in range(n_steps)]
        return Transitions(*(torch.stack(column) for column in zip(*steps, strict=True)))

    def _step(
        self, decide: Decide, generator: torch.Generator, budget: Budget | None
    ) -> tuple[Tensor, ...]:
        before, valid = self._shown, ~self._resets
        if budget is not None:
            budget.charge("env_steps", int(valid.sum()))
        actions = decide({"shown": before}, generator)
        shown, rewards, terminated, truncated, infos = self.envs.step(
            self._spaces.taken(actions, len(before))
        )
        ended = terminated | truncated
        after = self._tensor(shown)
        following = after
        if ended.any() and not self._waits:
            if self._asks:
                following = self._tensor(self.envs.reset(options={"reset_mask": ended})[0])
            else:
                after = after.clone()
                last = [infos["final_obs"][i] for i in np.flatnonzero(ended)]
                after[torch.from_numpy(ended)] = self._spaces.shown(last)
        self._shown = following
        self._resets = ended if self._waits else np.zeros_like(ended)
        columns = (rewards, terminated, truncated & ~terminated)
        return (
            before,
            actions,
            *(torch.from_numpy(np.array(column)) for column in columns),
            after,
            torch.from_numpy(valid),
        )

    def _tensor(self, shown: Any) -> Tensor:
        return self._spaces.shown(list(self._rows(self.envs.observation_space, shown)))
