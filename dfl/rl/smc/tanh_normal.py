"""Policies over actions from -1 to 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

# a policy that has no spread left explores nothing, and its divergences are not finite
_SMALLEST = 1e-3


@final
@dataclass(frozen=True)
class TanhNormal:
    r"""Independent normal coordinates, squeezed between -1 and 1 by tanh; see ``ActionLaw``.

    Raw actions are the normal ones, before tanh: the squeeze is the same for all policies, so that
    divergences and differences of log-likelihoods are those of the normals, and no inverse of tanh
    is taken at the bounds.

    Parameters
    ----------
    dim : int
        Number d of coordinates. Parameters are d means m and d numbers r that make standard
        deviations ``s = log(1 + exp(r)) + 0.001``.

    Notes
    -----
    Means and deviations are updated apart, each against its own trust region in each coordinate, so
    that the policy moves fast and narrows slowly. The likelihood is the sum of those of the new
    mean with the old deviation and of the old mean with the new deviation; of the 2 d parts of the
    divergence, the first d are ``(m - m_old)^2 / (2 s_old^2)``, and the others
    ``log(s / s_old) + s_old^2 / (2 s^2) - 1/2``.

    References
    ----------
    Abdolmaleki et al., "Relative Entropy Regularized Policy Iteration", 2018, arXiv 1812.02256.
    """

    dim: int

    @property
    def size(self) -> int:
        """Twice the number of coordinates."""
        return 2 * self.dim

    @property
    def budgets(self) -> tuple[float, ...]:
        """Those of the means, and those of the deviations."""
        return (5e-2,) * self.dim + (5e-4,) * self.dim

    def wrong(self, parameters: Tensor) -> Tensor:
        """Return rows that are not finite."""
        return ~parameters.isfinite().all(1)

    def draw(self, parameters: Tensor, k: int, generator: torch.Generator) -> Tensor:
        """Draw k raw actions for each row, (n, k, d)."""
        mean, deviation = self._split(parameters)
        shape = (len(parameters), k, self.dim)
        noise = torch.randn(
            shape, generator=generator, dtype=parameters.dtype, device=generator.device
        )
        return mean[:, None] + deviation[:, None] * noise.to(mean)

    def best(self, parameters: Tensor) -> Tensor:
        """Return the means, (n, d)."""
        return self._split(parameters)[0]

    def action(self, raw: Tensor) -> Tensor:
        """Return actions from -1 to 1."""
        return raw.tanh()

    def log_prob(self, parameters: Tensor, reference: Tensor, raw: Tensor) -> Tensor:
        """Return the sum of the two log-likelihoods of raw actions, (n, k)."""
        mean, deviation = self._split(parameters)
        old_mean, old_deviation = self._split(reference)
        return _log_normal(raw, mean, old_deviation) + _log_normal(raw, old_mean, deviation)

    def divergences(self, reference: Tensor, parameters: Tensor) -> Tensor:
        """Return the divergences of means and of deviations of each row, (n, 2 d)."""
        mean, deviation = self._split(parameters)
        old_mean, old_deviation = self._split(reference)
        moved = (mean - old_mean) ** 2 / (2 * old_deviation**2)
        ratio = old_deviation / deviation
        narrowed = ratio**2 / 2 - ratio.log() - 0.5
        return torch.cat([moved, narrowed], 1)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = parameters.chunk(2, 1)
        return mean, torch.nn.functional.softplus(raw) + _SMALLEST


def _log_normal(raw: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Return log-densities of raw actions (n, k, d), summed over coordinates: (n, k)."""
    offset = (raw - mean[:, None]) / deviation[:, None]
    terms = -0.5 * offset**2 - deviation.log()[:, None] - 0.5 * math.log(2 * math.pi)
    return terms.sum(2)
