"""What a loss of a policy is given: candidates, and what each is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor


@final
@dataclass(frozen=True)
class WeightedSamples:
    """Candidates of n inputs with a weight each: the target of the losses of policies.

    What a method needs besides belongs to the input of its model.

    Attributes
    ----------
    actions : Tensor of shape (n, k, ...)
        k candidates of each input.
    weights : Tensor of shape (n, k) or (n, k, l)
        What each is worth, every normalization included; negative for what to avoid.
    log_prob_old : Tensor of the shape of ``weights``, optional
        Log-probabilities under the policy that drew the candidates, or under a reference.
    mask : Tensor of bool of the shape of ``weights``, optional
        True where there is a candidate.

    Examples
    --------
    >>> import torch
    >>> from dfl.montecarlo import WeightedSamples
    >>> samples = WeightedSamples(torch.tensor([[0, 1]]), torch.tensor([[0.5, -0.5]]))
    >>> len(samples), samples.mask is None
    (1, True)
    """

    actions: Tensor
    weights: Tensor
    log_prob_old: Tensor | None = None
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.weights)

    def rows(self, index: Tensor | slice) -> WeightedSamples:
        """Return the candidates of some inputs: a slice, or a tensor of row numbers."""
        old, mask = self.log_prob_old, self.mask
        return WeightedSamples(
            self.actions[index],
            self.weights[index],
            None if old is None else old[index],
            None if mask is None else mask[index],
        )
