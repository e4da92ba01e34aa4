"""A weighted sum of losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError
from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Oracle


@final
class WeightedSumLoss(AbstractLoss):
    """Several losses at once, such as SPO+ with a little squared error to keep costs in units.

    Parameters
    ----------
    losses : sequence of AbstractLoss
        Losses of one oracle. The sum takes them over: they share its oracle and its generator.
    weights : sequence of float
        One for each.

    Raises
    ------
    InvalidInputError
        If there is no loss, lengths differ, or some losses minimize and others maximize.

    Notes
    -----
    Labels that the target lacks are solved by the first loss that needs them.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl.losses import WeightedSumLoss
    >>> from dfl_solvers import Simplex
    >>> oracle = Simplex(3)
    >>> terms = [make_loss("spo+", oracle), make_loss("squared", oracle)]
    >>> loss = WeightedSumLoss(terms, [1.0, 0.1])
    >>> loss(torch.tensor([[3.0, 2.0, 1.0]]), Target(costs=torch.tensor([[1.0, 2.0, 4.0]])))
    tensor(7.4333)
    """

    def __init__(self, losses: Sequence[AbstractLoss], weights: Sequence[float]) -> None:
        if not losses or len(losses) != len(weights):
            raise InvalidInputError(
                f"WeightedSumLoss: got {len(losses)} losses and {len(weights)} weights, expected "
                "as many of both, at least one"
            )
        if any("samples" in loss.requires for loss in losses) or len({x.sign for x in losses}) > 1:
            raise InvalidInputError(
                "WeightedSumLoss: expected losses of one oracle, got "
                + ", ".join(
                    f"{type(loss).__name__} of {getattr(loss, 'oracle', None)!r}, sign {loss.sign}"
                    for loss in losses
                )
            )
        nn.Module.__init__(self)
        self.requires = frozenset().union(*(loss.requires for loss in losses))  # type: ignore[misc]
        self.losses = nn.ModuleList(losses)
        self.weights = tuple(float(weight) for weight in weights)
        self.sign = losses[0].sign
        sampling = [part for part in self.losses.modules() if getattr(part, "generator", None)]
        if sampling:
            self.generator = torch.Generator().manual_seed(0)
            for part in sampling:
                part.generator = self.generator  # type: ignore[assignment]

    @property
    def oracle(self) -> Oracle:
        """The oracle of the first loss; setting it sets that of every loss."""
        return self._losses()[0].oracle

    @oracle.setter
    def oracle(self, oracle: Oracle) -> None:
        for loss in self._losses():
            loss.oracle = oracle

    def complete(self, target: Target) -> Target:
        """Fill in what the losses need and the target lacks, one loss after the other."""
        for loss in self._losses():
            target = loss.complete(target)
        return target

    def per_sample(self, output: Tensor, target: Target) -> Tensor:
        """Weighted sum of the losses of each sample, shape (n,)."""
        values = [loss.per_sample(output, target) for loss in self._losses()]
        return sum(  # type: ignore[return-value]
            weight * value for weight, value in zip(self.weights, values, strict=True)
        )

    def _losses(self) -> list[AbstractLoss]:
        return list(self.losses)  # type: ignore[arg-type]
