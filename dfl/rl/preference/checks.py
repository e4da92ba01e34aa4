"""What is asked of numbers and of conditions, wherever they are given."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from torch import Tensor

from dfl.exceptions import InvalidInputError


def check_counts(numbers: Sequence[tuple[str, Any, int]]) -> None:
    """Refuse numbers that are not whole, or too small.

    Parameters
    ----------
    numbers : sequence of (str, object, int)
        Name, what was given, and the least that is allowed.

    Raises
    ------
    InvalidInputError
        It names the first that is wrong.
    """
    for name, given, least in numbers:
        if not isinstance(given, Integral) or int(given) < least:
            raise InvalidInputError(
                f"got {name}={given!r}, expected a whole number of at least {least}"
            )


def check_conditions(conditions: Any, n: int | None = None) -> None:
    """Refuse conditions that have no rows to pick, none at all, or not as many as wanted.

    Parameters
    ----------
    conditions : object or None
    n : int, optional
        How many there are to be. Default: any number but none.

    Raises
    ------
    InvalidInputError
    """
    if conditions is None:
        return
    pickable = hasattr(conditions, "__len__") and hasattr(conditions, "__getitem__")
    plain = isinstance(conditions, (str, bytes, list, tuple, dict))
    if plain or not pickable or (isinstance(conditions, Tensor) and not conditions.ndim):
        raise InvalidInputError(
            f"got conditions of type {type(conditions).__name__}, expected a tensor with a row "
            "each, or an object with a length that a tensor of row numbers indexes, such as Prompts"
        )
    found = len(conditions)
    if not found:
        raise InvalidInputError("got no conditions, expected at least one or None")
    if n is not None and found != n:
        raise InvalidInputError(f"got {found} conditions, expected {n}, one for each")
