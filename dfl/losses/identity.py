"""Regret, with minus the identity as the derivative of decisions."""

from __future__ import annotations

from typing import ClassVar, Literal, final

from torch import Tensor

from dfl.layers import IdentityLayer
from dfl.losses._through_layer import regret_through
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class IdentityLoss(AbstractLoss):
    r"""Regret itself, differentiated as if decisions moved straight against their costs.

    One solve a sample and step, and nothing to tune: the baseline of the losses that differentiate
    a decision.

    Parameters
    ----------
    oracle : Oracle
        One whose objective is exactly ``c.w``.
    projection : {"none", "mean", "norm", "both"}, default="norm"
        What is taken out of the predicted costs first; see ``dfl.layers.IdentityLayer``. Without
        one the gradient is ``-c`` for ever, whatever was predicted, and predictions grow without
        bound.

    Raises
    ------
    InvalidInputError
        If there is no such projection.
    UnsupportedError
        If the objective has a part of its own.

    Notes
    -----
    ``l(p, c) = c.w*(p) - z*(c)`` with the gradient ``-J_P(p)' c``, where P is the projection. As
    regret is linear in the decision, the gradient is that of ``-c.P(p)`` and depends on no
    decision: "norm" trains the predictions to point where the costs do.

    References
    ----------
    Sahoo et al., "Backpropagation through Combinatorial Algorithms: Identity with Projection
    Works", ICLR 2023, arXiv 2205.15213.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("identity", Simplex(3), {"projection": "none"})
    >>> output = torch.tensor([[3.0, 2.0, 1.0]], requires_grad=True)
    >>> value = loss(output, Target(costs=torch.tensor([[1.0, 2.0, 4.0]])))
    >>> value.backward()
    >>> value.item(), output.grad
    (3.0, tensor([[-1., -2., -4.]]))
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "objectives", "linear"})

    def __init__(
        self, oracle: Oracle, projection: Literal["none", "mean", "norm", "both"] = "norm"
    ) -> None:
        super().__init__(oracle)
        self.projection = projection
        self.layer = IdentityLayer(self.oracle, projection)

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Regret of each sample, shape (n,)."""
        return regret_through(self, self.layer, output, target)
