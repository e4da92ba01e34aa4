"""The adversary that does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from dfl.adversary.base import AbstractAdversary, Victim
from dfl.montecarlo import Budget


@final
@dataclass(frozen=True)
class IdentityAdversary(AbstractAdversary):
    """Leaves the inputs as they are: what robust methods are compared with.

    Parameters
    ----------
    epsilon : float, default=0.0
        Is kept so that adversaries can be exchanged; nothing moves.

    Examples
    --------
    >>> import torch
    >>> from dfl.adversary import IdentityAdversary
    >>> IdentityAdversary(0.1).perturb(torch.zeros(1, 2))
    tensor([[0., 0.]])
    """

    epsilon: float = 0.0

    def _perturb(
        self,
        inputs: Tensor,
        victim: Victim,
        generator: torch.Generator | None,
        radius: float,
        budget: Budget,
    ) -> Tensor:
        return inputs
