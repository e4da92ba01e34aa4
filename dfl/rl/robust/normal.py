"""Policies over continuous actions whose spread does not depend on the state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class DiagonalNormal:
    r"""Independent normal coordinates, cut off at -1 and 1 when acting; see ``ActionLaw``.

    Raw actions are the normal ones. Likelihoods and divergences are those of the normals, as is
    usual in proximal policy optimization.

    Parameters
    ----------
    dim : int
        Number d of coordinates. Parameters are d means and d logarithms of standard deviations.

    Notes
    -----
    The divergence of two policies with one deviation is
    :math:`\sum_j (m_j - m'_j)^2 / (2 \sigma_j^2)`: its only part here.
    """

    dim: int
    budgets: tuple[float, ...] = (1e-2,)

    @property
    def size(self) -> int:
        """Twice the number of coordinates."""
        return 2 * self.dim

    def wrong(self, parameters: Tensor) -> Tensor:
        """Return rows that are not finite."""
        return ~parameters.isfinite().all(1)

    def draw(self, parameters: Tensor, k: int, generator: torch.Generator) -> Tensor:
        """Draw k raw actions for each row, (n, k, d)."""
        mean, log_deviation = parameters.chunk(2, 1)
        shape = (len(parameters), k, self.dim)
        noise = torch.randn(
            shape, generator=generator, dtype=parameters.dtype, device=generator.device
        )
        return mean[:, None] + log_deviation.exp()[:, None] * noise.to(mean)

    def best(self, parameters: Tensor) -> Tensor:
        """Return the means, (n, d)."""
        return parameters[:, : self.dim]

    def action(self, raw: Tensor) -> Tensor:
        """Return actions from -1 to 1."""
        return raw.clamp(-1.0, 1.0)

    def log_prob(self, parameters: Tensor, reference: Tensor, raw: Tensor) -> Tensor:
        """Return the log-densities of raw actions (n, k, d), of shape (n, k)."""
        mean, log_deviation = parameters[:, None].chunk(2, 2)
        offset = (raw - mean) * (-log_deviation).exp()
        return (-0.5 * offset**2 - log_deviation - 0.5 * math.log(2 * math.pi)).sum(2)

    def divergences(self, reference: Tensor, parameters: Tensor) -> Tensor:
        """Return the divergence of each row from a reference, (n, 1)."""
        old_mean, old_log = reference.chunk(2, 1)
        mean, log_deviation = parameters.chunk(2, 1)
        widths = 2 * (old_log - log_deviation)
        moved = (old_mean - mean) ** 2 * (-2 * log_deviation).exp()
        return 0.5 * (widths.exp() + moved - 1 - widths).sum(1, keepdim=True)
