"""The weighted likelihood: one of the two losses that policies and decision losses share."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.losses.base import AbstractLoss
from dfl.montecarlo.samples import WeightedSamples

LogProbability = Callable[[Tensor, Tensor], Tensor]
# largest logarithm of a ratio
_LARGEST = 10.0


@final
class WeightedLikelihoodLoss(AbstractLoss):
    r"""Make candidates likelier in proportion to their weights.

    The loss of policies that improve by sampling: regression on weighted candidates, the
    score-function gradient, and with ``clip`` the proximal one. Which it is, the weights say; see
    ``dfl.montecarlo``. Ranking by lists and the score-function loss are made of it.

    Parameters
    ----------
    oracle : None
        It holds none.
    log_prob : callable, optional
        From the model's output and the actions to log-probabilities of the shape of the weights.
        Default: the output holds them already.
    clip : float, optional
        Use the ratio to the old policy, clipped to ``1 - clip`` to ``1 + clip``, as proximal policy
        optimization does. Default: the log-probability itself.
    kl : callable, optional
        From the model's output and the samples to a further term (n,), its coefficient included.

    Raises
    ------
    InvalidInputError
        If ``clip`` is not between 0 and 1, or the samples lack what it needs.

    Notes
    -----
    With weights u, ratio ``r = exp(log_prob - log_prob_old)`` (the exponent within -10 and 10) and
    sums over the candidates, and tokens, that the mask keeps::

        l = -sum u log_prob                                        without clip
        l =  sum max(-u r, -u min(max(r, 1 - clip), 1 + clip))     with clip

    Both scale with the weights, so that every normalization belongs to them.

    References
    ----------
    Schulman et al., "Proximal Policy Optimization Algorithms", 2017, arXiv 1707.06347.
    Abdolmaleki et al., "Maximum a Posteriori Policy Optimisation", ICLR 2018, arXiv 1806.06920.

    Examples
    --------
    >>> import torch
    >>> from dfl import make_loss
    >>> from dfl.montecarlo import WeightedSamples
    >>> loss = make_loss("weighted-likelihood", None)
    >>> samples = WeightedSamples(torch.tensor([[0, 1]]), torch.tensor([[0.75, 0.25]]))
    >>> loss(torch.log_softmax(torch.zeros(1, 2), 1), samples)
    tensor(0.6931)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"samples"})

    def __init__(
        self,
        oracle: None = None,
        log_prob: LogProbability | None = None,
        clip: float | None = None,
        kl: Callable[[Tensor, WeightedSamples], Tensor] | None = None,
    ) -> None:
        super().__init__(oracle)
        if clip is not None and not 0 < clip < 1:
            raise InvalidInputError(
                f"WeightedLikelihoodLoss: got clip={clip}, expected a number between 0 and 1"
            )
        self.log_prob = log_prob
        self.clip = clip
        self.kl = kl

    def per_sample(self, output: Tensor, target: WeightedSamples) -> Tensor:
        """Sum over the candidates of each input, shape (n,)."""
        log_prob = log_probability(self, output, target)
        if self.clip is None:
            terms = -target.weights * log_prob
        else:
            ratio = log_ratio(self, log_prob, target).clamp(-_LARGEST, _LARGEST).exp()
            clipped = ratio.clamp(1 - self.clip, 1 + self.clip)
            terms = torch.maximum(-target.weights * ratio, -target.weights * clipped)
        values = kept(terms, target.mask).flatten(1).sum(1)
        return values if self.kl is None else values + self.kl(output, target)


def log_probability(loss: AbstractLoss, output: Tensor, target: WeightedSamples) -> Tensor:
    """Return log-probabilities of the shape of the weights, zero outside the mask."""
    function: LogProbability | None = loss.log_prob  # type: ignore[assignment]
    log_prob = output if function is None else function(output, target.actions)
    if log_prob.shape != target.weights.shape:
        raise InvalidInputError(
            f"{type(loss).__name__}: got log-probabilities of shape {tuple(log_prob.shape)}, "
            f"expected {tuple(target.weights.shape)}, the shape of the weights"
        )
    return kept(log_prob, target.mask)


def log_ratio(loss: AbstractLoss, log_prob: Tensor, target: WeightedSamples) -> Tensor:
    """Return the logarithm of the ratio to the old policy, zero outside the mask."""
    if target.log_prob_old is None:
        raise InvalidInputError(
            f"{type(loss).__name__} compares with an old or a reference policy: got "
            "log_prob_old=None in the samples"
        )
    return log_prob - kept(target.log_prob_old, target.mask)


def kept(values: Tensor, mask: Tensor | None) -> Tensor:
    """Return the values, zero and without gradient outside the mask."""
    return values if mask is None else torch.where(mask, values, torch.zeros_like(values))
