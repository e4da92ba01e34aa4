"""Regret through implicit maximum likelihood estimation."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from dfl.layers import IMLELayer
from dfl.losses._through_layer import regret_through
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class IMLELoss(AbstractLoss):
    r"""Mean regret under sum-of-gamma noise, with the gradient of I-MLE.

    The black-box gradient made smoother by noise. Each step costs ``2 n_samples`` solves a sample,
    in two calls.

    Parameters
    ----------
    oracle : Oracle
        One whose objective is exactly ``c.w``.
    sigma : float, default=1.0
        Size of the noise, in units of the costs (estimators scale costs to a mean absolute value of
        one first).
    n_samples : int, default=10
        Number of noise draws a sample and step.
    smoothing : float, default=1.0
        The step lambda from the perturbed costs along the true ones, without unit.
    kappa : float, default=5.0
        Number of items that a decision chooses, such as the edges of a path.
    n_iterations : int, default=10
        Terms of the noise; see ``dfl.layers.SumOfGamma``.

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range.
    UnsupportedError
        If the objective has a part of its own.

    Notes
    -----
    With perturbed costs ``C_k = p - sigma e_k``::

        l(p, c) = mean_k c.w*(C_k) - z*(c)
        gradient = mean_k (w*(C_k + lambda c) - w*(C_k)) / lambda

    which is that of ``dfl.layers.IMLELayer`` for one sample. Published code applies lambda to the
    gradient of the mean of a batch: its lambda is n times that of this loss.

    References
    ----------
    Niepert, Minervini & Franceschi, "Implicit MLE: Backpropagating Through Discrete Exponential
    Family Distributions", NeurIPS 2021, arXiv 2106.01798.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("imle", Simplex(3), {"sigma": 0.01, "kappa": 1.0})
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), Target(costs=torch.tensor([[1.0, 2.0, 4.0]])))
    tensor(3.)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "objectives", "linear"})

    def __init__(
        self,
        oracle: Oracle,
        sigma: float = 1.0,
        n_samples: int = 10,
        smoothing: float = 1.0,
        kappa: float = 5.0,
        n_iterations: int = 10,
    ) -> None:
        super().__init__(oracle)
        self.sigma = sigma
        self.n_samples = n_samples
        self.smoothing = smoothing
        self.kappa = kappa
        self.n_iterations = n_iterations
        self.layer = IMLELayer(self.oracle, sigma, n_samples, smoothing, kappa, n_iterations)
        self.generator = self.layer.generator

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Mean regret of each sample over the draws, shape (n,)."""
        return regret_through(self, self.layer, output, target)
