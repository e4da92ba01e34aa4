"""Make a number from given ones."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, ClassVar, final

import numpy as np

from dfl.exceptions import InvalidInputError
from dfl.rl.segment.tasks.base import AbstractTask

_OPERATIONS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
# a longer text is no answer, whatever it says; and parentheses are read by recursion
_LONGEST = 100


@final
class Countdown(AbstractTask):
    """Make a target by ``+ - * /`` from given numbers, each of which is used once.

    ``"2,3,7:13="`` is answered by ``"2*3+7"``, among others: there are many right answers and the
    model must search for one, in contrast to tasks of calculation.

    Parameters
    ----------
    n_numbers : int, default=3
        Numbers that are given.
    largest : int, default=9
        Largest of the numbers, which begin at 1.
    largest_target : int, default=99
        Targets begin at 1.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range.

    Notes
    -----
    Values are fractions, so that the verifier is exact; ``1/3*3`` is 1. Text is parsed by a grammar
    of numbers, the four signs and parentheses, and never executed. Every problem has an answer,
    since its target is the value of a random expression. A mistaken trace is another expression of
    the same numbers.

    Examples
    --------
    >>> from dfl.rl.segment.tasks import Countdown
    >>> task = Countdown()
    >>> row = {"numbers": [2, 3, 7], "target": 13}
    >>> [task.solves(text, row) for text in ("2*3+7", "7+(3*2)", "7+7-1", "2*(3+7", "13")]
    [True, True, False, False, False]
    """

    alphabet: ClassVar[str] = "0123456789+-*/(),:="
    columns: ClassVar[tuple[str, ...]] = ("numbers", "target")

    def __init__(self, n_numbers: int = 3, largest: int = 9, largest_target: int = 99) -> None:
        if n_numbers < 2 or largest < 1 or largest_target < 1:
            raise InvalidInputError(
                f"Countdown: got n_numbers={n_numbers}, largest={largest} and "
                f"largest_target={largest_target}, expected at least 2 numbers and bounds of at "
                "least 1"
            )
        self.n_numbers = n_numbers
        self.largest = largest
        self.largest_target = largest_target

    def solves(self, completion: str, row: Mapping[str, Any]) -> bool:
        """Tell whether the completion is an expression of the numbers with the target's value."""
        found = value_of(completion)
        return (
            found is not None
            and found[0] == row["target"]
            and sorted(found[1]) == sorted(row["numbers"])
        )

    def _draw(self, rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
        while True:
            numbers = rng.integers(1, self.largest + 1, size=self.n_numbers).tolist()
            text, value = self._expression(numbers, rng)
            if value is not None and value.denominator == 1 and 1 <= value <= self.largest_target:
                prompt = f"{','.join(map(str, numbers))}:{int(value)}="
                return prompt, {"numbers": numbers, "target": int(value), "example": text}

    def _trace(self, row: Mapping[str, Any], noise: float, rng: np.random.Generator) -> str:
        if rng.random() < noise:
            return self._expression(row["numbers"], rng)[0]
        return str(row["example"])

    def _expression(
        self, numbers: list[int], rng: np.random.Generator
    ) -> tuple[str, Fraction | None]:
        """Combine the numbers two by two at random, and return the text and its value."""
        parts = [str(number) for number in rng.permutation(numbers)]
        while len(parts) > 1:
            i = int(rng.integers(len(parts) - 1))
            joined = f"{parts[i]}{rng.choice(list('+-*/'))}{parts[i + 1]}"
            parts[i : i + 2] = [f"({joined})" if len(parts) > 2 else joined]
        found = value_of(parts[0])
        return parts[0], None if found is None else found[0]


def value_of(text: str) -> tuple[Fraction, list[int]] | None:
    """Return the exact value of an expression and the numbers in it; None if it has no value.

    Examples
    --------
    >>> value_of("2*(3+7)")
    (Fraction(20, 1), [2, 3, 7])
    >>> value_of("2*(3+7") is None, value_of("1/(2-2)") is None
    (True, True)
    """
    if len(text) > _LONGEST:
        return None
    parser = _Parser(text)
    try:
        value = parser.sum()
    except (ValueError, ZeroDivisionError):
        return None
    return (value, parser.numbers) if parser.at == len(text) else None


class _Parser:
    """Reads sums of products of numbers and parentheses."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.numbers: list[int] = []

    def sum(self) -> Fraction:
        value = self.product()
        while self._next() in ("+", "-"):
            value = _OPERATIONS[self._take()](value, self.product())
        return value

    def product(self) -> Fraction:
        value = self.atom()
        while self._next() in ("*", "/"):
            value = _OPERATIONS[self._take()](value, self.atom())
        return value

    def atom(self) -> Fraction:
        if self._next() == "(":
            self._take()
            value = self.sum()
            if self._take() != ")":
                raise ValueError("a parenthesis is open")
            return value
        start = self.at
        while self._next() in tuple("0123456789"):
            self._take()
        number = int(self.text[start : self.at])  # raises for no digit at all
        self.numbers.append(number)
        return Fraction(number)

    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self) -> str:
        self.at += 1
        return self.text[self.at - 1 : self.at]
