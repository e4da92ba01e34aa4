"""What the policy learns from: responses with an advantage for each token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.losses import WeightedLikelihoodLoss
from dfl.montecarlo import WeightedSamples, standardized
from dfl.rl.segment.generation import pad_right
from dfl.rl.segment.policy import TokenBatch

LossType = Literal["dapo", "grpo", "dr_grpo"]
# largest difference of log-probabilities that the divergence looks at
_LARGEST = 10.0


@final
@dataclass(frozen=True)
class Example:
    """A response of l tokens, after a context.

    Attributes
    ----------
    row : int
        Number of the prompt.
    context, response : Tensor of int64
        Token ids; the context is not empty.
    advantages : Tensor of shape (l,)
    log_prob : Tensor of shape (l,)
        Under the policy that drew the response.
    log_prob_ref : Tensor of shape (l,), optional
        Under a reference.
    weight : float, default=1.0
        What the example counts.
    """

    row: int
    context: Tensor
    response: Tensor
    advantages: Tensor
    log_prob: Tensor
    log_prob_ref: Tensor | None = None
    weight: float = 1.0


def pack(
    examples: Sequence[Example],
    *,
    threshold: float | None = None,
    whiten: bool = False,
    loss_type: LossType = "dapo",
    max_completion_length: int,
    device: torch.device | None = None,
) -> tuple[TokenBatch, WeightedSamples]:
    r"""Make a batch of examples: what the policy is given, and what its loss is given.

    Parameters
    ----------
    examples : sequence of n Example
        All those that one step follows: averages are over all of them.
    threshold : float, optional
        Only tokens whose old probability is below it are learned from. Default: all.
    whiten : bool, default=False
        Give the advantages of these tokens mean zero and variance one first.
    loss_type : {"dapo", "grpo", "dr_grpo"}, default="dapo"
        Average over the tokens of all examples; over those of each; or divide by
        ``max_completion_length``, so that no token counts more for being in a short response.
    max_completion_length : int
        What ``"dr_grpo"`` divides by.
    device : torch.device, optional
        Where the batch is made.

    Returns
    -------
    batch : TokenBatch
        The texts, padded.
    samples : WeightedSamples
        One candidate for each input: actions, weights, old log-probabilities and mask have shape
        (n, 1, l). All that normalizes is in the weights.

    Raises
    ------
    InvalidInputError
        If there are no examples, or the type of the loss is unknown.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.segment import Example, pack
    >>> prompt, response = torch.tensor([3]), torch.tensor([1, 2])
    >>> sure = torch.tensor([0.95, 0.5]).log()
    >>> example = Example(0, prompt, response, torch.tensor([0.3, 0.3]), sure)
    >>> pack([example], threshold=0.9, max_completion_length=2)[1].weights
    tensor([[[0.0000, 0.3000]]])
    """
    if not examples:
        raise InvalidInputError("pack: got no examples, expected at least one")
    if loss_type not in ("dapo", "grpo", "dr_grpo"):
        raise InvalidInputError(
            f"pack: got loss_type={loss_type!r}, expected one of: dapo, grpo, dr_grpo"
        )
    log_ref = None
    if examples[0].log_prob_ref is not None:
        log_ref = pad_right([e.log_prob_ref for e in examples if e.log_prob_ref is not None])[0]
    batch = TokenBatch.of(
        [e.context for e in examples], [e.response for e in examples], log_ref, device
    )
    old, mask = pad_right([e.log_prob for e in examples])
    advantages = pad_right([e.advantages for e in examples])[0].to(old)
    if threshold is not None:
        mask = mask & (old < math.log(threshold))
    count = mask.sum()
    if whiten and count > 1:
        advantages = standardized(advantages.view(1, -1), mask.view(1, -1)).view_as(advantages)
    if loss_type == "dapo":
        factor = (len(examples) / count.clamp(min=1)).expand(len(examples))
    elif loss_type == "grpo":
        factor = 1 / mask.sum(1).clamp(min=1)
    else:
        factor = torch.full((len(examples),), 1 / max_completion_length)
    factor = factor * torch.tensor([e.weight for e in examples])
    weights = torch.where(mask, advantages * factor.to(advantages)[:, None], 0.0)
    samples = WeightedSamples(
        batch.ids[:, None, -batch.width :],
        weights[:, None].to(device),
        old[:, None].to(device),
        mask[:, None].to(device),
    )
    return batch, samples


def policy_loss(epsilon: float | None = 0.2, beta: float = 0.0) -> WeightedLikelihoodLoss:
    r"""Return the loss of a ``TokenPolicy``: a weighted likelihood with clipped ratios.

    Parameters
    ----------
    epsilon : float, optional, default=0.2
        Ratios to the old policy count between 1 - epsilon and 1 + epsilon. None: no ratio, but the
        log-probability itself.
    beta : float, default=0.0
        What the divergence from the reference costs; above zero, batches must hold
        ``log_prob_ref``.

    Returns
    -------
    WeightedLikelihoodLoss
        Of what ``TokenPolicy`` returns for a ``TokenBatch``.

    Notes
    -----
    The divergence of a response is the sum over its tokens in the mask of ``exp(d) - d - 1``, where
    d is the log-probability under the reference less that under the policy, from -10 to 10.
    """

    def log_prob(output: Tensor, actions: Tensor) -> Tensor:
        return output[:, :1]

    def divergence(output: Tensor, samples: WeightedSamples) -> Tensor:
        apart = (output[:, 1:] - output[:, :1]).clamp(-_LARGEST, _LARGEST)
        terms = apart.exp() - apart - 1
        mask: Any = samples.mask
        return beta * torch.where(mask, terms, torch.zeros_like(terms)).flatten(1).sum(1)

    return WeightedLikelihoodLoss(
        log_prob=log_prob, clip=epsilon, kl=divergence if beta > 0 else None
    )
