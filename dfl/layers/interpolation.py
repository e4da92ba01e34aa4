"""Differentiation of an oracle as a black box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dfl import _bridge
from dfl._validation import check_positive
from dfl.layers.base import AbstractLayer
from dfl_solvers.oracle import Oracle


@final
class InterpolationLayer(AbstractLayer):
    r"""The exact decision, with the gradient of a piecewise affine interpolation of the loss.

    Use it where the decision itself is needed, not an average. One solve an instance forward, and
    one backward.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.
    smoothing : float, default=10.0
        The step lambda from the costs along the incoming gradient. Larger is smoother and less
        faithful. It multiplies the gradient as it comes in, which the mean over a batch divides by
        n.

    Raises
    ------
    InvalidInputError
        If ``smoothing`` is not positive.

    Notes
    -----
    The output is w*(c), and the gradient for an incoming gradient u::

        (w*(c + lambda u) - w*(c)) / lambda

    which is, at fixed u, that of ``(z*(c + lambda u) - z*(c)) / lambda``.

    References
    ----------
    Vlastelica et al., "Differentiation of Blackbox Combinatorial Solvers", ICLR 2020,
    arXiv 1912.02175.

    Examples
    --------
    >>> import torch
    >>> from dfl.layers import InterpolationLayer
    >>> from dfl_solvers import Simplex
    >>> costs = torch.tensor([[1.0, 2.0]], requires_grad=True)
    >>> decisions = InterpolationLayer(Simplex(2), smoothing=4.0)(costs)
    >>> (decisions * torch.tensor([[3.0, 0.0]])).sum().backward()
    >>> decisions.detach(), costs.grad
    (tensor([[1., 0.]]), tensor([[-0.2500,  0.2500]]))
    """

    def __init__(self, oracle: Oracle, smoothing: float = 10.0) -> None:
        super().__init__(oracle)
        check_positive(self, smoothing=smoothing)
        self.smoothing = smoothing

    def decide(self, costs: Tensor, instance: Mapping[str, Any] | None) -> Tensor:
        """Optimal decisions (n, d); see ``AbstractLayer``."""
        result: Tensor = _Interpolation.apply(costs, self, instance)  # type: ignore[no-untyped-call]
        return result


class _Interpolation(torch.autograd.Function):
    """The oracle, and the difference quotient of its decisions along the incoming gradient."""

    @staticmethod
    def forward(
        ctx: Any, costs: Tensor, layer: InterpolationLayer, instance: Mapping[str, Any] | None
    ) -> Tensor:
        decisions = _bridge.decisions(layer.oracle, costs, instance)
        ctx.layer, ctx.instance = layer, instance
        ctx.save_for_backward(costs, decisions)
        return decisions

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor, None, None]:
        costs, decisions = ctx.saved_tensors
        step = ctx.layer.smoothing
        shifted = torch.add(costs, incoming, alpha=step)
        moved = _bridge.decisions(ctx.layer.oracle, shifted, ctx.instance)
        return (moved - decisions) / step, None, None
