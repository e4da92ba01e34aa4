"""The Fenchel-Young loss of a quadratic regularizer."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from dfl.layers import FrankWolfeLayer
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class RegularizedFenchelYoungLoss(AbstractLoss):
    r"""Imitate decisions through a quadratic regularizer; true costs are not needed.

    The smooth, deterministic sibling of the perturbed Fenchel-Young loss: convex, without noise,
    and zero as soon as the good decision wins by a margin. A step costs a solve for each vertex of
    the regularized decision.

    Parameters
    ----------
    oracle : Oracle
        One whose objective is exactly ``c.w``.
    strength : float, default=1.0
        Factor rho of the regularizer, in units of the costs (estimators scale costs to a mean
        absolute value of one first).

    Raises
    ------
    InvalidInputError
        If ``strength`` is not positive.
    UnsupportedError
        If the objective has a part of its own.
    SolverError
        If the regularized decision is not found within a thousand vertices.

    Notes
    -----
    With ``Omega(w) = rho |w|^2 / 2`` and an observed decision w*::

        l(p, w*) = p.w* + Omega(w*) - min_{w in conv S} {p.w + Omega(w)}

    whose gradient is ``w* - w(p)``, w(p) being the decision of ``dfl.layers.FrankWolfeLayer``.
    It is never negative, and zero where w(p) = w*.

    References
    ----------
    Blondel, Martins & Niculae, "Learning with Fenchel-Young Losses", JMLR 2020, arXiv 1901.02324.
    Dalle et al., "Learning with Combinatorial Optimization Layers: a Probabilistic Approach", 2022,
    arXiv 2207.13513. Niculae et al., "SparseMAP", ICML 2018, arXiv 1802.04223.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("regularized-fenchel-young", Simplex(3))
    >>> good = Target(decisions=torch.tensor([[0.0, 0.0, 1.0]]))
    >>> loss(torch.tensor([[9.0, 9.0, 1.0]]), good), loss(torch.tensor([[9.0, 1.0, 1.0]]), good)
    (tensor(0.), tensor(0.2500))
    """

    requires: ClassVar[frozenset[str]] = frozenset({"decisions", "linear"})

    def __init__(self, oracle: Oracle, strength: float = 1.0) -> None:
        super().__init__(oracle)
        self.strength = strength
        self.layer = FrankWolfeLayer(self.oracle, strength)

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Loss of each sample, shape (n,)."""
        self.layer.oracle = self.oracle  # an estimator sets its own
        with torch.no_grad():
            found = self.layer(output, target.instance)
        if self._solved is not None:
            self._solved.append(found)
        # p.(w* - w) + rho (|w*|^2 - |w|^2) / 2, which is small where the two are near
        half = 0.5 * self.strength * (target.decisions + found)
        return torch.linalg.vecdot(output + half, target.decisions - found)
