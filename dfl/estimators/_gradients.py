"""Losses and their gradients in the outputs, whatever the loss."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dfl.losses import AbstractLoss, Target
from dfl.losses.closed_form import Truth, has_closed_form
from dfl_solvers.oracle import Array


def gradients_of(
    loss: AbstractLoss, target: Target, shape: tuple[int, int]
) -> Callable[[Array], tuple[Array, Array]]:
    """Return a function of outputs (n, d): losses (n,) and their gradients (n, d).

    By the closed form of the loss where there is one, else by autograd. Labels are solved here.

    Parameters
    ----------
    loss : AbstractLoss
    target : Target
        In float64, in the loss's own sense.
    shape : (n, d)
        Of the outputs.
    """
    target = loss.complete(target)
    if has_closed_form(loss, target, shape, torch.float64):
        truth = Truth.of(loss, target)
        # the closed form may overwrite what it is given
        return lambda output: loss.value_and_gradient(output.copy(), truth)  # type: ignore[operator]

    def by_autograd(output: Array) -> tuple[Array, Array]:
        leaf = torch.tensor(output, requires_grad=True)
        values = loss(leaf, target, reduction="none")
        values.sum().backward()
        gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        return values.detach().numpy(), gradient.numpy()

    return by_autograd
