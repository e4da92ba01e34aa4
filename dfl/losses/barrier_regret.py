"""Regret of the linear relaxation with a logarithmic barrier, through its optimum's equations."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from dfl.layers import BarrierLayer
from dfl.losses._through_layer import regret_through
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class BarrierRegretLoss(AbstractLoss):
    r"""Regret of a point on the central path of the linear relaxation, with its gradient (IntOpt).

    A logarithmic barrier keeps the optimum of the linear relaxation inside, where it varies
    smoothly with every predicted cost, and regret of that optimum is differentiated through it.
    Training solves no integer program at all. The relaxation must be small and tight; tune
    ``weight`` together with the learning rate.

    Parameters
    ----------
    oracle : Oracle
        One with a matrix form and an objective of ``c.w`` alone.
    weight : float, default=0.1
        The factor mu of the barrier, in units of the costs (estimators scale costs to a mean
        absolute value of one first).

    Raises
    ------
    InvalidInputError
        If ``weight`` is not positive.
    UnsupportedError
        If the oracle has no matrix form, or an objective with a part of its own.

    See Also
    --------
    dfl.layers.BarrierLayer : The decision alone.

    Notes
    -----
    With the program's variables x, decision map M and the slacks s(x) of the inequalities::

        w(p) = M x(p),   x(p) = argmin_x p.(M x) - mu sum_i log s_i(x)
        l(p, c) = c.w(p) - z*(c)

    where z*(c) is the objective of the exact problem. It is not convex, and at p = c between zero
    and mu times the number of inequalities, if the relaxation is tight.

    The authors solve a homogeneous self-dual form, stop it where the barrier's weight is below a
    limit and damp the system of the gradient. Here the point is on the path at exactly this weight
    and the gradient is its own, without damping.

    References
    ----------
    Mandi & Guns, "Interior Point Solving for LP-based prediction+optimisation", NeurIPS 2020,
    arXiv 2010.13943.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Box
    >>> loss = make_loss("intopt", Box(1), {"weight": 1.0})
    >>> output = torch.tensor([[1.5]], requires_grad=True)
    >>> value = loss(output, Target(costs=torch.tensor([[-3.0]])))  # w(p) = 1/3
    >>> value.backward()
    >>> round(value.item(), 4), output.grad
    (2.0, tensor([[0.2667]]))
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "objectives", "program", "linear"})

    def __init__(self, oracle: Oracle, weight: float = 0.1) -> None:
        super().__init__(oracle)
        self.weight = weight
        self.layer = BarrierLayer(self.oracle, weight)

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Regret of the inner decision of each sample, shape (n,)."""
        return regret_through(self, self.layer, output, target)
