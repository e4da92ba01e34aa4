"""Copies of environments in place of a tensor of states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor

from dfl.exceptions import UnsupportedError


@final
class Snapshots:
    """Rows of saved environments, handled as a column of tensors is. What is saved is not changed.

    Parameters
    ----------
    saved : sequence
        One a row.
    """

    ndim = 1

    def __init__(self, saved: Sequence[Any]) -> None:
        self.saved = tuple(saved)

    def __len__(self) -> int:
        return len(self.saved)

    def __getitem__(self, index: Tensor) -> Snapshots:
        rows = index.nonzero().squeeze(1) if index.dtype == torch.bool else index
        return Snapshots([self.saved[i] for i in rows.tolist()])

    def repeat_interleave(self, times: int, dim: int = 0) -> Snapshots:
        """Repeat each row, copies side by side."""
        return Snapshots([row for row in self.saved for _ in range(times)])

    def where(self, mask: Tensor, other: Snapshots) -> Snapshots:
        """Return the rows where the mask is true, and those of another elsewhere."""
        pairs = zip(mask.tolist(), self.saved, other.saved, strict=True)
        return Snapshots([own if here else theirs for here, own, theirs in pairs])

    @classmethod
    def __torch_function__(cls, function: Any, *_: Any) -> None:
        """Say what is needed wherever a tensor is: to stack what was collected, for example."""
        raise UnsupportedError(
            f"GymnasiumModel: states that hold copies of environments have no {function.__name__}: "
            "give save and restore, so that they are tensors, to learn in the model"
        )
