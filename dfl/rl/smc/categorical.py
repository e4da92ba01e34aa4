"""Policies over a number of actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class Categorical:
    """One of some actions, with probabilities that are the softmax of logits; see ``ActionLaw``.

    Raw actions are the actions, whole numbers. The divergence has one part.

    Parameters
    ----------
    size : int
        Number of actions, and of logits. A logit of minus infinity rules an action out.
    """

    size: int
    budgets: tuple[float, ...] = (1e-2,)

    def wrong(self, parameters: Tensor) -> Tensor:
        """Return rows that are NaN or infinite, or rule every action out."""
        return ~parameters.amax(1).isfinite()

    def draw(self, parameters: Tensor, k: int, generator: torch.Generator) -> Tensor:
        """Draw k actions for each row of logits, (n, k)."""
        # by the inverse of the distribution, in double precision, so that what has no probability
        # is not drawn by rounding; several times as fast as torch.multinomial
        ends = parameters.double().softmax(1).cumsum(1)
        shape = (len(parameters), k)
        uniform = torch.rand(
            shape, dtype=torch.float64, generator=generator, device=generator.device
        )
        return torch.searchsorted(ends, uniform.to(ends) * ends[:, -1:], right=True)

    def best(self, parameters: Tensor) -> Tensor:
        """Return the likeliest action of each row, (n,)."""
        return parameters.argmax(1)

    def action(self, raw: Tensor) -> Tensor:
        """Return the actions themselves."""
        return raw

    def log_prob(self, parameters: Tensor, reference: Tensor, raw: Tensor) -> Tensor:
        """Return the logarithms of the probabilities of actions (n, k)."""
        return parameters.log_softmax(1).gather(1, raw)

    def divergences(self, reference: Tensor, parameters: Tensor) -> Tensor:
        """Return the divergence of each row, (n, 1)."""
        old, new = reference.log_softmax(1), parameters.log_softmax(1)
        # an action that both rule out is none
        apart = torch.where(old.isneginf(), 0.0, old - new)
        return (old.exp() * apart).sum(1, keepdim=True)
