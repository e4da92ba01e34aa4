"""Squared error of soft ranks."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from dfl._validation import check_positive
from dfl.layers import soft_rank
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class SoftRankLoss(AbstractLoss):
    r"""Squared error of the ranks of the predicted costs, by differentiable ranks.

    Use it where decisions depend on the order of the costs alone: ``Ranking``, ``TopK`` and
    ``Simplex``. It is Spearman's rank correlation as a loss, and calls no oracle. Predicted costs
    then have no unit.

    Parameters
    ----------
    oracle : Oracle
        Kept so that every loss has the same signature.
    strength : float, default=1.0
        How far predicted costs must be apart to have exact ranks, in units of the costs (estimators
        scale costs to a mean absolute value of one first).

    Raises
    ------
    InvalidInputError
        If ``strength`` is not positive.

    See Also
    --------
    dfl.layers.soft_rank : The ranks.
    PermutahedronRegretLoss : Regret itself, for the same oracles.

    Notes
    -----
    With the projection P on the permutahedron of 1, ..., d::

        l(p, c) = (1/d) sum_j (P(p / strength)_j - rank(c)_j)^2

    over the real (unpadded) coordinates. Equal true costs share the mean of their ranks. As
    strength falls it tends to ``(1 - r) (d^2 - 1) / 6``, where r is Spearman's correlation. It is
    not convex.

    References
    ----------
    Blondel, Teboul, Berthet & Djolonga, "Fast Differentiable Sorting and Ranking", ICML 2020,
    arXiv 2002.08871.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import TopK
    >>> loss = make_loss("soft-rank", TopK(3, 1))
    >>> loss(torch.tensor([[1.0, 3.0, 7.0]]), Target(costs=torch.tensor([[0.1, 0.3, 0.2]])))
    tensor(0.6667)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs"})

    def __init__(self, oracle: Oracle, strength: float = 1.0) -> None:
        super().__init__(oracle)
        check_positive(self, strength=strength)
        self.strength = strength

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Mean squared error of the ranks of each sample, shape (n,)."""
        # imported here, since it takes a while and no other loss needs it
        from scipy.stats import rankdata

        mask = target.mask()
        costs = target.costs.detach().cpu()
        if mask is not None:  # padding comes last, so that it has no part in the ranks of others
            costs = torch.where(mask, costs, torch.full_like(costs, torch.inf))
        true = torch.from_numpy(rankdata(costs.numpy(), axis=1)).to(output)
        return target.mean((soft_rank(output, self.strength, mask) - true) ** 2)
