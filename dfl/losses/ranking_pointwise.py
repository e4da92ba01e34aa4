"""The pointwise ranking loss."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from dfl.losses.pool import AbstractPoolLoss
from dfl.losses.target import Target


@final
class PointwiseRankingLoss(AbstractPoolLoss):
    r"""Predict what the decisions of a pool cost: a squared error that knows the decisions.

    The mildest of the three ranking losses, near to least squares; it keeps predicted costs in
    their units.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.
    solve_ratio : float, default=1.0
        Probability, for each row, that a step solves for its predicted costs.
    pool_size : int, default=1000
        Most decisions kept of those in the training table; see ``AbstractPoolLoss``.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range.

    Notes
    -----
    ``l(p, c) = mean over w in the pool of ((p - c).w)^2``, convex and zero at p = c. PyEPO has the
    same value and gradient for the same pool; see ``NoiseContrastiveLoss`` for how its pool
    differs.

    References
    ----------
    Mandi et al., "Decision-Focused Learning: Through the Lens of Learning to Rank", ICML 2022,
    arXiv 2112.03609.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("ranking-pointwise", Simplex(3), {"solve_ratio": 0.0})
    >>> target = Target(costs=torch.tensor([[1.0, 2.0, 4.0]]), pool=torch.eye(3))
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), target)
    tensor(4.3333)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "decisions"})

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Mean squared error of the objectives of the candidates, shape (n,)."""
        candidates = self.candidates(output, target)
        errors = (output - target.costs) @ candidates.decisions.T
        return candidates.mean(errors**2)
