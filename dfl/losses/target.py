"""What is known of the truth for a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class Target:
    """The truth of a batch of n instances, so that every loss has the same signature.

    Absent parts are None; what can be computed from the costs is filled in from the oracle, once.

    Attributes
    ----------
    costs : Tensor of shape (n, d), optional
        True costs (values, for a maximizing oracle).
    decisions : Tensor of shape (n, d), optional
        Decisions that are optimal for the costs, or that were simply observed.
    objectives : Tensor of shape (n,), optional
        Objectives of these decisions under the costs.
    instance : mapping of str to ndarray, optional
        Per-instance data of the oracle, each array with leading n.
    pool : Tensor of shape (m, d), optional
        Decisions that are feasible for every instance, which losses compare with the good ones.
    fitted : mapping of str to Tensor, optional
        What losses have fitted to each instance in ``complete``, each part with leading n.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target
    >>> target = Target(costs=torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> len(target), target.rows(slice(0, 1)).costs
    (2, tensor([[1., 2.]]))
    """

    # typed as present: a loss reads only what it requires, and that is checked before it is called
    costs: Tensor = None  # type: ignore[assignment]
    decisions: Tensor = None  # type: ignore[assignment]
    objectives: Tensor = None  # type: ignore[assignment]
    instance: Mapping[str, Any] | None = None
    pool: Tensor | None = None
    fitted: Mapping[str, Tensor] | None = None

    def __len__(self) -> int:
        for part in (self.costs, self.decisions, self.objectives):
            if part is not None:
                return len(part)
        return 0

    def rows(self, index: Tensor | slice) -> Target:
        """Return the target of some instances: a slice, or a tensor of row numbers."""
        instance = self.instance
        if instance is not None:
            key = index.numpy() if isinstance(index, Tensor) else index
            instance = {name: value[key] for name, value in instance.items()}
        return self._map(lambda part: part[index], instance, _each(self.fitted, lambda v: v[index]))

    def join(self, other: Target) -> Target:
        """Return the target of these instances and then those of another, with the same parts.

        The pool stays this one's: ``complete`` finds that of all instances where there is none.
        """

        def both(one: Any, two: Any) -> Any:
            if one is None:
                return None
            return torch.cat([one, two]) if isinstance(one, Tensor) else np.concatenate([one, two])

        instance = self.instance
        if instance is not None and other.instance is not None:
            instance = {name: both(value, other.instance[name]) for name, value in instance.items()}
        fitted = self.fitted
        if fitted is not None and other.fitted is not None:
            fitted = {name: both(value, other.fitted[name]) for name, value in fitted.items()}
        return Target(
            both(self.costs, other.costs),
            both(self.decisions, other.decisions),
            both(self.objectives, other.objectives),
            instance,
            self.pool,
            fitted,
        )

    def negated(self) -> Target:
        """Return the same truth for the minimizing oracle: costs and objectives change sign."""
        opposite = self._map(torch.neg, self.instance, self.fitted)
        return replace(opposite, decisions=self.decisions)

    def to(self, dtype: torch.dtype, device: torch.device | None = None) -> Target:
        """Return the same truth in another floating-point type, and on another device if given.

        Data of instances stay NumPy's: they are the oracle's.
        """

        def change(part: Tensor) -> Tensor:
            return part.to(device=device, dtype=dtype)

        converted = self._map(change, self.instance, _each(self.fitted, change))
        if self.pool is None:
            return converted
        return replace(converted, pool=change(self.pool))

    def mask(self) -> Tensor | None:
        """Return which coordinates are real and not padding, (n, d) bool; None if all are."""
        if self.instance is None or "mask" not in self.instance:
            return None
        return torch.from_numpy(self.instance["mask"])

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum (n,) of values (n, d) over the coordinates that are not padding."""
        mask = self.mask()
        if mask is None:
            return values.sum(-1)
        return torch.where(mask.to(values.device), values, torch.zeros_like(values)).sum(-1)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean (n,) of values (n, d) over the coordinates that are not padding."""
        mask = self.mask()
        if mask is None:
            return values.mean(-1)
        return self.sum(values) / mask.to(values.device).sum(-1)

    def _map(
        self,
        change: Callable[[Tensor], Tensor],
        instance: Mapping[str, Any] | None,
        fitted: Mapping[str, Tensor] | None,
    ) -> Target:
        """Change every part that is present; the pool is that of all instances."""
        costs, decisions, objectives = self.costs, self.decisions, self.objectives
        return Target(
            costs if costs is None else change(costs),
            decisions if decisions is None else change(decisions),
            objectives if objectives is None else change(objectives),
            instance,
            self.pool,
            fitted,
        )


def _each(
    parts: Mapping[str, Tensor] | None, change: Callable[[Tensor], Tensor]
) -> Mapping[str, Tensor] | None:
    return None if parts is None else {name: change(part) for name, part in parts.items()}
