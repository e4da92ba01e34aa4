"""Regret of the decisions of a layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dfl.layers import AbstractLayer
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target


def regret_through(
    loss: AbstractLoss, layer: AbstractLayer, output: Tensor, target: Target
) -> Tensor:
    """Regret (n,) at the true costs of the decisions of a loss's layer, with its gradient.

    The layer is given the true costs as the incoming gradient here, once. Were it left to autograd,
    the mean over a batch would divide them by n first, and a layer that takes a step along them
    would take another step in a batch of another size.
    """
    layer.oracle = loss.oracle  # an estimator sets its own
    wanted = torch.is_grad_enabled() and output.requires_grad
    with torch.set_grad_enabled(wanted):
        leaf = output.detach().requires_grad_(wanted)
        decisions = layer(leaf, target.instance)
    found = decisions.detach()
    if loss._solved is not None:
        loss._solved.append(found)
    values = torch.linalg.vecdot(target.costs, found) - target.objectives
    if not wanted:
        return values
    (gradient,) = torch.autograd.grad(decisions, leaf, target.costs)
    return with_gradient(output, values, gradient)


def with_gradient(output: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
    """Return values (n,) of an output (n, d), with their gradient (n, d) in it."""
    result: Tensor = _Known.apply(output, values, gradient)  # type: ignore[no-untyped-call]
    return result


class _Known(torch.autograd.Function):
    """Values (n,) whose gradient (n, d) in the output is known."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return values

    @staticmethod
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return incoming[:, None] * gradient, None, None
