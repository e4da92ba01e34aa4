"""Regret of the expected decision under noise."""

from __future__ import annotations

from typing import ClassVar, Literal, final

from torch import Tensor

from dfl.layers import PerturbedLayer
from dfl.losses._through_layer import regret_through
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class PerturbedRegretLoss(AbstractLoss):
    r"""Expected regret under noise on the predicted costs, of any law of noise.

    With normal noise it is the score-function loss, which takes any objective; use this one for
    noise that keeps the signs of costs (``"multiplicative"``), which some oracles need, or for
    Gumbel noise. Each step costs ``n_samples`` solves a sample, in one call.

    Parameters
    ----------
    oracle : Oracle
        One whose objective is exactly ``c.w``.
    sigma : float, default=1.0
        Size of the noise: in units of the costs (estimators scale costs to a mean absolute value of
        one first), or, for multiplicative noise, of their logarithm.
    n_samples : int, default=10
        Number of noise draws a sample and step.
    noise : {"normal", "gumbel", "multiplicative"}, default="normal"
        See ``dfl.layers.PerturbedLayer``.

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range.
    UnsupportedError
        If the objective has a part of its own.

    See Also
    --------
    ScoreFunctionLoss : The same for normal noise and any objective.

    Notes
    -----
    ``l(p, c) = c.E[w*(C)] - z*(c)`` for perturbed costs C, estimated by the mean over the draws,
    with the unbiased score-function gradient of ``dfl.layers.PerturbedLayer``.

    References
    ----------
    Berthet et al., "Learning with Differentiable Perturbed Optimizers", NeurIPS 2020,
    arXiv 2002.08676. Dalle et al., "Learning with Combinatorial Optimization Layers: a
    Probabilistic Approach", 2022, arXiv 2207.13513, for regret and multiplicative noise.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("perturbed-regret", Simplex(3), {"sigma": 0.01, "noise": "gumbel"})
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), Target(costs=torch.tensor([[1.0, 2.0, 4.0]])))
    tensor(3.)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "objectives", "linear"})

    def __init__(
        self,
        oracle: Oracle,
        sigma: float = 1.0,
        n_samples: int = 10,
        noise: Literal["normal", "gumbel", "multiplicative"] = "normal",
    ) -> None:
        super().__init__(oracle)
        self.sigma = sigma
        self.n_samples = n_samples
        self.noise = noise
        self.layer = PerturbedLayer(self.oracle, sigma, n_samples, noise)
        self.generator = self.layer.generator

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Mean regret of each sample over the draws, shape (n,)."""
        return regret_through(self, self.layer, output, target)
