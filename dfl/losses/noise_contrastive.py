"""The noise-contrastive estimation loss."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from dfl.losses.pool import AbstractPoolLoss
from dfl.losses.target import Target


@final
class NoiseContrastiveLoss(AbstractPoolLoss):
    r"""Make good decisions cheaper than the average of a pool; true costs are not needed.

    Use it where the oracle is slow: with ``solve_ratio=0`` no step solves. It is linear in the
    predicted costs while the pool does not change, hence unbounded below: keep early stopping on,
    or choose ``ContrastiveMAPLoss``.

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

    See Also
    --------
    dfl_solvers.Pool : A pool in place of the solver, for any loss.

    Notes
    -----
    For a good decision w* and a pool G of feasible ones, ``l(p, w*) = mean over w in G of
    p.(w* - w)``, with the gradient ``w*`` less the mean of the pool. What the problem itself adds
    to the objective counts on both sides.

    PyEPO has the same value and gradient for the same pool. Its pool grows without bound, and one
    draw decides for the whole batch whether it is solved.

    References
    ----------
    Mulamba et al., "Contrastive Losses and Solution Caching for Predict-and-Optimize", IJCAI 2021,
    doi 10.24963/ijcai.2021/390.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("nce", Simplex(3), {"solve_ratio": 0.0})
    >>> target = Target(decisions=torch.tensor([[1.0, 0.0, 0.0]]), pool=torch.eye(3))
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), target)
    tensor(1.)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"decisions"})

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Mean advantage of the pool over the good decision, shape (n,)."""
        candidates = self.candidates(output, target)
        values = torch.linalg.vecdot(output, target.decisions)
        if not self.linear_objective:
            values = values + self.own_part(target)
        return values - candidates.mean(candidates.objectives(output))
