"""Laws of noise on costs: how it is drawn, how it changes costs, and the score of its density."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, final

import numpy as np
import torch
from torch import Tensor

from dfl._validation import check_above_zero, check_at_least
from dfl.exceptions import InvalidInputError

# the mean of a standard Gumbel variable
_EULER = 0.5772156649015329


class Noise(Protocol):
    """A law of noise with a density, so that expectations under it have a gradient."""

    def draw(self, shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
        """Draw noise of a shape, in the type and on the device of ``like``."""
        ...

    def perturb(self, costs: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Return costs (n, k, d) that noise (n, k, d) of size ``sigma`` makes of costs (n, d)."""
        ...

    def score(self, costs: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Gradient in the costs (n, d) of the log density of the perturbed costs, (n, k, d)."""
        ...


@final
@dataclass(frozen=True)
class Normal:
    """Normal noise, added to the costs: ``c + sigma Z``.

    Examples
    --------
    >>> import torch
    >>> noise = Normal().draw((2, 3), torch.zeros(1), torch.Generator().manual_seed(0))
    >>> noise.shape, noise.dtype
    (torch.Size([2, 3]), torch.float32)
    """

    def draw(self, shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
        """Draw standard normal noise; see ``Noise``."""
        device = generator.device
        noise = torch.randn(shape, generator=generator, dtype=like.dtype, device=device)
        return noise.to(like.device)

    def perturb(self, costs: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Return ``c + sigma Z``; see ``Noise``."""
        return torch.add(costs[:, None], noise, alpha=sigma)

    def score(self, costs: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Return ``Z / sigma``; see ``Noise``."""
        return noise / sigma


@final
@dataclass(frozen=True)
class Gumbel:
    """Gumbel noise of mean zero, subtracted from the costs: ``c - sigma G``.

    On a simplex the expected decision is then ``softmax(-c / sigma)``, and the least expected cost
    ``-sigma logsumexp(-c / sigma)``.

    References
    ----------
    Gumbel, "Statistical theory of extreme values and some practical applications", 1954. Maddison,
    Tarlow & Minka, "A* sampling", NeurIPS 2014, arXiv 1411.0030.

    Examples
    --------
    >>> import torch
    >>> noise = Gumbel().draw((100_000,), torch.zeros(1), torch.Generator().manual_seed(0))
    >>> abs(noise.mean().item()) < 0.02  # the variance is pi^2 / 6
    True
    """

    def draw(self, shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
        """Draw standard Gumbel noise less its mean; see ``Noise``."""
        exponential = torch.empty(shape, dtype=like.dtype, device=generator.device)
        exponential.exponential_(generator=generator)
        return exponential.log_().neg_().sub_(_EULER).to(like.device)

    def perturb(self, costs: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Return ``c - sigma G``; see ``Noise``."""
        return torch.sub(costs[:, None], noise, alpha=sigma)

    def score(self, costs: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Return ``(exp(-G - mean) - 1) / sigma``; see ``Noise``."""
        return torch.expm1(-noise - _EULER) / sigma


@final
@dataclass(frozen=True)
class LogNormal:
    """Noise of mean one that multiplies the costs: ``c exp(sigma Z - sigma^2 / 2)``.

    Costs keep their signs, for oracles that accept one sign only; a cost of zero stays zero.

    References
    ----------
    Dalle, Baty, Bouvier & Parmentier, "Learning with Combinatorial Optimization Layers: a
    Probabilistic Approach", 2022, arXiv 2207.13513.

    Examples
    --------
    >>> import torch
    >>> law, costs = LogNormal(), torch.tensor([[1.0, -2.0, 0.0]])
    >>> noise = law.draw((1, 100_000, 3), costs, torch.Generator().manual_seed(0))
    >>> law.perturb(costs, noise, 0.5).mean(1).round(decimals=1)
    tensor([[ 1., -2.,  0.]])
    """

    def draw(self, shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
        """Draw standard normal noise, the logarithm of the factor; see ``Noise``."""
        return Normal().draw(shape, like, generator)

    def perturb(self, costs: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Return ``c exp(sigma Z - sigma^2 / 2)``; see ``Noise``."""
        return costs[:, None] * torch.exp(sigma * noise - sigma**2 / 2)

    def score(self, costs: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Return ``Z / (sigma c)``, zero where the cost is zero; see ``Noise``."""
        scale = torch.where(costs == 0, torch.inf, sigma * costs)
        return noise / scale[:, None]


@final
@dataclass(frozen=True)
class SumOfGamma:
    r"""Noise whose sum over ``kappa`` coordinates is nearly Gumbel: that of I-MLE.

    Sets of decisions that choose kappa of the items then have nearly the Gibbs distribution. The
    density has no bounded score, so that it serves to sample only.

    Parameters
    ----------
    kappa : float, default=5.0
        Number of items that a decision chooses, such as the edges of a path.
    n_iterations : int, default=10
        Number of terms; more come nearer to Gumbel.

    Notes
    -----
    ``(1/kappa) (sum_{i=1}^s Gamma(1/kappa, scale kappa/i) - log s)`` for s terms.

    References
    ----------
    Niepert, Minervini & Franceschi, "Implicit MLE: Backpropagating Through Discrete Exponential
    Family Distributions", NeurIPS 2021, arXiv 2106.01798.

    Examples
    --------
    >>> import torch
    >>> draws = SumOfGamma(kappa=3.0).draw(
    ...     (100_000, 3), torch.zeros(1), torch.Generator().manual_seed(0)
    ... )
    >>> abs(draws.sum(1).mean().item() - 0.63) < 0.02  # the tenth harmonic number less log 10
    True
    """

    kappa: float = 5.0
    n_iterations: int = 10

    def __post_init__(self) -> None:
        check_above_zero(self, kappa=self.kappa)
        check_at_least(1, self, n_iterations=self.n_iterations)

    def draw(self, shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
        """Draw sum-of-gamma noise of a shape, in the type and on the device of ``like``."""
        # NumPy draws them some times faster, and torch takes no generator for them in public
        seed = torch.randint(2**62, (), generator=generator, device=generator.device)
        rng = np.random.default_rng(int(seed))
        dtype: type = np.float64 if like.dtype == torch.float64 else np.float32
        total: np.ndarray = np.full(shape, -math.log(self.n_iterations), dtype)
        for i in range(1, self.n_iterations + 1):
            total += rng.standard_gamma(1 / self.kappa, shape, dtype) * dtype(self.kappa / i)
        total /= dtype(self.kappa)
        return torch.from_numpy(total).to(like)


NOISES: Mapping[str, Noise] = MappingProxyType(
    {"normal": Normal(), "gumbel": Gumbel(), "multiplicative": LogNormal()}
)


def noise_by_name(name: str) -> Noise:
    """Return a law of noise by its name.

    Parameters
    ----------
    name : {"normal", "gumbel", "multiplicative"}

    Returns
    -------
    Noise
        The law, with its default parameters.

    Raises
    ------
    InvalidInputError
        If there is no such law.

    Examples
    --------
    >>> noise_by_name("normal")
    Normal()
    """
    if name not in NOISES:
        raise InvalidInputError(f"got noise {name!r}, expected one of: {', '.join(NOISES)}")
    return NOISES[name]
