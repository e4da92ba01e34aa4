"""The SPO+ loss with a quadratic regularizer."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from dfl.layers.frank_wolfe import FrankWolfeLayer
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class SmoothedSPOPlusLoss(AbstractLoss):
    r"""SPO+ whose gradient is continuous: decisions inside are averages of few decisions.

    Use it where SPO+ does not settle, or a method wants a smooth loss. It costs several solves a
    sample and step, one for each decision that enters an average.

    Parameters
    ----------
    oracle : Oracle
        An oracle whose objective is exactly ``c.w``.
    strength : float, default=0.1
        Factor rho of the regularizer, in units of the costs. The smaller, the nearer to SPO+ and
        the less smooth.

    Raises
    ------
    InvalidInputError
        If ``strength`` is not positive.
    UnsupportedError
        If the objective has a part of its own.

    Notes
    -----
    For predicted costs p, true costs c, an optimal decision w*(c), and S the convex hull of the
    feasible decisions::

        l(p, c) = max_{w in S} {(c - 2p).w - rho |w|^2 / 2} + 2p.w*(c) - z*(c)

    It is convex with the gradient ``2 (w*(c) - w_rho(2p - c))``, ``4 / rho``-smooth, and between
    SPO+ less ``rho max |w|^2 / 2`` and SPO+, so that it can be negative: its least value is at
    least ``-rho |w*(c)|^2 / 2``. ``w_rho(v)``, the projection of ``-v / rho`` on S, is found by
    ``FrankWolfeLayer`` from the oracle alone.

    References
    ----------
    Elmachtoub & Grigas, "Smart 'Predict, then Optimize'", arXiv 1710.08005, for SPO+. Nesterov,
    "Smooth minimization of non-smooth functions", 2005, doi 10.1007/s10107-004-0552-5, for the
    regularizer; the combination is a reconstruction, not one paper's.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("smoothed-spo+", Simplex(3), {"strength": 0.5})
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), Target(costs=torch.tensor([[1.0, 2.0, 4.0]])))
    tensor(6.7500)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "decisions", "linear"})

    def __init__(self, oracle: Oracle, strength: float = 0.1) -> None:
        super().__init__(oracle)
        # the loss errs by the gap at which the search ends; no oracle of a curved set is exact
        self.layer = FrankWolfeLayer(self.oracle, strength, tolerance=1e-6)

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Smoothed SPO+ loss of each sample, shape (n,)."""
        self.layer.oracle = self.oracle  # an estimator sets its own
        shifted = 2 * output - target.costs
        inside = self.layer(shifted.detach(), target.instance)  # envelope theorem: no derivative
        if self._solved is not None:
            self._solved.append(inside)
        values = torch.linalg.vecdot(shifted, target.decisions - inside)
        return values - self.layer.strength / 2 * (inside**2).sum(-1)
