"""Arithmetic in steps, each of which can go wrong."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, final

import numpy as np

from dfl.exceptions import InvalidInputError
from dfl.rl.segment.tasks.base import AbstractTask

_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}


@final
class ModularArithmetic(AbstractTask):
    """Calculate from left to right modulo a number, writing down each result on the way.

    The smallest task with the structure of longer reasoning: results follow from one another, most
    of what is written is certain, and an early mistake spoils the answer. In
    ``"3+5*2="``, answered by ``"8;6#6"``, the partial results are 8 and 6, and the answer is 6.

    Parameters
    ----------
    n_steps : int, default=4
        Number of operations.
    modulus : int, default=10
        From 2 to 10, so that every number is a digit.
    operations : str
        Some of ``"+-*"``, which is the default.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range.

    Notes
    -----
    The verifier looks at the answer alone, what follows the one ``#``: partial results are free, as
    are the thoughts of a language model. A mistake of a trace is a wrong digit, from which it goes
    on correctly.

    Examples
    --------
    >>> from dfl.rl.segment.tasks import ModularArithmetic
    >>> task = ModularArithmetic(n_steps=2)
    >>> problems = task.draw(2, random_state=1)
    >>> problems.prompts, problems.traces
    (['4*5+7=', '1+8*4='], ['0;7#7', '9;6#6'])
    >>> task.reward(problems.prompts, ["0;7#7", "9;6#5"], **problems.columns)
    [1.0, 0.0]
    """

    alphabet: ClassVar[str] = "0123456789+-*=;#"
    columns: ClassVar[tuple[str, ...]] = ("answer",)

    def __init__(self, n_steps: int = 4, modulus: int = 10, operations: str = "+-*") -> None:
        if n_steps < 1 or not 2 <= modulus <= 10:
            raise InvalidInputError(
                f"ModularArithmetic: got n_steps={n_steps} and modulus={modulus}, expected at "
                "least 1 step and a modulus from 2 to 10"
            )
        if not operations or not set(operations) <= set(_OPERATIONS):
            raise InvalidInputError(
                f"ModularArithmetic: got operations={operations!r}, expected some of '+-*'"
            )
        self.n_steps = n_steps
        self.modulus = modulus
        self.operations = operations

    def solves(self, completion: str, row: Mapping[str, Any]) -> bool:
        """Tell whether the completion has one ``#``, and the answer after it."""
        return completion.count("#") == 1 and completion.partition("#")[2] == row["answer"]

    def results(self, problem: str) -> list[int]:
        """Return the partial results of a problem such as ``"3+5*2"``."""
        found = [int(problem[0])]
        for symbol, digit in zip(problem[1::2], problem[2::2], strict=True):
            found.append(self._apply(found[-1], symbol, int(digit)))
        return found[1:]

    def _draw(self, rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
        digits = rng.integers(self.modulus, size=self.n_steps + 1)
        symbols = rng.choice(list(self.operations), size=self.n_steps)
        problem = str(digits[0]) + "".join(
            f"{s}{d}" for s, d in zip(symbols, digits[1:], strict=True)
        )
        return problem + "=", {"problem": problem, "answer": str(self.results(problem)[-1])}

    def _trace(self, row: Mapping[str, Any], noise: float, rng: np.random.Generator) -> str:
        problem = row["problem"]
        value, written = int(problem[0]), []
        for symbol, digit in zip(problem[1::2], problem[2::2], strict=True):
            value = self._apply(value, symbol, int(digit))
            if rng.random() < noise:
                value = int(value + rng.integers(1, self.modulus)) % self.modulus
            written.append(str(value))
        return f"{';'.join(written)}#{value}"

    def _apply(self, value: int, symbol: str, digit: int) -> int:
        return _OPERATIONS[symbol](value, digit) % self.modulus
