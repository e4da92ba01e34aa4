"""Many cost vectors an instance, solved in one call; and the check of a layer's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from dfl import _bridge
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Oracle


def solve_samples(
    oracle: Oracle, costs: Tensor, instance: Mapping[str, Any] | None
) -> tuple[Tensor, Tensor]:
    """Solve k cost vectors for each of n instances in one call, without gradient.

    Parameters
    ----------
    oracle : Oracle
        A minimizing oracle.
    costs : Tensor of shape (n, k, d)
    instance : mapping of str to ndarray, optional
        Per-instance data with leading n.

    Returns
    -------
    decisions : Tensor of shape (n, k, d)
    objectives : Tensor of shape (n, k)
    """
    n, k, d = costs.shape
    if instance:
        instance = {name: np.repeat(value, k, axis=0) for name, value in instance.items()}
    decisions, objectives = _bridge.solve(oracle, costs.reshape(n * k, d), instance)
    return decisions.reshape(n, k, d), objectives.reshape(n, k)


def check_positive(owner: object, **values: float) -> None:
    """Refuse numbers that are not positive and finite, by name."""
    for name, value in values.items():
        if not 0 < value < float("inf"):
            raise InvalidInputError(
                f"{type(owner).__name__}: got {name}={value}, expected a positive number"
            )


def check_samples(owner: object, n_samples: int) -> None:
    """Refuse a number of draws below one."""
    if n_samples < 1:
        raise InvalidInputError(
            f"{type(owner).__name__}: got n_samples={n_samples}, expected at least 1"
        )
