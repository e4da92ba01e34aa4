"""A pendulum that is to be swung up: continuous actions."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from dfl.rl.envs.model import State, checked_limit, out_of_time

_GRAVITY, _SECONDS, _FASTEST, _TORQUE = 10.0, 0.05, 8.0, 2.0


@final
class Pendulum:
    r"""Swing a pendulum up by a torque that is too weak to lift it at once, and keep it there.

    The dynamics are those of ``Pendulum-v1`` of Gymnasium, for any number of pendulums at once.

    Parameters
    ----------
    max_steps : int or None, default=200
        Episodes are truncated after so many steps; they never terminate.

    Attributes
    ----------
    action_dim : int
        1: the torque, from -1 to 1, in units of 2 N m.

    Raises
    ------
    InvalidInputError
        If no step is left.

    Notes
    -----
    A state is ``{"motion": (n, 2), "steps": (n,)}``: angle (rad, zero is upright) and its speed, in
    double precision; observations are cosine and sine of the angle, and the speed. A step of 0.05 s
    with torque u earns

    .. math:: -\theta^2 - 0.1 \dot\theta^2 - 0.001 u^2,

    with the angle between :math:`-\pi` and :math:`\pi`, before it moves:

    .. math::

        \dot\theta' = \mathrm{clip}(\dot\theta + 0.05 (15 \sin\theta + 3 u), -8, 8), \quad
        \theta' = \theta + 0.05\, \dot\theta'.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import Pendulum
    >>> upright = {"motion": torch.zeros(1, 2, dtype=torch.float64), "steps": torch.zeros(1)}
    >>> still = torch.zeros(1, 1)
    >>> Pendulum().step(upright, still, torch.Generator())[1].item()
    -0.0
    """

    n_actions: None = None
    action_dim: int = 1

    def __init__(self, max_steps: int | None = 200) -> None:
        self.max_steps = checked_limit(max_steps, "Pendulum")

    def reset(self, n: int, generator: torch.Generator) -> State:
        """Draw n pendulums at any angle, at speeds up to one; see ``BatchedModel``."""
        most = torch.tensor([math.pi, 1.0], dtype=torch.float64)
        motion = (2 * torch.rand(n, 2, generator=generator, dtype=torch.float64) - 1) * most
        return {"motion": motion, "steps": torch.zeros(n, dtype=torch.int64)}

    def observe(self, state: State) -> Tensor:
        """Return cosine, sine and speed, (n, 3); see ``BatchedModel``."""
        angle, speed = state["motion"].unbind(1)
        return torch.stack([angle.cos(), angle.sin(), speed], 1).to(torch.float32)

    def step(
        self, state: State, actions: Tensor, generator: torch.Generator
    ) -> tuple[State, Tensor, Tensor, Tensor]:
        """Turn each of n pendulums; see ``BatchedModel``."""
        angle, speed = state["motion"].unbind(1)
        torque = _TORQUE * actions.squeeze(1).to(angle).clamp(-1, 1)
        # the angle is not kept between bounds, so that it is the same to rounding as elsewhere
        off = (angle + math.pi) % (2 * math.pi) - math.pi
        rewards = -(off**2 + 0.1 * speed**2 + 0.001 * torque**2)
        pull = 1.5 * _GRAVITY * angle.sin() + 3 * torque
        speed = (speed + _SECONDS * pull).clamp(-_FASTEST, _FASTEST)
        motion = torch.stack([angle + _SECONDS * speed, speed], 1)
        steps = state["steps"] + 1
        terminated = torch.zeros_like(steps, dtype=torch.bool)
        truncated = out_of_time(steps, self.max_steps, terminated)
        return {"motion": motion, "steps": steps}, rewards, terminated, truncated
