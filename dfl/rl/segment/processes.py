"""Several processes that draw and learn together, by Accelerate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, final

import torch
from torch import nn

from dfl.exceptions import InvalidInputError
from dfl_solvers.exceptions import import_optional

T = TypeVar("T")


@final
class Processes:
    """The processes of an ``accelerate.Accelerator``; without one, this process alone.

    Parameters
    ----------
    accelerator : accelerate.Accelerator, optional
        What the processes share their work by.

    Raises
    ------
    InvalidInputError
        If it is none, or its mixed precision is one that needs gradients to be scaled.
    """

    def __init__(self, accelerator: Any = None) -> None:
        if accelerator is not None and not hasattr(accelerator, "mixed_precision"):
            raise InvalidInputError(
                f"got accelerator={accelerator!r}, expected an accelerate.Accelerator"
            )
        if accelerator is not None and accelerator.mixed_precision not in ("no", "bf16"):
            raise InvalidInputError(
                f"got an accelerator with mixed_precision={accelerator.mixed_precision!r}, "
                "expected 'no' or 'bf16', whose gradients need no scaling"
            )
        self.accelerator = accelerator
        self.rank: int = 0 if accelerator is None else accelerator.process_index
        self.size: int = 1 if accelerator is None else accelerator.num_processes

    @property
    def bf16(self) -> bool:
        """Whether the accelerator computes in bfloat16."""
        return self.accelerator is not None and self.accelerator.mixed_precision == "bf16"

    def own(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's share of what all of them have."""
        return items[self.rank :: self.size]

    def gather(self, item: T) -> list[T]:
        """Return what each process has, in their order."""
        if self.size == 1:
            return [item]
        utilities = import_optional("accelerate.utils", "llm")
        gathered: list[T] = utilities.gather_object([item])
        return gathered

    def average(self, model: nn.Module) -> None:
        """Average the gradients of a model over the processes."""
        if self.size == 1:
            return
        trained = [p for p in model.parameters() if p.requires_grad]
        flat = torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in trained]
        )
        flat = self.accelerator.reduce(flat, reduction="mean")
        for p, part in zip(trained, torch.split(flat, [p.numel() for p in trained]), strict=True):
            p.grad = part.reshape(p.shape).clone()
