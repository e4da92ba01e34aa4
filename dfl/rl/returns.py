"""What episodes side by side earn."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError


@final
class RunningReturns:
    """Add up the rewards of n episodes side by side, which begin anew where they end.

    Parameters
    ----------
    discount : float, default=1.0
        What the sum so far counts a step later.

    Attributes
    ----------
    sums : Tensor of float64 of shape (n,)
        Of the episodes that go on; empty before the first step.
    """

    def __init__(self, discount: float = 1.0) -> None:
        self.discount = discount
        self.sums = torch.zeros(0, dtype=torch.float64)

    def add(self, rewards: Tensor, over: Tensor) -> Tensor:
        """Add T steps, both (T, n); return the sums (T, n) with each, also where an episode ends.

        Parameters
        ----------
        rewards : Tensor of shape (T, n)
        over : Tensor of bool of shape (T, n)
            Where an episode ends with the step.
        """
        rewards = rewards.to(torch.float64)
        now = self.sums.to(rewards) if len(self.sums) else torch.zeros_like(rewards[0])
        rows = []
        for earned, ends in zip(rewards, over, strict=True):
            now = self.discount * now + earned
            rows.append(now)
            now = now.masked_fill(ends, 0.0)
        self.sums = now
        return torch.stack(rows)


def check_rewards(owner: str, rewards: Tensor) -> None:
    """Refuse rewards (..., n) of n environments that are not finite; see ``check_trainable``."""
    finite = rewards.isfinite()
    if not finite.all():
        first = int((~finite).reshape(-1, finite.shape[-1]).any(0).nonzero()[0])
        raise InvalidInputError(
            f"{f'{owner}: ' if owner else ''}got rewards that are not finite, first in environment "
            f"{first}"
        )
