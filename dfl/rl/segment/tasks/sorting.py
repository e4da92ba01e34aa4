"""Put digits in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np

from dfl._validation import check_at_least
from dfl.rl.segment.tasks.base import AbstractTask


@final
class Sorting(AbstractTask):
    """Write given digits in ascending order: ``"3141="`` is answered by ``"1134"``.

    Every digit of the answer can go wrong, and none depends on the others: credit falls on single
    tokens.

    Parameters
    ----------
    n_digits : int, default=6
        Digits that are given.

    Raises
    ------
    InvalidInputError
        If there is no digit.

    Notes
    -----
    A mistake of a trace exchanges neighbors, each pair of which gets the chance once.

    Examples
    --------
    >>> from dfl.rl.segment.tasks import Sorting
    >>> problems = Sorting(4).draw(1, random_state=0)
    >>> problems.prompts, problems.traces
    (['8652='], ['2568'])
    """

    alphabet: ClassVar[str] = "0123456789="
    columns: ClassVar[tuple[str, ...]] = ("answer",)

    def __init__(self, n_digits: int = 6) -> None:
        check_at_least(1, self, n_digits=n_digits)
        self.n_digits = n_digits

    def solves(self, completion: str, row: Mapping[str, Any]) -> bool:
        """Tell whether the completion is the digits in order."""
        return completion == row["answer"]

    def _draw(self, rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
        digits = "".join(map(str, rng.integers(10, size=self.n_digits)))
        return digits + "=", {"answer": "".join(sorted(digits))}

    def _trace(self, row: Mapping[str, Any], noise: float, rng: np.random.Generator) -> str:
        written = list(row["answer"])
        for i in range(len(written) - 1):
            if rng.random() < noise:
                written[i], written[i + 1] = written[i + 1], written[i]
        return "".join(written)
