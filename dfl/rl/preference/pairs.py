"""The best of some candidates against the worst."""

from __future__ import annotations

import torch
from torch import Tensor

from dfl.montecarlo.weights import masked_values


def pair_extremes(
    values: Tensor, mask: Tensor | None = None, *, threshold: float | None = None
) -> Tensor:
    """Return plus one half at the best candidate and minus one half at the worst.

    Parameters
    ----------
    values : Tensor of shape (n, k)
        What each of k candidates is worth, the larger the better.
    mask : Tensor of shape (n, k), optional
        True where there is a candidate.
    threshold : float, optional
        A pair counts only if ``tanh((best - worst) / 2)`` is above it, else its weights are zero: a
        tie with threshold 0. Default: every pair counts.

    Returns
    -------
    Tensor of shape (n, k)
        Without gradient; the first of equal values is the one taken.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference import pair_extremes
    >>> pair_extremes(torch.tensor([[0.0, 3.0, -1.0]]))
    tensor([[ 0.0000,  0.5000, -0.5000]])
    """
    values, mask, _ = masked_values(values, mask)
    best, winner = values.masked_fill(~mask, -torch.inf).max(1, keepdim=True)
    worst, loser = values.masked_fill(~mask, torch.inf).min(1, keepdim=True)
    half = torch.full_like(best, 0.5)
    weights = torch.zeros_like(values).scatter_add(1, winner, half).scatter_add(1, loser, -half)
    if threshold is not None:
        # with every candidate masked, best - worst is minus infinity: no pair
        weights = weights * (torch.tanh((best - worst) / 2) > threshold)
    return weights * mask
