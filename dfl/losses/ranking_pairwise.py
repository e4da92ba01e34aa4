"""The pairwise ranking loss."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
from torch import Tensor
from torch.nn.functional import softplus

from dfl.exceptions import InvalidInputError
from dfl.losses.pool import AbstractPoolLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class PairwiseRankingLoss(AbstractPoolLoss):
    r"""Put the best decision of a pool before each of the others.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.
    link : {"hinge", "logistic"}, default="hinge"
        What a pair in the wrong order costs. The logistic one is the preference loss of policies:
        it asks for ever larger differences, as the hinge does up to its margin.
    margin : float, default=0.0
        Difference of predicted objectives, in units of the costs, that a pair should have. At 0 the
        hinge is zero for predictions of zero; early stopping on decisions guards against that.
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
    With b the candidate that is best for the true costs c, and K candidates::

        hinge:     l(p, c) = (1 / (K - 1)) sum_{w != b} max(0, margin + p.(b - w))
        logistic:  l(p, c) = (1 / (K - 1)) sum_{w != b} log(1 + exp(margin + p.(b - w)))

    What the problem itself adds to the objective counts on both sides. PyEPO has the hinge with
    margin 0, with the same value and gradient for the same pool; see ``NoiseContrastiveLoss`` for
    how its pool differs.

    References
    ----------
    Mandi et al., "Decision-Focused Learning: Through the Lens of Learning to Rank", ICML 2022,
    arXiv 2112.03609.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("ranking-pairwise", Simplex(3), {"solve_ratio": 0.0})
    >>> target = Target(costs=torch.tensor([[1.0, 2.0, 4.0]]), pool=torch.eye(3))
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), target)
    tensor(1.5000)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "decisions"})

    def __init__(
        self,
        oracle: Oracle,
        link: Literal["hinge", "logistic"] = "hinge",
        margin: float = 0.0,
        solve_ratio: float = 1.0,
        pool_size: int = 1000,
    ) -> None:
        super().__init__(oracle, solve_ratio, pool_size)
        if link not in ("hinge", "logistic"):
            raise InvalidInputError(
                f"PairwiseRankingLoss: got link={link!r}, expected 'hinge' or 'logistic'"
            )
        if not margin >= 0:
            raise InvalidInputError(f"PairwiseRankingLoss: got margin={margin}, expected 0 or more")
        self.link = link
        self.margin = margin

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Mean over the pairs of the best candidate and another, shape (n,)."""
        candidates = self.candidates(output, target)
        true = candidates.objectives(target.costs)
        allowed = candidates.allowed
        if allowed is not None:
            true = true.masked_fill(~allowed, torch.inf)
        best = true.argmin(1, keepdim=True)
        predicted = candidates.objectives(output)
        gaps = self.margin + predicted.gather(1, best) - predicted
        costs = softplus(gaps) if self.link == "logistic" else gaps.clamp(min=0)
        others = torch.ones_like(gaps) if allowed is None else allowed.to(gaps.dtype)
        others = others.scatter(1, best, 0.0)
        return (costs * others).sum(1) / others.sum(1).clamp(min=1)
