"""The contrastive maximum-a-posteriori loss."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from dfl.losses.pool import AbstractPoolLoss
from dfl.losses.target import Target


@final
class ContrastiveMAPLoss(AbstractPoolLoss):
    r"""Make good decisions cheaper than the best of a pool; true costs are not needed.

    Use it where the oracle is slow, with ``solve_ratio`` below 1, or where only good decisions were
    recorded. Predictions of zero have a loss of zero, so early stopping on decisions matters.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.
    solve_ratio : float, default=1.0
        Probability, for each row, that a step solves for its predicted costs. At 1 it is the
        structured perceptron: the pool holds the best decision of all.
    pool_size : int, default=1000
        Most decisions kept of those in the training table; see ``AbstractPoolLoss``.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range.

    Notes
    -----
    For a good decision w* and a pool G of feasible ones, ``l(p, w*) = p.w* - min of p.w over w in
    G and w* itself``. It is convex, never negative, and zero where no decision in the pool is
    cheaper than w*. What the problem itself adds to the objective counts on both sides.

    PyEPO's pool always holds w*, so that value and gradient are the same for the same pool; see
    ``NoiseContrastiveLoss`` for how its pool differs.

    References
    ----------
    Mulamba et al., "Contrastive Losses and Solution Caching for Predict-and-Optimize", IJCAI 2021,
    doi 10.24963/ijcai.2021/390.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("contrastive-map", Simplex(3))
    >>> target = Target(decisions=torch.tensor([[1.0, 0.0, 0.0]]))
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), target)
    tensor(2.)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"decisions"})

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Advantage of the best candidate over the good decision, shape (n,)."""
        candidates = self.candidates(output, target)
        objectives = candidates.objectives(output)
        if candidates.allowed is not None:
            objectives = objectives.masked_fill(~candidates.allowed, torch.inf)
        values = torch.linalg.vecdot(output, target.decisions)
        if not self.linear_objective:
            values = values + self.own_part(target)
        return (values - objectives.min(1).values).clamp(min=0)
