"""The score-function loss: expected regret under noise, by its likelihood-ratio gradient."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from dfl import _bridge
from dfl.losses._score import Baseline, NormalScore
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class ScoreFunctionLoss(AbstractLoss):
    r"""Expected regret of noisy costs: regret itself, smoothed, for any oracle.

    It needs nothing of the oracle but decisions and is not biased by a surrogate; its gradient is
    noisy. Each step costs ``n_samples`` solves a sample, in one call.

    Parameters
    ----------
    oracle : Oracle
        Any oracle.
    sigma : float, default=1.0
        Standard deviation of the noise, in units of the costs (estimators scale costs to a mean
        absolute value of one first). Less noise is nearer to regret, and a gradient harder to
        estimate.
    n_samples : int, default=10
        Number of noise draws a sample and step, at least 2.
    baseline : {"leave-one-out", "mean", "standardized"}, default="leave-one-out"
        What is taken from regrets before they weigh the noise: the mean of the other draws, which
        keeps the gradient unbiased; the mean of all, which shortens it to ``(k-1)/k`` of that; or
        the mean of all with a division by their standard deviation, as group-relative policy
        optimization does, so that every instance counts alike.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range.

    Notes
    -----
    For normal noise Z_k, costs ``a_k = p + sigma Z_k`` and regrets ``r_k = c.w*(a_k) - z*(c)``::

        l(p, c) = E[regret(p + sigma Z, c)],   estimated by (1/K) sum_k r_k
        gradient = (1/K) sum_k A_k Z_k / sigma,   A_k = r_k less a baseline

    The value is that of the sampled costs; its gradient is that of the weighted likelihood of the
    sampled costs, with weights ``-A_k / K``.

    References
    ----------
    Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement
    Learning", 1992, doi 10.1007/BF00992696. Silvestri et al., "Score Function Gradient Estimation
    to Widen the Applicability of Decision-Focused Learning", 2023, arXiv 2307.05213.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl_solvers import Simplex
    >>> loss = make_loss("score-function", Simplex(3), {"sigma": 0.01})
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), Target(costs=torch.tensor([[1.0, 2.0, 4.0]])))
    tensor(3.)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"costs", "objectives"})

    def __init__(
        self,
        oracle: Oracle,
        sigma: float = 1.0,
        n_samples: int = 10,
        baseline: Baseline = "leave-one-out",
    ) -> None:
        super().__init__(oracle)
        self.sigma = sigma
        self.n_samples = n_samples
        self.baseline = baseline
        self.generator = torch.Generator().manual_seed(0)
        self.score = NormalScore("ScoreFunctionLoss", sigma, n_samples, baseline)

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Mean regret over the draws, with the score-function gradient; shape (n,)."""
        costs = self.score.draw(output, self.generator, target.mask())  # type: ignore[arg-type]
        decisions, _ = self.solve(costs, target.instance)
        regrets = self._objectives(decisions, target) - target.objectives[:, None]
        return self.score.mean(output, costs, regrets)

    def _objectives(self, decisions: Tensor, target: Target) -> Tensor:
        """Objectives (n, k) of decisions (n, k, d) under the true costs."""
        if self.linear_objective:
            return torch.linalg.vecdot(target.costs[:, None], decisions)
        return _bridge.evaluate(self.oracle, target.costs, decisions, target.instance)
