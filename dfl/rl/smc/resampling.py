"""How particles are drawn anew in proportion to their weights, and when that is due."""

from __future__ import annotations

import torch
from torch import Tensor


def effective_sample_size(weights: Tensor) -> Tensor:
    """Return how many equal weights are as good as the given ones.

    Parameters
    ----------
    weights : Tensor of shape (n, k)
        Not negative; each row sums to one.

    Returns
    -------
    Tensor of shape (n,)
        ``1 / sum_k weights_k^2``, from 1 to k.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.smc import effective_sample_size
    >>> effective_sample_size(torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]]))
    tensor([2., 4.])
    """
    return 1 / (weights**2).sum(1)


def multinomial(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Draw k of k particles independently, in proportion to their weights.

    Parameters
    ----------
    weights : Tensor of shape (n, k)
        Not negative; each row sums to one.
    generator : torch.Generator
        Draws the particles.

    Returns
    -------
    Tensor of int64 of shape (n, k)
        Numbers of particles.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.smc import multinomial
    >>> multinomial(torch.tensor([[0.0, 1.0, 0.0]]), torch.Generator().manual_seed(0))
    tensor([[1, 1, 1]])
    """
    n_drawn, chances = weights.shape[1], weights.to(generator.device)
    drawn = torch.multinomial(chances, n_drawn, replacement=True, generator=generator)
    return drawn.to(weights.device)


def systematic(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Draw k of k particles by one random shift of a grid, which varies less than ``multinomial``.

    Parameters
    ----------
    weights : Tensor of shape (n, k)
        Not negative; each row sums to one.
    generator : torch.Generator
        Draws the shift.

    Returns
    -------
    Tensor of int64 of shape (n, k)
        Numbers of particles, in order; each occurs less than one time more or less often than
        ``k weight``.

    References
    ----------
    Carpenter, Clifford & Fearnhead, "Improved particle filter for nonlinear problems", IEE
    Proceedings 146 (1999), doi 10.1049/ip-rsn:19990255.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.smc import systematic
    >>> weights = torch.tensor([[0.5, 0.25, 0.25, 0.0]])
    >>> systematic(weights, torch.Generator().manual_seed(0))
    tensor([[0, 0, 1, 2]])
    """
    n, k = weights.shape
    # in double precision, with the end exactly at one, so that no weight of zero is drawn
    ends = weights.double().cumsum(1)
    ends = ends / ends[:, -1:]
    shift = torch.rand(n, 1, dtype=torch.float64, generator=generator, device=generator.device)
    grid = (torch.arange(k, device=weights.device) + shift.to(weights.device)) / k
    return torch.searchsorted(ends, grid, right=True).clamp(max=k - 1)
