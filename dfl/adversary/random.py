"""Noise that knows nothing of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from dfl.adversary.base import AbstractAdversary, Victim, drawing, uniform
from dfl.montecarlo import Budget


@final
@dataclass(frozen=True)
class RandomAdversary(AbstractAdversary):
    """Moves every coordinate by uniform noise: what any other adversary must surpass.

    Parameters
    ----------
    epsilon : float
        Radius of the ball in the largest-coordinate norm.

    Examples
    --------
    >>> import torch
    >>> from dfl.adversary import RandomAdversary
    >>> noise = RandomAdversary(0.1).perturb(torch.zeros(100, 2), generator=torch.Generator())
    >>> bool(noise.abs().max() <= 0.1)
    True
    """

    epsilon: float

    def _perturb(
        self,
        inputs: Tensor,
        victim: Victim,
        generator: torch.Generator | None,
        radius: float,
        budget: Budget,
    ) -> Tensor:
        return inputs + radius * uniform(inputs, drawing(self, generator))
