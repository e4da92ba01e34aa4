"""Rules that turn the values of candidates into weights: what losses and policy methods share.

A value is better the larger it is. Values have shape (n, k), k candidates for each of n inputs, and
so have the weights; entries outside a mask enter no statistic, may be NaN, and get weight zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError


def centered(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return values less their mean.

    Parameters
    ----------
    values : Tensor of shape (n, k)
        What each of k candidates is worth, the larger the better.
    mask : Tensor of shape (n, k), optional
        True where there is a candidate.

    Returns
    -------
    Tensor of shape (n, k)
        Without gradient; exactly zero where all values are equal.

    Examples
    --------
    >>> import torch
    >>> from dfl.montecarlo import centered
    >>> centered(torch.tensor([[1.0, 0.0, 2.0]]))
    tensor([[ 0., -1.,  1.]])
    """
    values, mask, count = masked_values(values, mask)
    offsets = (values - values.sum(1, keepdim=True) / count) * mask
    # the mean of equal values may round, and they would seem to differ from it
    first = values.gather(1, mask.long().argmax(1, keepdim=True))
    differ = ((values != first) & mask).any(1, keepdim=True)
    return torch.where(differ, offsets, torch.zeros_like(offsets))


def leave_one_out(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return values less the mean of the others: the unbiased baseline of a score function.

    Parameters
    ----------
    values : Tensor of shape (n, k)
        What each of k candidates is worth, the larger the better.
    mask : Tensor of shape (n, k), optional
        True where there is a candidate.

    Returns
    -------
    Tensor of shape (n, k)
        Without gradient; zero where there is only one candidate.

    References
    ----------
    Kool, van Hoof & Welling, "Buy 4 REINFORCE Samples, Get a Baseline for Free!", ICLR 2019
    workshop.

    Examples
    --------
    >>> import torch
    >>> from dfl.montecarlo import leave_one_out
    >>> leave_one_out(torch.tensor([[1.0, 0.0, 0.0, 1.0, 1.0, 0.0]]))
    tensor([[ 0.6000, -0.6000, -0.6000,  0.6000,  0.6000, -0.6000]])
    """
    _, _, count = masked_values(values, mask)
    return centered(values, mask) * (count / (count - 1).clamp(min=1))


def standardized(
    values: Tensor, mask: Tensor | None = None, *, ddof: int = 0, eps: float = 1e-8
) -> Tensor:
    """Return values less their mean, over their standard deviation: group-relative advantages.

    Parameters
    ----------
    values : Tensor of shape (n, k)
        What each of k candidates is worth, the larger the better.
    mask : Tensor of shape (n, k), optional
        True where there is a candidate.
    ddof : {0, 1}, default=0
        Population or sample standard deviation.
    eps : float, default=1e-8
        Added to the standard deviation.

    Returns
    -------
    Tensor of shape (n, k)
        Without gradient; zero where all values are equal.

    References
    ----------
    Shao et al., "DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language
    Models", 2024, arXiv 2402.03300.

    Examples
    --------
    >>> import torch
    >>> from dfl.montecarlo import standardized
    >>> standardized(torch.tensor([[1.0, 0.0], [3.0, 3.0]]))
    tensor([[ 1., -1.],
            [ 0.,  0.]])
    """
    _, _, count = masked_values(values, mask)
    offsets = centered(values, mask)
    variance = (offsets**2).sum(1, keepdim=True) / (count - ddof).clamp(min=1)
    # the mean of equal values may round, and what it leaves must not be blown up
    scale = torch.nan_to_num(values.detach()).abs().amax(1, keepdim=True)
    noise = 8 * torch.finfo(values.dtype).eps * scale
    deviation = variance.sqrt()
    weights = offsets / torch.where(deviation > noise, deviation + eps, torch.inf)
    return torch.where(deviation > noise, weights, torch.zeros_like(weights))


def softmax(
    values: Tensor,
    mask: Tensor | None = None,
    *,
    temperature: float = 1.0,
    log_prior: Tensor | None = None,
) -> Tensor:
    """Return weights in proportion to ``exp(log_prior + value / temperature)``, which sum to one.

    Parameters
    ----------
    values : Tensor of shape (n, k)
        What each of k candidates is worth, the larger the better.
    mask : Tensor of shape (n, k), optional
        True where there is a candidate.
    temperature : float, default=1.0
        In units of the values. Of losses, the weights at this temperature are those of the soft
        maximum ``temperature log sum exp(loss / temperature)``.
    log_prior : Tensor of shape (n, k), optional
        Corrects candidates that were not drawn from the policy itself.

    Returns
    -------
    Tensor of shape (n, k)
        Without gradient; zero where every candidate is masked.

    Raises
    ------
    InvalidInputError
        If the temperature is not positive.

    Examples
    --------
    >>> import torch
    >>> from dfl.montecarlo import softmax
    >>> softmax(torch.tensor([[-1.0, -2.0, -4.0]]))
    tensor([[0.7054, 0.2595, 0.0351]])
    """
    if not temperature > 0:  # not by a helper: searches call it at each step
        raise InvalidInputError(f"got temperature={temperature}, expected a positive number")
    values, mask, _ = masked_values(values, mask)
    logits = values / temperature
    if log_prior is not None:
        logits = logits + log_prior.detach()
    return torch.softmax(logits.masked_fill(~mask, -torch.inf), 1).nan_to_num(0.0)


def masked_values(values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return values without gradient, zero outside the mask; the mask; and its counts (n, 1)."""
    values = values.detach()
    if values.ndim != 2:
        raise InvalidInputError(f"got values of shape {tuple(values.shape)}, expected (n, k)")
    if mask is None:
        mask = torch.ones_like(values, dtype=torch.bool)
    elif mask.shape != values.shape or mask.dtype != torch.bool:
        raise InvalidInputError(
            f"got a mask of shape {tuple(mask.shape)} and type {mask.dtype}, expected booleans of "
            f"shape {tuple(values.shape)}, the shape of the values"
        )
    count = mask.sum(1, keepdim=True).clamp(min=1).to(values.dtype)
    return torch.where(mask, values, torch.zeros_like(values)), mask, count
