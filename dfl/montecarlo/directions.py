"""The direction in which weighted noise points."""

from __future__ import annotations

import torch
from torch import Tensor


def direction(noise: Tensor, weights: Tensor) -> Tensor:
    r"""Sum noise by the weights of what it made: the gradient of an expectation under noise.

    Parameters
    ----------
    noise : Tensor of shape (n, k, ...)
        The k draws of each instance.
    weights : Tensor of shape (n, k)
        What each draw was worth.

    Returns
    -------
    Tensor of shape (n, ...)
        A direction for each row.

    Notes
    -----
    ``sum_k weights_k noise_k``. With normal noise Z, ``g(c + sigma Z)`` less a baseline as weights
    and a factor ``1 / (k sigma)``, its mean is the gradient of ``E[g(c + sigma Z)]``.

    Examples
    --------
    >>> import torch
    >>> from dfl.montecarlo import direction
    >>> direction(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[1.0, -1.0]]))
    tensor([[-2., -2.]])
    """
    return torch.einsum("nk...,nk->n...", noise, weights)
