"""Where batches come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, final

import torch
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError
from dfl.losses import Target


class Source(Protocol):
    """Anything that yields batches of (input, target) for one epoch.

    A table of rows is a Source; a source may also use the model it is given to make its batches.
    """

    def batches(
        self, model: nn.Module, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Target]]:
        """Yield the batches of one epoch; all randomness comes from ``generator``."""
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

    Raises
    ------
    InvalidInputError
        If ``batch_size`` is below one.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target
    >>> from dfl.training import TableSource
    >>> source = TableSource(torch.zeros(5, 2), Target(costs=torch.zeros(5, 3)), batch_size=2)
    >>> [len(x) for x, _ in source.batches(torch.nn.Identity(), torch.Generator())]
    [2, 2, 1]
    """

    def __init__(self, inputs: Tensor, target: Target, batch_size: int = 32) -> None:
        if batch_size < 1:
            raise InvalidInputError(f"got batch_size={batch_size!r}, expected at least 1")
        self.inputs = inputs
        self.target = target
        self.batch_size = batch_size

    def batches(
        self, model: nn.Module, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Target]]:
        """Yield every row once."""
        del model
        order = torch.randperm(len(self.inputs), generator=generator)
        inputs, target = self.inputs[order], self.target.rows(order)
        for start in range(0, len(order), self.batch_size):
            rows = slice(start, start + self.batch_size)
            yield inputs[rows], target.rows(rows)
