"""A pole on a cart, to be kept upright by pushes."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from dfl.rl.envs.model import State, checked_limit, out_of_time

_GRAVITY, _CART, _POLE, _LENGTH = 9.8, 1.0, 0.1, 0.5
_MASS, _MOMENT = _CART + _POLE, _POLE * _LENGTH
_FORCE, _SECONDS = 10.0, 0.02
_FARTHEST, _STEEPEST = 2.4, 12 * 2 * math.pi / 360


@final
class CartPole:
    r"""Push a cart left or right so that the pole on it does not fall.

    The dynamics are those of ``CartPole-v1`` of Gymnasium, for any number of carts at once.

    Parameters
    ----------
    max_steps : int or None, default=500
        Episodes are truncated after so many steps.

    Attributes
    ----------
    n_actions : int
        2: push left, or right.

    Raises
    ------
    InvalidInputError
        If no step is left.

    Notes
    -----
    A state is ``{"motion": (n, 4), "steps": (n,)}``: place (m), speed, angle (rad) and its speed,
    in double precision; observations are the motion. Each step earns 1. An episode terminates
    beyond 2.4 m or 12 degrees. One step of Euler's method takes 0.02 s:

    .. math::

        u &= (F + m_p l \dot\theta^2 \sin\theta) / m, \\
        \ddot\theta &= \frac{g \sin\theta - u \cos\theta}{l (4/3 - m_p \cos^2\theta / m)}, \quad
        \ddot x = u - m_p l \ddot\theta \cos\theta / m.

    References
    ----------
    Barto, Sutton & Anderson, "Neuronlike adaptive elements that can solve difficult learning
    control problems", IEEE Transactions on Systems, Man, and Cybernetics 13 (1983),
    doi 10.1109/TSMC.1983.6313077.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import CartPole, play
    >>> lean = lambda state, generator: (state["motion"][:, 2:].sum(1) > 0).long()
    >>> play(CartPole(), lean, 4, 500, generator=torch.Generator().manual_seed(0)) > 100
    tensor([True, True, True, True])
    """

    n_actions: int = 2
    action_dim: None = None

    def __init__(self, max_steps: int | None = 500) -> None:
        self.max_steps = checked_limit(max_steps, "CartPole")

    def reset(self, n: int, generator: torch.Generator) -> State:
        """Draw n carts near rest, uniformly within 0.05; see ``BatchedModel``."""
        motion = torch.rand(n, 4, generator=generator, dtype=torch.float64) * 0.1 - 0.05
        return {"motion": motion, "steps": torch.zeros(n, dtype=torch.int64)}

    def observe(self, state: State) -> Tensor:
        """Return the motion, (n, 4); see ``BatchedModel``."""
        return state["motion"].to(torch.float32)

    def step(
        self, state: State, actions: Tensor, generator: torch.Generator
    ) -> tuple[State, Tensor, Tensor, Tensor]:
        """Push each of n carts; see ``BatchedModel``."""
        place, speed, angle, turning = state["motion"].unbind(1)
        force = _FORCE * (2 * actions.to(place) - 1)
        cosine, sine = angle.cos(), angle.sin()
        push = (force + _MOMENT * turning**2 * sine) / _MASS
        lever = _LENGTH * (4 / 3 - _POLE * cosine**2 / _MASS)
        bend = (_GRAVITY * sine - cosine * push) / lever
        drive = push - _MOMENT * bend * cosine / _MASS
        motion = state["motion"] + _SECONDS * torch.stack([speed, drive, turning, bend], 1)
        terminated = (motion[:, 0].abs() > _FARTHEST) | (motion[:, 2].abs() > _STEEPEST)
        steps = state["steps"] + 1
        truncated = out_of_time(steps, self.max_steps, terminated)
        return {"motion": motion, "steps": steps}, torch.ones_like(place), terminated, truncated
