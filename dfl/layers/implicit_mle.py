"""Implicit maximum likelihood estimation: perturb, decide, and move along the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dfl import _bridge
from dfl._validation import check_at_least, check_positive
from dfl.layers.base import AbstractLayer
from dfl.layers.noise import SumOfGamma
from dfl_solvers.oracle import Oracle


@final
class IMLELayer(AbstractLayer):
    r"""Mean decision under sum-of-gamma noise, with the gradient of I-MLE.

    Between ``InterpolationLayer``, whose step it takes, and ``PerturbedLayer``, which adds noise as
    well: smoother than the first, less noisy than the second. ``n_samples`` solves an instance
    forward, and as many backward, each in one call of the oracle.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.
    sigma : float, default=1.0
        Size (temperature) of the noise, in units of the costs.
    n_samples : int, default=10
        Draws an instance.
    smoothing : float, default=10.0
        The step lambda along the incoming gradient, which the mean over a batch divides by n.
    kappa : float, default=5.0
        Number of items that a decision chooses; see ``dfl.layers.SumOfGamma``.
    n_iterations : int, default=10
        Terms of the noise.

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range.

    Notes
    -----
    With perturbed costs ``C_k = c - sigma e_k``, the output is the mean of w*(C_k), and the
    gradient for an incoming gradient u, with the same noise::

        (1 / (lambda k)) sum_k (w*(C_k + lambda u) - w*(C_k))

    the gradient of the likelihood of the target distribution with costs c + lambda u. The noise is
    subtracted, since the paper maximizes -c.

    References
    ----------
    Niepert, Minervini & Franceschi, "Implicit MLE: Backpropagating Through Discrete Exponential
    Family Distributions", NeurIPS 2021, arXiv 2106.01798.

    Examples
    --------
    >>> import torch
    >>> from dfl.layers import IMLELayer
    >>> from dfl_solvers import TopK
    >>> layer = IMLELayer(TopK(3, 2), kappa=2.0, n_samples=10_000)
    >>> layer(torch.zeros(1, 3)).round(decimals=1)
    tensor([[0.7000, 0.7000, 0.7000]])
    """

    generator: torch.Generator

    def __init__(
        self,
        oracle: Oracle,
        sigma: float = 1.0,
        n_samples: int = 10,
        smoothing: float = 10.0,
        kappa: float = 5.0,
        n_iterations: int = 10,
    ) -> None:
        super().__init__(oracle)
        check_positive(self, sigma=sigma, smoothing=smoothing)
        check_at_least(1, self, n_samples=n_samples)
        self.sigma = sigma
        self.n_samples = n_samples
        self.smoothing = smoothing
        self.law = SumOfGamma(kappa, n_iterations)
        self.generator = torch.Generator().manual_seed(0)

    def decide(self, costs: Tensor, instance: Mapping[str, Any] | None) -> Tensor:
        """Mean decision (n, d) over the draws; see ``AbstractLayer``."""
        result: Tensor = _Imitation.apply(costs, self, instance)  # type: ignore[no-untyped-call]
        return result


class _Imitation(torch.autograd.Function):
    """The mean over draws, and the mean difference quotient along the incoming gradient."""

    @staticmethod
    def forward(
        ctx: Any, costs: Tensor, layer: IMLELayer, instance: Mapping[str, Any] | None
    ) -> Tensor:
        n, d = costs.shape
        noise = layer.law.draw((n, layer.n_samples, d), costs, layer.generator)
        perturbed = torch.sub(costs[:, None], noise, alpha=layer.sigma)
        mean = _bridge.solve(layer.oracle, perturbed, instance)[0].mean(1)
        ctx.layer, ctx.instance = layer, instance
        ctx.save_for_backward(perturbed, mean)
        return mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor, None, None]:
        perturbed, mean = ctx.saved_tensors
        step = ctx.layer.smoothing
        shifted = torch.add(perturbed, incoming[:, None], alpha=step)
        moved = _bridge.solve(ctx.layer.oracle, shifted, ctx.instance)[0].mean(1)
        return (moved - mean) / step, None, None
