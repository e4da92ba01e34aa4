"""An adversary that is itself a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from dfl.adversary.base import AbstractAdversary, Victim
from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget


@final
@dataclass(frozen=True)
class LearnedAdversary(AbstractAdversary):
    """Moves inputs as a network says that was trained to do harm.

    Parameters
    ----------
    epsilon : float
        Radius of the ball in the largest-coordinate norm.
    network : nn.Module
        From inputs (n, ...) to offsets of the same shape in units of the radius, cut to -1 to 1.

    References
    ----------
    Zhang, Chen, Boning & Hsieh, "Robust Reinforcement Learning on State Observations with Learned
    Optimal Adversary", ICLR 2021, arXiv 2101.08452.

    Examples
    --------
    >>> import torch
    >>> from dfl.adversary import LearnedAdversary
    >>> LearnedAdversary(0.1, torch.nn.Identity()).perturb(torch.tensor([[0.5, -9.0]]))
    tensor([[ 0.5500, -9.1000]])
    """

    epsilon: float
    network: nn.Module

    def _perturb(
        self,
        inputs: Tensor,
        victim: Victim,
        generator: torch.Generator | None,
        radius: float,
        budget: Budget,
    ) -> Tensor:
        budget.charge("attack_evaluations", len(inputs))
        with torch.no_grad():
            offset = self.network(inputs)
        if offset.shape != inputs.shape:
            raise InvalidInputError(
                f"LearnedAdversary: the network returned offsets of shape {tuple(offset.shape)}, "
                f"expected {tuple(inputs.shape)}, the shape of the inputs"
            )
        return inputs + radius * offset.clamp(-1, 1)
