"""The listwise ranking loss."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from dfl._validation import check_above_zero
from dfl.losses.pool import AbstractPoolLoss
from dfl.losses.target import Target
from dfl.losses.weighted_likelihood import WeightedLikelihoodLoss
from dfl.montecarlo.samples import WeightedSamples
from dfl.montecarlo.weights import softmax
from dfl_solvers.oracle import Oracle


@final
class ListwiseRankingLoss(AbstractPoolLoss):
    r"""Rank the decisions of a pool as their true costs do, by the cross-entropy of two softmaxes.

    Uses all that the pool says about the costs; the first of the ranking losses to try.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.
    temperature : float, default=1.0
        Of both softmaxes, in units of the objective: the smaller, the more the best decisions
        count. Objectives are sums of costs, so that a decision of ten costs may want ten times the
        scale of one.
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
    With a policy over the K candidates w_k, ``pi_p(w_k) = softmax_k(-p.w_k / temperature)``::

        l(p, c) = -sum_k pi_c(w_k) log pi_p(w_k)

    the weighted likelihood of the pool with softmax weights. Convex; its least value, at p = c, is
    the entropy of pi_c, and the excess is the divergence of pi_p from it. What the problem itself
    adds to the objective counts on both sides. PyEPO has the temperature 1 and lets no weight be
    below 1e-8; else value and gradient are the same for the same pool. See
    ``NoiseContrastiveLoss`` for how its pool differs.

    References
    ----------
    Mandi et al., "Decision-Focused Learning: Through the Lens of Learning to Rank", ICML 2022,
    arXiv 2112.03609.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("ranking-listwise", Simplex(3), {"solve_ratio": 0.0})
    >>> target = Target(costs=torch.tensor([[1.0, 2.0, 4.0]]), pool=torch.eye(3))
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), target)
    tensor(2.0779)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "decisions"})

    def __init__(
        self,
        oracle: Oracle,
        temperature: float = 1.0,
        solve_ratio: float = 1.0,
        pool_size: int = 1000,
    ) -> None:
        super().__init__(oracle, solve_ratio, pool_size)
        check_above_zero(self, temperature=temperature)
        self.temperature = temperature
        self.likelihood = WeightedLikelihoodLoss()

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Cross-entropy of the two policies over the candidates, shape (n,)."""
        candidates = self.candidates(output, target)
        logits = -candidates.objectives(output) / self.temperature
        mask = candidates.allowed
        if mask is not None:
            logits = logits.masked_fill(~mask, -torch.inf)
        values = -candidates.objectives(target.costs)
        weights = softmax(values, mask, temperature=self.temperature)
        samples = WeightedSamples(candidates.decisions, weights, mask=mask)
        return self.likelihood.per_sample(torch.log_softmax(logits, 1), samples)
