"""What a task is: prompts, an exact verifier, and traces to begin from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from dfl.estimators._randomness import generator_of
from dfl.exceptions import InvalidInputError


@final
@dataclass(frozen=True)
class Problems:
    """Problems of a task, n of them, in the form that trainers take.

    Attributes
    ----------
    prompts : list of str
    columns : dict of str to list
        What the verifier needs besides, an entry a prompt.
    traces : list of str
        What a teacher who makes mistakes would write, for a first lesson by imitation.
    """

    prompts: list[str]
    columns: dict[str, list[Any]]
    traces: list[str]

    def __len__(self) -> int:
        return len(self.prompts)


class AbstractTask(ABC):
    """A small problem in text whose answers are checked exactly.

    A leaf writes ``_draw``, ``_trace`` and ``solves``, and says of which characters its texts
    consist and which columns ``solves`` looks at.
    """

    alphabet: ClassVar[str]
    """Every character that prompts and completions may have."""
    columns: ClassVar[tuple[str, ...]]
    """What the verifier needs to know of a problem."""

    @abstractmethod
    def _draw(self, rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
        """Draw a problem: its prompt, an entry of each column, and what ``_trace`` needs."""

    @abstractmethod
    def _trace(self, row: Mapping[str, Any], noise: float, rng: np.random.Generator) -> str:
        """Write an answer to a problem, with mistakes at rate ``noise``."""

    @abstractmethod
    def solves(self, completion: str, row: Mapping[str, Any]) -> bool:
        """Tell whether a completion solves the problem of a row of the columns."""

    @final
    def draw(self, n: int, *, noise: float = 0.0, random_state: Any = None) -> Problems:
        """Draw problems.

        Parameters
        ----------
        n : int
            Number of problems.
        noise : float, default=0.0
            Rate of the mistakes in the traces, a number from 0 to 1.
        random_state : int, Generator, RandomState or None
            Seeds the problems.

        Returns
        -------
        Problems
            Prompts, traces and what the reward needs to know.

        Raises
        ------
        InvalidInputError
            If a number is out of range.
        """
        if n < 1 or not 0 <= noise <= 1:
            raise InvalidInputError(
                f"{type(self).__name__}.draw: got n={n} and noise={noise}, expected at least one "
                "problem and a rate from 0 to 1"
            )
        rng = generator_of(random_state)
        prompts, rows, traces = [], [], []
        for _ in range(n):
            prompt, row = self._draw(rng)
            prompts.append(prompt)
            rows.append(row)
            traces.append(self._trace(row, noise, rng))
        columns = {name: [row[name] for row in rows] for name in self.columns}
        return Problems(prompts, columns, traces)

    @final
    def reward(
        self,
        prompts: Sequence[str],
        completions: Sequence[str],
        completion_ids: Sequence[Any] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Return 1 for each completion that solves its problem and 0 for each other.

        The signature is that of the reward functions of TRL, so that trainers take the method as it
        is; they may pass more by name, which is not looked at.

        Parameters
        ----------
        prompts, completions : sequence of str
            Problems, and what was written for them.
        completion_ids : sequence, optional
            Not looked at.
        **columns : sequence
            Those of ``Problems``, an entry a completion.

        Returns
        -------
        list of float
            A number for each completion.

        Raises
        ------
        InvalidInputError
            If a column is missing, or is of another length.
        """
        del completion_ids
        rows = _rows(type(self).__name__, self.columns, columns, len(completions))
        return [float(self.solves(text, row)) for text, row in zip(completions, rows, strict=True)]


def _rows(
    task: str, names: Sequence[str], columns: Mapping[str, Any], n: int
) -> list[dict[str, Any]]:
    for name in names:
        if name not in columns:
            raise InvalidInputError(
                f"{task}.reward: got no column {name!r}, expected those that draw() returned: "
                f"{', '.join(names)}"
            )
        if len(columns[name]) != n:
            raise InvalidInputError(
                f"{task}.reward: got {len(columns[name])} entries of column {name!r} for {n} "
                "completions, expected one each"
            )
    return [{name: columns[name][i] for name in names} for i in range(n)]
