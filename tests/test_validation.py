"""Numbers out of their range are refused by name, and those at the ends of it are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from dfl._validation import check_above_zero, check_at_least, check_positive, check_share
from dfl.exceptions import InvalidInputError


def at_least_one(owner: object, **numbers: float) -> None:
    check_at_least(1, owner, **numbers)


CHECKS: list[tuple[Callable[..., None], list[float], list[float], str]] = [
    (check_positive, [1e-300, 5], [0, -1, math.inf, math.nan], "a positive number"),
    (check_above_zero, [1e-300, math.inf], [0, -math.inf, math.nan], "a positive number"),
    (at_least_one, [1, 1.5, math.inf], [0, 0.99, math.nan], "at least 1"),
    (check_share, [0, 0.5, 1], [-1e-9, 1.1, math.nan], "a number from 0 to 1"),
]


@pytest.mark.parametrize(("check", "good", "bad", "expected"), CHECKS)
def test_ranges(
    check: Callable[..., None], good: list[float], bad: list[float], expected: str
) -> None:
    for number in good:
        check("anyone", x=number)
    for number in bad:
        with pytest.raises(InvalidInputError) as caught:
            check("anyone", fine=1, x=number)
        assert str(caught.value) == f"anyone: got x={number}, expected {expected}"


@pytest.mark.parametrize(("owner", "start"), [("", "got"), ("f", "f: got"), ([], "list: got")])
def test_whom_the_error_names(owner: Any, start: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_positive(owner, x=0)
    assert str(caught.value).startswith(f"{start} x=0")


@pytest.mark.parametrize("what", ["5", None, [1, 2]])
def test_what_is_no_number_is_refused_too(what: Any) -> None:
    for check in (check_positive, check_above_zero, at_least_one, check_share):
        with pytest.raises(InvalidInputError) as caught:
            check("", x=what)
        assert str(caught.value).startswith(f"got x={what!r}, expected")
