"""The preference loss: the other of the two that policies and decision losses share."""

from __future__ import annotations

import math
from typing import ClassVar, final

from torch import Tensor
from torch.nn.functional import softplus

from dfl._validation import check_above_zero
from dfl.exceptions import InvalidInputError
from dfl.losses.base import AbstractLoss
from dfl.losses.weighted_likelihood import (
    LogProbability,
    kept,
    log_probability,
    log_ratio,
)
from dfl.montecarlo.samples import WeightedSamples


@final
class PreferenceLoss(AbstractLoss):
    r"""Make the better of two candidates likelier than the worse, as compared with a reference.

    Direct preference optimization. Ranking by pairs with the logistic link is the same loss for the
    policy that a pool and predicted costs define.

    Parameters
    ----------
    oracle : None
        It holds none.
    log_prob : callable, optional
        From the model's output and the actions to log-probabilities of the shape of the weights.
        Default: the output holds them already.
    beta : float, default=1.0
        How much a difference of log-ratios counts.
    ratio_clip : float, optional
        Log-ratios stay within ``log(1 - ratio_clip)`` and ``log(1 + ratio_clip)``; there is no
        gradient outside, which makes this a trust region. Default: no bounds.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range, or the samples lack the reference's log-probabilities.

    Notes
    -----
    With log-ratios ``r_k = log_prob_k - log_prob_old_k`` and weights u, which are 1/2 for the
    winner and -1/2 for the loser (``dfl.rl.preference.pair_extremes``)::

        l = log(1 + exp(-beta sum_k 2 u_k r_k))  =  log(1 + exp(-beta (r_winner - r_loser)))

    A row whose candidates are all masked has loss zero. It does not scale with the weights: they
    take no normalization.

    References
    ----------
    Rafailov et al., "Direct Preference Optimization: Your Language Model is Secretly a Reward
    Model", NeurIPS 2023, arXiv 2305.18290.

    Examples
    --------
    >>> import torch
    >>> from dfl import make_loss
    >>> from dfl.montecarlo import WeightedSamples
    >>> loss = make_loss("preference", None, {"beta": 2.0})
    >>> pair = torch.tensor([[0.5, -0.5]])
    >>> samples = WeightedSamples(torch.tensor([[0, 1]]), pair, torch.zeros(1, 2))
    >>> loss(torch.tensor([[0.0, 0.0]]), samples)
    tensor(0.6931)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"samples"})

    def __init__(
        self,
        oracle: None = None,
        log_prob: LogProbability | None = None,
        beta: float = 1.0,
        ratio_clip: float | None = None,
    ) -> None:
        super().__init__(oracle)
        check_above_zero(self, beta=beta)
        if ratio_clip is not None and not 0 < ratio_clip < 1:
            raise InvalidInputError(
                f"PreferenceLoss: got ratio_clip={ratio_clip}, expected a number between 0 and 1"
            )
        self.log_prob = log_prob
        self.beta = beta
        self.ratio_clip = ratio_clip

    def per_sample(self, output: Tensor, target: WeightedSamples) -> Tensor:
        """Logistic loss of the pair of each input, shape (n,)."""
        ratios = log_ratio(self, log_probability(self, output, target), target)
        if self.ratio_clip is not None:
            ratios = ratios.clamp(math.log1p(-self.ratio_clip), math.log1p(self.ratio_clip))
        weights = kept(target.weights, target.mask)
        values = softplus(-2 * self.beta * (weights * ratios).flatten(1).sum(1))
        return values if target.mask is None else values * target.mask.flatten(1).any(1)
