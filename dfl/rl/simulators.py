"""What policies that act in environments ask of these, and how a simulator is told."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.rl.envs.model import BatchedModel, State, random_actions
from dfl.rl.seeds import seeded

Actions = tuple[int | None, int | None]
"""The number of actions, or that of coordinates of continuous ones; the other is None."""


def check_actions(owner: object, env: object, found: Actions, learned: Actions) -> None:
    """Refuse an environment whose actions are not those that were learned."""
    if found != learned:
        raise InvalidInputError(
            f"{type(owner).__name__}: got a {type(env).__name__} with n_actions={found[0]} and "
            f"action_dim={found[1]}, expected {learned[0]} and {learned[1]}, as in fit"
        )


def check_observations(observations: Any, shape: tuple[int, ...]) -> Tensor:
    """Return observations as a tensor, if each has the shape of those that were learned from."""
    given = torch.as_tensor(observations)
    if tuple(given.shape[1:]) != shape:
        raise InvalidInputError(
            f"decide: got observations of shape {tuple(given.shape)}, expected "
            f"(n, {', '.join(map(str, shape))})"
        )
    return given


def shown_by(model: BatchedModel, seed: int) -> tuple[State, list[Tensor]]:
    """Return states that a simulator draws, and what it shows and pays in and after them.

    Its code cannot be compared; what it does is as telling.
    """
    generator = seeded(seed)
    state = model.reset(64, generator)
    after, *earned = model.step(state, random_actions(model, 64, generator), generator)
    return state, [model.observe(state), model.observe(after), *earned]
