"""Regret itself, where decisions have a derivative."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from dfl import _bridge
from dfl.losses._through_layer import with_gradient
from dfl.losses.base import AbstractLoss
from dfl.losses.closed_form import Truth
from dfl.losses.target import Target
from dfl_solvers.oracle import Array


@final
class SmoothRegretLoss(AbstractLoss):
    r"""Regret itself with its own gradient, on sets whose decisions vary smoothly with the costs.

    Nothing stands in for regret here, but it is not convex, and flat wherever decisions hardly
    change: begin with a model that is near, such as least squares, and compare with SPO+.

    Parameters
    ----------
    oracle : Oracle
        One with a method ``vector_jacobian_product``: ``Ball``, ``Ellipsoid``, ``EntropyBall``,
        ``LogBarrierSimplex``, ``MeanVariancePortfolio``, or a problem of CVXPY with a quadratic
        objective or second-order cones (``from_cvxpy``).

    Raises
    ------
    UnsupportedError
        If the oracle's decisions have no derivative.

    Notes
    -----
    ``l(p, c) = c.w*(p) - z*(c)`` with the gradient ``J(p)' c``, where J is the derivative of the
    decision. It does not change with the length of p, so that the gradient is at right angles to
    p, and shrinks as p grows.

    Where the objective has a part f(w) of its own, as a price on risk, ``l(p, c) = c.w*(p) +
    f(w*(p)) - z*(c)``. Since w*(p) is the derivative of ``V(p) = min p.w + f(w)``, and the rest is
    ``(c - p).w*(p)``, the gradient is ``J(p)' (c - p)``, without a derivative of f.

    References
    ----------
    Liu & Grigas, "Risk Bounds and Calibration for a Smart Predict-then-Optimize Method", NeurIPS
    2021, arXiv 2108.08887, where it is called SPO, in the experiments. Agrawal et al.,
    "Differentiable Convex Optimization Layers", NeurIPS 2019, arXiv 1910.12430.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Ball
    >>> loss = make_loss("smooth-regret", Ball(2))
    >>> output = torch.tensor([[4.0, 3.0]], requires_grad=True)
    >>> value = loss(output, Target(costs=torch.tensor([[3.0, 4.0]])))
    >>> value.backward()
    >>> round(value.item(), 4), output.grad
    (0.2, tensor([[ 0.1680, -0.2240]]))
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "decisions", "derivative"})

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Regret of each sample, shape (n,)."""
        found, _ = self.solve(output, target.instance)
        instance, vectors = target.instance, target.costs
        if self.linear_objective:
            values = torch.linalg.vecdot(target.costs, found - target.decisions)
        else:
            worth = _bridge.evaluate(self.oracle, target.costs, found, instance)
            values, vectors = worth - target.objectives, target.costs - output.detach()
        if not (torch.is_grad_enabled() and output.requires_grad):
            return values
        gradient = _bridge.pulled_back(self.oracle, output, vectors, instance)
        return with_gradient(output, values, gradient)

    def value_and_gradient(self, output: Array, truth: Truth) -> tuple[Array, Array]:
        """Regret (n,) and its gradient (n, d)."""
        instance, vectors = truth.instance, truth.costs
        found = self.oracle.solve(output, instance).decisions
        if self.linear_objective:
            values = np.vecdot(truth.costs, found - truth.decisions)
        else:
            # ``own`` is the part f of the objective of the best decisions
            worth, own = self.oracle.evaluate(truth.costs, found, instance), truth.own
            values = worth - np.vecdot(truth.costs, truth.decisions) - own
            vectors = truth.costs - output
        data = [instance] if instance else []
        gradient = self.oracle.vector_jacobian_product(output, vectors, *data)  # type: ignore[attr-defined]
        return values.astype(output.dtype), gradient.astype(output.dtype, copy=False)
