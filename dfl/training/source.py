"""Where batches come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn

from dfl._validation import check_at_least
from dfl.exceptions import InvalidInputError
from dfl.losses import Target


class Source(Protocol):
    """Anything that yields batches of (input, target) for one epoch.

    A table of rows is a Source; a source may also use the model it is given to make its batches.
    Inputs are what the model takes, of length n; targets what the loss takes: a ``Target``, or
    ``WeightedSamples``. A third part of a batch, if there is one, is a tensor (n,) of the samples'
    weights.
    """

    def batches(self, model: nn.Module, generator: torch.Generator) -> Iterator[tuple[Any, ...]]:
        """Yield the batches of one epoch; all randomness comes from ``generator``."""
        ...


@runtime_checkable
class StatefulSource(Source, Protocol):
    """A source whose next epoch depends on those before; checkpoints keep its tensors."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return what the next epoch depends on."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` returned."""
        ...


@final
class TableSource:
    """Batches of the rows of a table, in a new random order each epoch.

    Rows are gathered once an epoch and batches are views of them: no data loader, no workers.

    Parameters
    ----------
    inputs : Tensor of shape (n, ...)
        One instance a row.
    target : Target
        The truth of the same n instances.
    batch_size : int, default=32
        Rows per batch; the last batch of an epoch may be smaller.
    weights : Tensor of shape (n,), optional
        What each row counts; divided by their mean, so that equal weights change nothing.

    Raises
    ------
    InvalidInputError
        If ``batch_size`` is below one, or the weights are not n finite numbers, none of them
        negative and not all zero.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target
    >>> from dfl.training import TableSource
    >>> source = TableSource(torch.zeros(5, 2), Target(costs=torch.zeros(5, 3)), batch_size=2)
    >>> [len(x) for x, _ in source.batches(torch.nn.Identity(), torch.Generator())]
    [2, 2, 1]
    """

    def __init__(
        self, inputs: Tensor, target: Target, batch_size: int = 32, weights: Tensor | None = None
    ) -> None:
        check_at_least(1, "", batch_size=batch_size)
        self.inputs = inputs
        self.target = target
        self.batch_size = batch_size
        self.weights = None if weights is None else _normalized(weights, len(inputs))

    def order(self, generator: torch.Generator) -> Tensor:
        """Draw the order of the rows in one epoch."""
        return torch.randperm(len(self.inputs), generator=generator)

    def batches(
        self, model: nn.Module, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Target] | tuple[Tensor, Target, Tensor]]:
        """Yield every row once."""
        del model
        order = self.order(generator)
        inputs, target = self.inputs[order], self.target.rows(order)
        weights = None if self.weights is None else self.weights[order]
        for start in range(0, len(order), self.batch_size):
            rows = slice(start, start + self.batch_size)
            if weights is None:
                yield inputs[rows], target.rows(rows)
            else:
                yield inputs[rows], target.rows(rows), weights[rows]


def _normalized(weights: Tensor, n: int) -> Tensor:
    if weights.shape != (n,):
        raise InvalidInputError(
            f"got sample weights of shape {tuple(weights.shape)}, expected ({n},), one per row"
        )
    wrong = torch.nonzero(~((weights >= 0) & torch.isfinite(weights)))
    if len(wrong):
        i = int(wrong[0])
        raise InvalidInputError(
            f"got sample weight {float(weights[i])} at row {i}, expected finite numbers, "
            "none of them negative"
        )
    if not weights.sum() > 0:
        raise InvalidInputError("the sample weights are all zero")
    return weights / weights.mean()
