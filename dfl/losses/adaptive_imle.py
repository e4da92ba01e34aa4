"""Regret through implicit maximum likelihood estimation with a step that adapts."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from dfl.layers import IMLELayer
from dfl.losses._through_layer import regret_through
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class AdaptiveIMLELoss(AbstractLoss):
    r"""Mean regret under sum-of-gamma noise, with the gradient of adaptive I-MLE.

    ``"imle"`` without a step to tune: the step along the true costs is in proportion to the size of
    the predictions, and shrinks or grows until a row's gradient has about one entry. Each step
    costs ``2 n_samples`` solves a sample, in two calls.

    Parameters
    ----------
    oracle : Oracle
        One whose objective is exactly ``c.w``.
    sigma : float, default=1.0
        Size of the noise, in units of the costs (estimators scale costs to a mean absolute value of
        one first).
    n_samples : int, default=10
        Number of noise draws a sample and step.
    kappa : float, default=5.0
        Number of items that a decision chooses, such as the edges of a path.
    n_iterations : int, default=10
        Terms of the noise; see ``dfl.layers.SumOfGamma``.

    Attributes
    ----------
    alpha : Tensor
        The relative step, one at first. It is state: checkpoints of training keep it.
    n_entries : Tensor
        Moving average of the number of entries of a sample's gradient that are not zero.

    Raises
    ------
    InvalidInputError
        If a parameter is out of its range.
    UnsupportedError
        If the objective has a part of its own.

    Notes
    -----
    Value and gradient are those of ``IMLELoss`` with ``lambda = alpha |P| / |C|``, P and C being
    the predicted and true costs of the whole batch. After each batch with a gradient::

        n_entries = 0.9 n_entries + 0.1 (entries of the gradient that are not zero, a sample)
        alpha = alpha + 0.001 if n_entries < 1, else max(alpha - 0.001, 0)

    The authors count the entries draw by draw, this counts those of the mean over draws. PyEPO
    compares their *fraction* with one, so that its alpha grows as long as any entry is zero.

    References
    ----------
    Minervini, Franceschi & Niepert, "Adaptive Perturbation-Based Gradient Estimation for Discrete
    Latent Variable Models", AAAI 2023, arXiv 2209.04862.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("adaptive-imle", Simplex(3), {"sigma": 0.01, "kappa": 1.0})
    >>> output = torch.tensor([[3.0, 2.0, 1.0]], requires_grad=True)
    >>> loss(output, Target(costs=torch.tensor([[1.0, 2.0, 4.0]]))).item()
    3.0
    >>> loss.n_entries.item(), loss.alpha.item()
    (1.1, 0.999)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "objectives", "linear"})
    alpha: Tensor
    n_entries: Tensor

    def __init__(
        self,
        oracle: Oracle,
        sigma: float = 1.0,
        n_samples: int = 10,
        kappa: float = 5.0,
        n_iterations: int = 10,
    ) -> None:
        super().__init__(oracle)
        self.sigma = sigma
        self.n_samples = n_samples
        self.kappa = kappa
        self.n_iterations = n_iterations
        self.layer = IMLELayer(self.oracle, sigma, n_samples, 1.0, kappa, n_iterations)
        self.generator = self.layer.generator
        self.register_buffer("alpha", torch.ones((), dtype=torch.float64))
        self.register_buffer("n_entries", torch.ones((), dtype=torch.float64))

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Mean regret of each sample over the draws, shape (n,)."""
        predicted, true = (
            target.sum(costs.detach().double() ** 2).sum().sqrt().item()
            for costs in (output, target.costs)
        )
        # a step of nothing changes no decision, so that the gradient is zero, and not 0 / 0
        step = self.alpha.item() * predicted / true if true > 0 else 0.0
        self.layer.smoothing = max(step, 1e-12)
        values = regret_through(self, self.layer, output, target)
        if values.requires_grad:
            (gradient,) = torch.autograd.grad(values.sum(), output, retain_graph=True)
            self._adapt(torch.count_nonzero(gradient).item() / max(len(gradient), 1))
        return values

    def _adapt(self, n_entries: float) -> None:
        self.n_entries.mul_(0.9).add_(0.1 * n_entries)
        self.alpha.add_(1e-3 if self.n_entries < 1 else -1e-3).clamp_(min=0)
