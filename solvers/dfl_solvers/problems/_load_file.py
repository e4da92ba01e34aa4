"""Load files of the ICON challenge: one as parameters, many as instance data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.oracle import Array


class Readable(Protocol):
    """A file that is not on the disk by itself, such as a ``zipfile.Path``."""

    def read_text(self, encoding: str) -> str:
        """Return the content."""
        ...


def read_text(file: str | os.PathLike[str] | Readable) -> str:
    """Return the content of a file on the disk or in an archive."""
    readable = file if hasattr(file, "read_text") else Path(file)
    try:
        return readable.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"not a text file: {error}") from error


def parse(text: str) -> dict[str, Any]:
    """Return what a load file says, by the names of the parameters of ``EnergyScheduling``."""
    lines = Lines(text)
    slot_minutes, n_resources, n_machines = (
        lines.count(what)
        for what in ("minutes of a slot", "number of resources", "number of machines")
    )
    capacities = []
    for _ in range(n_machines):
        lines.numbers(4, "a machine: id, idle, up and down cost")
        capacities.append(lines.numbers(n_resources, "the capacities of a machine"))
    n_tasks = lines.count("number of tasks")
    tasks, usage = [], []
    for _ in range(n_tasks):
        tasks.append(lines.numbers(5, "a task: id, duration, earliest, latest and power"))
        usage.append(lines.numbers(n_resources, "the usages of a task"))
    lines.end()
    _, durations, earliest, latest, powers = np.array(tasks).T
    return {
        "durations": durations,
        "earliest": earliest,
        "latest": latest,
        "powers": powers,
        "usage": usage,
        "capacities": capacities,
        "slot_minutes": slot_minutes,
    }


def stack(arrays: Sequence[Array]) -> Array:
    """Stack arrays of different lengths, the short ones padded with zeros."""
    shape = np.max([array.shape for array in arrays], axis=0)
    stacked = np.zeros((len(arrays), *shape), dtype=arrays[0].dtype)
    for i, array in enumerate(arrays):
        stacked[i][tuple(map(slice, array.shape))] = array
    return stacked


@final
class Lines:
    """The lines of a load file, read one by one; blank ones are skipped."""

    def __init__(self, text: str) -> None:
        lines = enumerate(text.splitlines(), start=1)
        self._lines = iter([(number, line.split()) for number, line in lines if line.strip()])
        self._last = 0

    def numbers(self, count: int, what: str) -> list[float]:
        """Read a line of numbers."""
        self._last, words = next(self._lines, (self._last + 1, None))
        if words is None:
            raise InvalidInputError(f"line {self._last}: the text ends, expected {what}")
        if len(words) != count:
            raise InvalidInputError(
                f"line {self._last}: got {len(words)} numbers, expected {count}: {what}"
            )
        try:
            return [float(word) for word in words]
        except ValueError as error:
            raise InvalidInputError(f"line {self._last}: {what}: {error}") from error

    def count(self, what: str) -> int:
        """Read a line with one positive whole number."""
        value = self.numbers(1, what)[0]
        if not (value >= 1 and value.is_integer()):
            raise InvalidInputError(
                f"line {self._last}: got {value:g}, expected the {what}, a positive whole number"
            )
        return int(value)

    def end(self) -> None:
        """Refuse what follows the last task."""
        number, words = next(self._lines, (0, None))
        if words is not None:
            raise InvalidInputError(f"line {number}: unexpected {' '.join(words)!r}")
