"""The check of a layer's numbers."""

from __future__ import annotations

from dfl.exceptions import InvalidInputError


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
