"""The lines of a load file of the ICON challenge."""

from __future__ import annotations

from typing import final

from dfl_solvers.exceptions import InvalidInputError


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
