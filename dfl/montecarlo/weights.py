"""Rules that turn the values of candidates into weights: what losses and policy methods share.

A value is better the larger it is. Values have shape (n, k), k candidates for each of n inputs, and
so have the weights; entries outside a mask enter no statistic, may be NaN, and get weight zero.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError


def centered(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Values less their mean.

    Parameters
    ----------
    values : Tensor of shape (n, k)
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
    values, mask, count = _read(values, mask)
    offsets = (values - values.sum(1, keepdim=True) / count) * mask
    # the mean of equal values may round, and they would seem to differ from it
    first = values.gather(1, mask.long().argmax(1, keepdim=True))
    differ = ((values != first) & mask).any(1, keepdim=True)
    return torch.where(differ, offsets, torch.zeros_like(offsets))


def leave_one_out(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Values less the mean of the other candidates: the unbiased baseline of a score function.

    Parameters
    ----------
    values : Tensor of shape (n, k)
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
    _, _, count = _read(values, mask)
    return centered(values, mask) * (count / (count - 1).clamp(min=1))


def standardized(
    values: Tensor, mask: Tensor | None = None, *, ddof: int = 0, eps: float = 1e-8
) -> Tensor:
    """Values less their mean, in units of their standard deviation: group-relative advantages.

    Parameters
    ----------
    values : Tensor of shape (n, k)
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
    _, _, count = _read(values, mask)
    offsets = centered(values, mask)
    variance = (offsets**2).sum(1, keepdim=True) / (count - ddof).clamp(min=1)
    # the mean of equal values may round, and what it leaves must not be blown up
    scale = torch.nan_to_num(values.detach()).abs().amax(1, keepdim=True)
    noise = 8 * torch.finfo(values.dtype).eps * scale
    deviation = variance.sqrt()
    weights = offsets / torch.where(deviation > noise, deviation + eps, torch.inf)
    return torch.where(deviation > noise, weights, torch.zeros_like(weights))


def pair_extremes(
    values: Tensor, mask: Tensor | None = None, *, threshold: float | None = None
) -> Tensor:
    """Plus one half at the best candidate and minus one half at the worst.

    Parameters
    ----------
    values : Tensor of shape (n, k)
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
    >>> from dfl.montecarlo import pair_extremes
    >>> pair_extremes(torch.tensor([[0.0, 3.0, -1.0]]))
    tensor([[ 0.0000,  0.5000, -0.5000]])
    """
    values, mask, _ = _read(values, mask)
    best, winner = values.masked_fill(~mask, -torch.inf).max(1, keepdim=True)
    worst, loser = values.masked_fill(~mask, torch.inf).min(1, keepdim=True)
    half = torch.full_like(best, 0.5)
    weights = torch.zeros_like(values).scatter_add(1, winner, half).scatter_add(1, loser, -half)
    if threshold is not None:
        # with every candidate masked, best - worst is minus infinity: no pair
        weights = weights * (torch.tanh((best - worst) / 2) > threshold)
    return weights * mask


def softmax(
    values: Tensor,
    mask: Tensor | None = None,
    *,
    temperature: float = 1.0,
    log_prior: Tensor | None = None,
) -> Tensor:
    """Weights in proportion to ``exp(log_prior + value / temperature)``, which sum to one.

    Parameters
    ----------
    values : Tensor of shape (n, k)
    mask : Tensor of shape (n, k), optional
        True where there is a candidate.
    temperature : float, default=1.0
        In units of the values; ``softmax_temperature`` finds one from a budget of divergence.
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
    if not temperature > 0:
        raise InvalidInputError(f"got temperature={temperature}, expected a positive number")
    values, mask, _ = _read(values, mask)
    logits = values / temperature
    if log_prior is not None:
        logits = logits + log_prior.detach()
    return torch.softmax(logits.masked_fill(~mask, -torch.inf), 1).nan_to_num(0.0)


def soft_infinity(losses: Tensor, mask: Tensor | None = None, *, scale: float = 1.0) -> Tensor:
    """Weights of a soft maximum of losses, those of ``scale log sum exp(loss / scale)``.

    The weighted sum tends to the largest loss for ``scale`` to zero and to the mean for ``scale``
    to infinity.

    Parameters
    ----------
    losses : Tensor of shape (n, k)
        The larger, the worse.
    mask : Tensor of shape (n, k), optional
        True where there is a loss.
    scale : float, default=1.0
        In units of the losses.

    Returns
    -------
    Tensor of shape (n, k)
        Without gradient; each row sums to one.

    Examples
    --------
    >>> import torch
    >>> from dfl.montecarlo import soft_infinity
    >>> soft_infinity(torch.tensor([[1e6, 1e6, 0.0]]))
    tensor([[0.5000, 0.5000, 0.0000]])
    """
    return softmax(losses, mask, temperature=scale)


def softmax_temperature(values: Tensor, divergence: float, mask: Tensor | None = None) -> float:
    r"""Temperature at which softmax weights are a given divergence away from uniform ones.

    Parameters
    ----------
    values : Tensor of shape (n, k)
    divergence : float
        Mean Kullback-Leibler divergence of the weights from uniform ones, in nats.
    mask : Tensor of shape (n, k), optional
        True where there is a candidate.

    Returns
    -------
    float
        To be given to ``softmax``.

    Raises
    ------
    InvalidInputError
        If no temperature does: the divergence is not positive, or so large that even the best
        candidates alone do not reach it.

    Notes
    -----
    It minimizes the convex dual ``t (divergence + mean_i [log sum_k exp(v_ik / t) - log K_i])``,
    whose derivative is the divergence wanted less the divergence at t. That falls as t rises, so
    bisection on log t finds it to the precision of a float.

    References
    ----------
    Abdolmaleki et al., "Maximum a Posteriori Policy Optimisation", ICLR 2018, arXiv 1806.06920.

    Examples
    --------
    >>> import torch
    >>> from dfl.montecarlo import softmax_temperature
    >>> round(softmax_temperature(torch.tensor([[1.0, -1.0]]), 0.1), 6)
    2.119895
    """
    values, mask, count = _read(values, mask)
    rows = mask.any(1)
    values, mask, count = values[rows].double(), mask[rows], count[rows].double()
    best = values.masked_fill(~mask, -torch.inf).amax(1, keepdim=True)
    tied = ((values == best) & mask).sum(1, keepdim=True)
    limit = float((count / tied).log().mean()) if len(values) else 0.0
    if not 0 < divergence < limit:
        raise InvalidInputError(
            f"softmax_temperature: got divergence={divergence}, expected a positive number below "
            f"{limit:.6g}, the divergence of the best candidates alone from all of them"
        )
    gaps = (values - best).masked_fill(~mask, -torch.inf)
    spread = -gaps.masked_fill(~mask, 0.0)
    low, high = math.log(float(spread[spread > 0].min())) - 5, math.log(float(spread.max())) + 5

    def found(log_temperature: float) -> float:
        logs = torch.log_softmax(gaps / math.exp(log_temperature), 1)
        return float((logs.exp() * (logs.masked_fill(~mask, 0.0) + count.log())).sum(1).mean())

    while found(low) < divergence:
        low -= 5
    while found(high) > divergence:
        high += 5
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if found(middle) > divergence else (low, middle)
    return math.exp((low + high) / 2)


def _read(values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
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
