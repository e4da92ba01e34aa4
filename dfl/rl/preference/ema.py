"""A slow copy of a module: the exponential moving average of its weights."""

from __future__ import annotations

import torch
from torch import nn

from dfl.exceptions import InvalidInputError


@torch.no_grad()
def follow(slow: nn.Module, module: nn.Module, decay: float) -> None:
    """Move a copy of a module towards it, in place.

    Parameters
    ----------
    slow : nn.Module
        Of the same architecture.
    module : nn.Module
        What is followed.
    decay : float
        Share of its weights that the copy keeps, from 0 to 1; 0 makes it the same.

    Raises
    ------
    InvalidInputError
        If ``decay`` is out of its range.

    Notes
    -----
    ``slow = decay slow + (1 - decay) module`` for what the module trains. Buffers are copied.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference import follow
    >>> slow, fast = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.ones_(slow.weight), torch.nn.init.zeros_(fast.weight)
    >>> follow(slow, fast, 0.9)
    >>> round(slow.weight.item(), 6)
    0.9
    """
    if not 0 <= decay < 1:
        raise InvalidInputError(f"got a decay of {decay}, expected a number from 0 up to 1")
    for kept, new in zip(slow.parameters(), module.parameters(), strict=True):
        if new.requires_grad:
            kept.lerp_(new, 1 - decay)
    for held, now in zip(slow.buffers(), module.buffers(), strict=True):
        held.copy_(now)
