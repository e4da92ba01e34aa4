"""What a loss offers whose gradient is known in closed form: training without autograd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import torch

from dfl.losses.base import AbstractLoss
from dfl.losses.target import Target
from dfl_solvers.oracle import Array, Instance


@final
@dataclass(frozen=True, slots=True)
class Truth:
    """A complete ``Target`` as arrays, in the sense of minimization: what closed forms read.

    Attributes
    ----------
    costs, decisions : ndarray of shape (n, d), or None
        As in ``Target``; None where the loss does not need it.
    own : ndarray of shape (n,), or None
        What the objective of the decisions holds beside ``c.w``; None if nothing.
    instance : mapping of str to ndarray, or None
        Per-instance data of the oracle, each array with leading n.
    """

    # typed as present, as in Target
    costs: Array = None  # type: ignore[assignment]
    decisions: Array = None  # type: ignore[assignment]
    own: Array | None = None
    instance: Instance | None = None

    @classmethod
    def of(cls, loss: AbstractLoss, target: Target) -> Truth:
        """Complete a target in the loss's own sense, solving for what the loss needs."""
        if loss.sign == -1:
            target = target.negated()
        target = loss.complete(target)
        costs = target.costs.numpy() if "costs" in loss.requires else None
        decisions = target.decisions.numpy() if "decisions" in loss.requires else None
        own = None
        if decisions is not None and not loss.linear_objective:
            own = loss.own_part(target).numpy()
        return cls(costs, decisions, own, target.instance)  # type: ignore[arg-type]

    def map(self, change: Callable[[Array], Array]) -> Truth:
        """Change every array that is present."""

        def part(value: Array | None) -> Array | None:
            return None if value is None else change(value)

        instance = self.instance
        if instance is not None:
            instance = {name: change(value) for name, value in instance.items()}
        return Truth(
            part(self.costs),  # type: ignore[arg-type]
            part(self.decisions),  # type: ignore[arg-type]
            part(self.own),
            instance,
        )

    def arrays(self) -> list[Array]:
        """Return the arrays that are present, always in the same order."""
        found = [part for part in (self.costs, self.decisions, self.own) if part is not None]
        return found + list((self.instance or {}).values())

    def mask(self) -> Array | None:
        """Return which coordinates are real and not padding, (n, d) bool; None if all are."""
        return None if self.instance is None else self.instance.get("mask")


@runtime_checkable
class ClosedForm(Protocol):
    """A loss that knows its own gradient in the model's output.

    Such a loss has this one method beside ``per_sample``; the two must agree, and then a linear
    predictor is trained by compiled code instead of autograd.
    """

    def value_and_gradient(self, output: Array, truth: Truth) -> tuple[Array, Array]:
        """Loss (n,) of each sample and its gradient (n, d) in the output.

        Parameters
        ----------
        output : ndarray of shape (n, d)
            Predicted costs, in the sense of minimization; may be overwritten, by the gradient too.
        truth : Truth
            Of the same n instances, in the dtype of ``output``.
        """
        ...


def has_closed_form(
    loss: AbstractLoss, target: Target, shape: tuple[int, ...], dtype: torch.dtype
) -> bool:
    """Say whether the closed form of a loss can be used; where it cannot, autograd says why.

    Parameters
    ----------
    loss : AbstractLoss
    target : Target
    shape : (n, d)
        Of the output.
    dtype : torch.dtype
        Of the output, which is on the CPU.
    """
    if not isinstance(loss, ClosedForm) or not isinstance(target, Target) or len(shape) != 2:
        return False
    parts = [part for part in (target.costs, target.decisions) if part is not None]
    needed = "costs" not in loss.requires or target.costs is not None
    return (
        bool(parts)
        and needed
        and all(
            part.shape == shape
            and part.dtype == dtype
            and part.device.type == "cpu"
            and not part.requires_grad
            for part in parts
        )
    )
