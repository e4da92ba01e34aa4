"""The temperature of weights from a budget of divergence."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.montecarlo.weights import masked_values


def softmax_temperature(values: Tensor, divergence: float, mask: Tensor | None = None) -> float:
    r"""Return the temperature at which softmax weights have a given divergence from equal ones.

    Parameters
    ----------
    values : Tensor of shape (n, k)
        What each of k candidates is worth, the larger the better.
    divergence : float
        Mean Kullback-Leibler divergence of the weights from uniform ones, in nats.
    mask : Tensor of shape (n, k), optional
        True where there is a candidate.

    Returns
    -------
    float
        To be given to ``dfl.montecarlo.softmax``.

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
    >>> from dfl.rl.smc import softmax_temperature
    >>> round(softmax_temperature(torch.tensor([[1.0, -1.0]]), 0.1), 6)
    2.119895
    """
    values, mask, count = masked_values(values, mask)
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
