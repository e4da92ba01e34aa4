"""What the synthetic data sets share."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Oracle


def legacy_generator(random_state: Any) -> np.random.RandomState:
    """Return NumPy's legacy generator, whose stream the published data sets were drawn from."""
    if isinstance(random_state, np.random.RandomState):
        return random_state
    try:
        return np.random.RandomState(random_state)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"got random_state={random_state!r}, expected an int, a RandomState or None"
        ) from error


def generator(random_state: Any) -> np.random.Generator:
    """Return NumPy's generator of a seed."""
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"got random_state={random_state!r}, expected an int, a Generator or None"
        ) from error


def check_sizes(sizes: dict[str, Any], noise: float) -> None:
    """Refuse sizes below one and noise below zero, by name."""
    for name, value in sizes.items():
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise InvalidInputError(f"got {name}={value!r}, expected an integer of at least 1")
    if not noise >= 0:
        raise InvalidInputError(f"got noise={noise!r}, expected a number of at least 0")


def bundle(X: Array, C: Array, mean_costs: Array, oracle: Oracle) -> Bunch:
    """Put a data set together, with names for its columns."""
    return Bunch(
        X=X,
        C=C,
        mean_costs=mean_costs,
        oracle=oracle,
        feature_names=[f"x{j}" for j in range(X.shape[1])],
        cost_names=[f"c{j}" for j in range(C.shape[1])],
    )
