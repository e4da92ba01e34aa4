"""Regret, differentiated as a black box."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from dfl.layers import InterpolationLayer
from dfl.losses._through_layer import regret_through
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class BlackBoxLoss(AbstractLoss):
    r"""Regret itself, with the gradient of an interpolation between predicted and true costs.

    Use it where the value of the loss should be regret and nothing else. Two solves a sample and
    step, one where no gradient is asked for. It is not convex, so start from a fitted model.

    Parameters
    ----------
    oracle : Oracle
        One whose objective is exactly ``c.w``.
    smoothing : float, default=1.0
        The step lambda from the predicted costs along the true ones, without unit.

    Raises
    ------
    InvalidInputError
        If ``smoothing`` is not positive.
    UnsupportedError
        If the objective has a part of its own.

    Notes
    -----
    For predicted costs p and true costs c::

        l(p, c) = c.w*(p) - z*(c),   gradient (w*(p + lambda c) - w*(p)) / lambda

    which is that of ``InterpolationLayer`` for one sample. Published code applies lambda to the
    gradient of the mean of a batch: its lambda is n times that of this loss.

    References
    ----------
    Vlastelica et al., "Differentiation of Blackbox Combinatorial Solvers", ICLR 2020,
    arXiv 1912.02175.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("black-box", Simplex(3), {"smoothing": 4.0})
    >>> output = torch.tensor([[3.0, 2.0, 1.0]], requires_grad=True)
    >>> value = loss(output, Target(costs=torch.tensor([[1.0, 2.0, 4.0]])))
    >>> value.backward()
    >>> value.item(), output.grad
    (3.0, tensor([[ 0.2500,  0.0000, -0.2500]]))
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "objectives", "linear"})

    def __init__(self, oracle: Oracle, smoothing: float = 1.0) -> None:
        super().__init__(oracle)
        self.smoothing = smoothing
        self.layer = InterpolationLayer(self.oracle, smoothing)

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Regret of each sample, shape (n,)."""
        return regret_through(self, self.layer, output, target)
