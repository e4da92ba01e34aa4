"""What ``fit`` was given, arranged by instances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from dfl.estimators._long import is_dated
from dfl.estimators._scaling import Scaling
from dfl.exceptions import InvalidInputError
from dfl.losses import Target
from dfl_solvers.oracle import Array, Instance


@final
@dataclass(frozen=True)
class Table:
    """Checked input of ``fit``, one instance a row.

    Attributes
    ----------
    inputs : ndarray of shape (n, p), or (n, d, p) for long data
    truth : ndarray of shape (n, d)
        Costs in the user's sense, or observed decisions.
    has_costs : bool
    instance : mapping of str to ndarray, or None
    dates, labels : ndarray of shape (n,), or None
        When an instance happened, and which group it belongs to.
    one_output : bool
        Whether costs were given as a vector.
    weights : ndarray of shape (n,), or None
        What each instance counts.
    """

    inputs: Array
    truth: Array
    has_costs: bool
    instance: Instance | None
    dates: Array | None
    labels: Array | None
    one_output: bool
    weights: Array | None = None

    def __post_init__(self) -> None:
        n = len(self.inputs)
        for name, value in (self.instance or {}).items():
            if np.ndim(value) == 0 or len(value) != n:
                raise InvalidInputError(
                    f"got instance data {name!r} of shape {np.shape(value)}, expected a leading "
                    f"dimension of {n}, one entry per instance; cross-validation splits a data "
                    "frame or a structured array, not a mapping"
                )

    @property
    def long(self) -> bool:
        """Whether an instance is several rows of items."""
        return self.inputs.ndim == 3

    def features(self, rows: Array) -> Array:
        """Return the features (m, p) of some instances, without padding."""
        return self._real(self.inputs[rows], rows)

    def costs(self, rows: Array) -> Array | None:
        """Return their costs, (m,) for long data else (m, d), without padding; None if unknown."""
        return self._real(self.truth[rows], rows) if self.has_costs else None

    def instance_of(self, rows: Array) -> Instance | None:
        """Return the data of their own that some instances have."""
        if not self.instance:
            return None
        return {name: np.asarray(value)[rows] for name, value in self.instance.items()}

    def weights_of(self, rows: Array) -> Array | None:
        """Return what some instances count; None if all count the same."""
        return None if self.weights is None else self.weights[rows]

    def row_weights(self, rows: Array) -> Array | None:
        """Return what each row of ``features`` counts; None if all count the same."""
        if self.weights is None:
            return None
        shape = (len(rows), *self.truth.shape[1:]) if self.long else (len(rows),)
        weights = self.weights[rows].reshape(-1, *[1] * (len(shape) - 1))
        return self._real(np.broadcast_to(weights, shape), rows)

    def tensors(self, rows: Array, scaling: Scaling) -> tuple[Tensor, Target]:
        """Return scaled inputs and the scaled truth in float64."""
        inputs = torch.from_numpy(scaling.features(self.inputs[rows]))
        instance = self.instance_of(rows)
        truth = self.truth[rows]
        if not self.has_costs:
            return inputs, Target(decisions=torch.from_numpy(truth), instance=instance)
        return inputs, Target(costs=torch.from_numpy(truth / scaling.cost), instance=instance)

    def _real(self, values: Array, rows: Array) -> Array:
        if not self.long:
            return values
        if self.instance is None or "mask" not in self.instance:
            return values.reshape(-1, *values.shape[2:])
        return values[self.instance["mask"][rows]]


def date_index(X: Any) -> Array | None:
    """Return the dates of a data frame's index; None if it has none."""
    values = getattr(getattr(X, "index", None), "values", None)
    if isinstance(values, np.ndarray) and is_dated(values):
        return values
    return None
