"""What the synthetic data sets share."""

from __future__ import annotations

from numbers import Real
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
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or value < 1:
            raise InvalidInputError(f"got {name}={value!r}, expected an integer of at least 1")
    check_noise(noise)


def check_noise(noise: Any, name: str = "noise", most: float = np.inf) -> None:
    """Refuse noise that is no finite number, or out of its range."""
    if not (isinstance(noise, Real) and 0 <= float(noise) < np.inf):
        raise InvalidInputError(f"got {name}={noise!r}, expected a finite number of at least 0")
    if float(noise) > most:
        raise InvalidInputError(f"got {name}={noise}, expected at most {most:g}")


def check_positive(numbers: dict[str, Any]) -> None:
    """Refuse numbers that are not finite and above zero, by name."""
    for name, value in numbers.items():
        if not (isinstance(value, Real) and 0 < float(value) < np.inf):
            raise InvalidInputError(f"got {name}={value!r}, expected a finite number above 0")


def read_grid(grid: Any) -> tuple[Any, Any]:
    """Return rows and columns, which ``check_sizes`` judges."""
    try:
        rows, cols = grid
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"got grid={grid!r}, expected two numbers: rows, cols") from error
    return rows, cols


def polynomial_costs(
    rng: np.random.RandomState,
    n_samples: int,
    n_features: int,
    n_costs: int,
    degree: int,
    noise: float,
) -> tuple[Array, Array, Array]:
    """Draw features X (n, p), costs C (n, d) that are noisy polynomials of them, and E[c | x].

    ``c_j = (((B x)_j / sqrt(p) + 3)^degree + 1) / 3.5^degree * e_j`` with B of fair coin flips,
    x standard normal and e uniform on [1 - noise, 1 + noise].
    """
    B = rng.binomial(1, 0.5, (n_costs, n_features))
    X = rng.normal(0, 1, (n_samples, n_features))
    factors = rng.uniform(1 - noise, 1 + noise, (n_samples, n_costs))
    mean_costs = ((X @ B.T / np.sqrt(n_features) + 3) ** degree + 1) / 3.5**degree
    return X, mean_costs * factors, mean_costs


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
