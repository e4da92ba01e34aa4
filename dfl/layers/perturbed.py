"""The expected decision under noise on the costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dfl import _bridge
from dfl._validation import check_at_least, check_positive
from dfl.layers.base import AbstractLayer
from dfl.layers.noise import noise_by_name
from dfl.montecarlo import direction
from dfl.montecarlo.weights import leave_one_out
from dfl_solvers.oracle import Oracle


@final
class PerturbedLayer(AbstractLayer):
    r"""Expected decision under noise on the costs, with an unbiased gradient.

    Use it with any oracle and any loss of the decision. It costs ``n_samples`` solves an instance,
    in one call of the oracle, and none in the backward pass.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.
    sigma : float, default=1.0
        Size of the noise: in units of the costs, or, for multiplicative noise, of their logarithm.
        More noise is smoother and further from the decision without noise.
    n_samples : int, default=10
        Draws an instance. With one, there is no control variate and the gradient is very noisy.
    noise : {"normal", "gumbel", "multiplicative"}, default="normal"
        ``"multiplicative"`` keeps the signs of the costs; see ``dfl.layers.LogNormal``.

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range.

    Notes
    -----
    For perturbed costs C with density p given predicted costs c, the output is the mean over the
    draws of w*(C), and the gradient for an incoming gradient u::

        (1/k) sum_k (u.w*(C_k) - b_k) grad_c log p(C_k | c)

    which is ``Z_k / sigma`` for normal noise. The control variate b_k, the mean of u.w* over the
    other draws, leaves it unbiased. With multiplicative noise the score is ``Z_k / (sigma c)``,
    which is large where costs are near zero; at zero itself the gradient is taken to be zero.

    References
    ----------
    Berthet et al., "Learning with Differentiable Perturbed Optimizers", NeurIPS 2020,
    arXiv 2002.08676. Dalle et al., "Learning with Combinatorial Optimization Layers: a
    Probabilistic Approach", 2022, arXiv 2207.13513, for multiplicative noise.

    Examples
    --------
    On a simplex with Gumbel noise the expected decision is a softmax:

    >>> import torch
    >>> from dfl.layers import PerturbedLayer
    >>> from dfl_solvers import Simplex
    >>> layer = PerturbedLayer(Simplex(2), n_samples=10_000, noise="gumbel")
    >>> layer(torch.tensor([[0.0, 1.0]])).round(decimals=1)
    tensor([[0.7000, 0.3000]])
    """

    generator: torch.Generator

    def __init__(
        self,
        oracle: Oracle,
        sigma: float = 1.0,
        n_samples: int = 10,
        noise: Literal["normal", "gumbel", "multiplicative"] = "normal",
    ) -> None:
        super().__init__(oracle)
        check_positive(self, sigma=sigma)
        check_at_least(1, self, n_samples=n_samples)
        self.sigma = sigma
        self.n_samples = n_samples
        self.noise = noise
        self.law = noise_by_name(noise)
        self.generator = torch.Generator().manual_seed(0)

    def decide(self, costs: Tensor, instance: Mapping[str, Any] | None) -> Tensor:
        """Mean decision (n, d) over the draws; see ``AbstractLayer``."""
        result: Tensor = _Expectation.apply(costs, self, instance)  # type: ignore[no-untyped-call]
        return result


class _Expectation(torch.autograd.Function):
    """The mean over draws, and the score-function gradient of it."""

    @staticmethod
    def forward(
        ctx: Any, costs: Tensor, layer: PerturbedLayer, instance: Mapping[str, Any] | None
    ) -> Tensor:
        n, d = costs.shape
        noise = layer.law.draw((n, layer.n_samples, d), costs, layer.generator)
        perturbed = layer.law.perturb(costs, noise, layer.sigma)
        decisions, _ = _bridge.solve(layer.oracle, perturbed, instance)
        ctx.layer = layer
        ctx.save_for_backward(costs, noise, decisions)
        return decisions.mean(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor, None, None]:
        costs, noise, decisions = ctx.saved_tensors
        k = decisions.shape[1]
        worth = (decisions @ incoming[:, :, None])[:, :, 0]
        if k > 1:
            worth = leave_one_out(worth)
        score = ctx.layer.law.score(costs, noise, ctx.layer.sigma)
        return direction(score, worth / k), None, None
