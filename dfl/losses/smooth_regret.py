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
        One with a method ``vector_jacobian_product``: ``Ball``, ``Ellipsoid``, ``EntropyBall`` or
        ``LogBarrierSimplex``.

    Raises
    ------
    UnsupportedError
        If the oracle's decisions have no derivative.

    Notes
    -----
    ``l(p, c) = c.w*(p) - z*(c)`` with the gradient ``J(p)' c``, where J is the derivative of the
    decision. It does not change with the length of p, so that the gradient is at right angles to
    p, and shrinks as p grows.

    References
    ----------
    Liu & Grigas, "Risk Bounds and Calibration for a Smart Predict-then-Optimize Method", NeurIPS
    2021, arXiv 2108.08887, where it is called SPO, in the experiments.

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

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "decisions", "linear", "derivative"})

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Regret of each sample, shape (n,)."""
        found, _ = self.solve(output, target.instance)
        values = torch.linalg.vecdot(target.costs, found - target.decisions)
        if not (torch.is_grad_enabled() and output.requires_grad):
            return values
        return with_gradient(output, values, _bridge.pulled_back(self.oracle, output, target.costs))

    def value_and_gradient(self, output: Array, truth: Truth) -> tuple[Array, Array]:
        """Regret (n,) and its gradient (n, d)."""
        found = self.oracle.solve(output, truth.instance).decisions
        gradient = self.oracle.vector_jacobian_product(output, truth.costs)  # type: ignore[attr-defined]
        values = np.vecdot(truth.costs, found - truth.decisions)
        return values.astype(output.dtype), gradient.astype(output.dtype, copy=False)
