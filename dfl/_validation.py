"""Numbers out of their range are refused in the same words everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

from dfl.exceptions import InvalidInputError


def check_positive(owner: object, **numbers: float) -> None:
    """Refuse numbers that are not positive and finite, by name.

    Parameters
    ----------
    owner : object or str
        Whom the error names: an object's class, or what a text says; nobody for "".
    **numbers : float
        By the names to say.

    Raises
    ------
    InvalidInputError
        For the first that is out of its range, or no number.
    """
    _check(lambda number: 0 < number < math.inf, "a positive number", owner, numbers)


def check_above_zero(owner: object, **numbers: float) -> None:
    """Refuse numbers that are not positive, by name; infinity passes. See ``check_positive``."""
    _check(lambda number: number > 0, "a positive number", owner, numbers)


def check_at_least(least: int, owner: object, **numbers: float) -> None:
    """Refuse numbers below the least one, by name; see ``check_positive``."""
    _check(lambda number: number >= least, f"at least {least}", owner, numbers)


def check_share(owner: object, **numbers: float) -> None:
    """Refuse numbers that are not from 0 to 1, by name; see ``check_positive``."""
    _check(lambda number: 0 <= number <= 1, "a number from 0 to 1", owner, numbers)


def _check(
    fits: Callable[[Any], Any], expected: str, owner: object, numbers: Mapping[str, Any]
) -> None:
    for name, number in numbers.items():
        try:
            fine = bool(fits(number))
        except (TypeError, ValueError, RuntimeError):  # a text, None, or several numbers
            fine = False
        if not fine:
            title = owner if isinstance(owner, str) else type(owner).__name__
            prefix = f"{title}: " if title else ""
            shown = number if isinstance(number, Real) else repr(number)
            raise InvalidInputError(f"{prefix}got {name}={shown}, expected {expected}")
