"""Where completions are cut into segments."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError


def partition_fixed(mask: Tensor, size: int) -> list[Tensor]:
    """Cut completions into segments of so many tokens.

    Where a segment ends does not depend on what is drawn later, so that gradients stay unbiased.

    Parameters
    ----------
    mask : Tensor of bool of shape (n, l)
        True for the tokens of each completion, which begin at 0.
    size : int
        Tokens in a segment; the last one may be shorter.

    Returns
    -------
    list of n Tensors of int64
        The places between segments: the token after which each is, -1 being before the first.

    Raises
    ------
    InvalidInputError
        If the size is below one, or the mask is not of booleans of shape (n, l).

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.segment import partition_fixed
    >>> partition_fixed(torch.tensor([[True] * 5, [True] * 2 + [False] * 3]), 2)
    [tensor([-1,  1,  3]), tensor([-1])]
    """
    if size < 1:
        raise InvalidInputError(f"partition_fixed: got size={size}, expected at least 1 token")
    lengths = _lengths(mask, "partition_fixed").tolist()
    return [torch.arange(-1, max(length - 1, 0), size) for length in lengths]


def partition_cutpoints(
    log_prob: Tensor, mask: Tensor, threshold: float = 0.9, interval: float = 5
) -> list[Tensor]:
    r"""Cut completions where the policy hesitated: before every so manyth unlikely token.

    Parameters
    ----------
    log_prob : Tensor of shape (n, l)
        Of the tokens, under the policy that drew them, at the temperature that they were drawn at.
    mask : Tensor of bool of shape (n, l)
        True for the tokens of each completion.
    threshold : float, default=0.9
        Tokens of a lower probability are cutpoints.
    interval : int, default=5
        Cutpoints from one place to the next; ``math.inf`` for a single place, before the first.

    Returns
    -------
    list of n Tensors of int64
        The places, as of ``partition_fixed``. None where no token is a cutpoint; before the first
        there is no segment.

    Raises
    ------
    InvalidInputError
        If an argument is out of range, or shapes differ.

    Notes
    -----
    With equally many cutpoints in each segment the sum of their squares is least. The place before
    a token depends on the probability of what was drawn there, so that gradients are slightly
    biased.

    References
    ----------
    Guo, Xu, Liu, Ye & Qiu, "Segment Policy Optimization: Effective Segment-Level Credit Assignment
    in RL for Large Language Models", NeurIPS 2025, arXiv 2505.23564.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.segment import partition_cutpoints
    >>> p = torch.tensor([[0.99, 0.5, 0.95, 0.8, 0.99, 0.3, 0.6, 0.99, 0.85, 0.99]])
    >>> partition_cutpoints(p.log(), p > 0, interval=2)
    [tensor([0, 4, 7])]
    """
    if not 0 < threshold <= 1:
        raise InvalidInputError(
            f"partition_cutpoints: got threshold={threshold}, expected a probability above 0"
        )
    if not (interval >= 1 and (interval == math.inf or interval == int(interval))):
        raise InvalidInputError(
            f"partition_cutpoints: got interval={interval}, expected a whole number of cutpoints, "
            "at least 1, or math.inf"
        )
    _lengths(mask, "partition_cutpoints")
    if log_prob.shape != mask.shape:
        raise InvalidInputError(
            f"partition_cutpoints: got log-probabilities of shape {tuple(log_prob.shape)} and a "
            f"mask of shape {tuple(mask.shape)}, expected one shape"
        )
    low = ((log_prob < math.log(threshold)) & mask).cpu()
    step = low.shape[1] + 1 if interval == math.inf else int(interval)
    return [row.nonzero().squeeze(1)[::step] - 1 for row in low]


def _lengths(mask: Tensor, name: str) -> Tensor:
    if mask.ndim != 2 or mask.dtype != torch.bool:
        raise InvalidInputError(
            f"{name}: got a mask of shape {tuple(mask.shape)} and type {mask.dtype}, expected "
            "booleans of shape (n, l)"
        )
    return mask.sum(1)
