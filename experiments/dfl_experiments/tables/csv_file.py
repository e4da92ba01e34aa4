"""CSV files, read strictly: what is odd is named by line and column."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import final

import numpy as np

from dfl.exceptions import InvalidInputError
from dfl_experiments.cells import write_atomically
from dfl_solvers.oracle import Array

# fields longer than this are no numbers, names or categories
_LONGEST_FIELD = 1 << 16
# what separates columns where commas do not
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
# what people and programs write where they know nothing
_MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}


@final
@dataclass(frozen=True)
class CSVFile:
    """The text of a CSV file.

    Attributes
    ----------
    path : Path
    header : list of str
    rows : list of list of str
        As many fields as the header each.
    lines : list of int
        Line of the file on which each row ends, from 1.
    """

    path: Path
    header: list[str]
    rows: list[list[str]]
    lines: list[int]

    @classmethod
    def read(cls, path: Path) -> CSVFile:
        """Read a file with a line of names and at least one row.

        Raises
        ------
        InvalidInputError
            If the file cannot be read, has no row, names a column twice, or a row is too short or
            too long; the message names the line.
        """
        rows, lines = [], []
        csv.field_size_limit(_LONGEST_FIELD)
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                reader = csv.reader(file, strict=True)
                for row in reader:
                    if row:  # blank lines mean nothing
                        rows.append([field.strip() for field in row])
                        lines.append(reader.line_num)
        except OSError as error:
            raise InvalidInputError(f"{path}: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise InvalidInputError(
                f"{path}: not a text file in UTF-8: {error.reason}; save it again as CSV with the "
                "encoding UTF-8"
            ) from error
        except csv.Error as error:
            line = lines[-1] + 1 if lines else 1
            raise InvalidInputError(f"{path}: line {line}: {error}") from error
        if len(rows) < 2:
            got = "a single line" if rows else "an empty file"
            raise InvalidInputError(
                f"{path}: got {got}, expected a line of names and at least one row"
            )
        header = rows.pop(0)
        for mark, marks in _SEPARATORS.items():
            if len(header) == 1 and mark in header[0]:
                raise InvalidInputError(
                    f"{path}: the columns are separated by {marks}, expected commas, and points "
                    "in numbers such as 12.5"
                )
        lines.pop(0)
        for name in header:
            if header.count(name) > 1:
                what = f"the name {name!r} twice" if name else "columns without a name"
                raise InvalidInputError(
                    f"{path}: the header has {what}, expected one name a column"
                )
        for line, row in zip(lines, rows, strict=True):
            if len(row) != len(header):
                raise InvalidInputError(
                    f"{path}: line {line}: got {len(row)} fields, expected {len(header)}"
                )
        return cls(path, header, rows, lines)

    def matching(self, patterns: Sequence[str], option: str) -> list[str]:
        """Return the columns that names or patterns such as ``cost_*`` stand for, in their order.

        Raises
        ------
        InvalidInputError
            If a pattern matches nothing, or two match the same column.
        """
        return matching(patterns, self.header, option, self.path)

    def texts(self, column: str) -> list[str]:
        """Return a column as it is written.

        Raises
        ------
        InvalidInputError
            If there is no such column, or a value is missing.
        """
        if column not in self.header:
            raise InvalidInputError(
                f"{self.path}: no column {column!r}, expected one of: {_some(self.header)}"
            )
        place = self.header.index(column)
        values = [row[place] for row in self.rows]
        for line, value in zip(self.lines, values, strict=True):
            if is_missing(value):
                got = f"got {value!r}, " if value else ""
                raise InvalidInputError(
                    f"{self.path}: line {line}: column {column!r}: {got}a value is missing"
                )
        return values

    def numbers(self, column: str) -> Array:
        """Return a column as numbers (n,).

        Raises
        ------
        InvalidInputError
            If there is no such column, or a value is missing, no number or not finite.
        """
        numbers = []
        for line, text in zip(self.lines, self.texts(column), strict=True):
            number = as_number(text)
            if number is None or not math.isfinite(number):
                raise InvalidInputError(
                    f"{self.path}: line {line}: column {column!r}: got {text[:40]!r}, "
                    "expected a finite number"
                )
            numbers.append(number)
        return np.array(numbers)


def matching(
    patterns: Sequence[str], header: Sequence[str], option: str, source: Path
) -> list[str]:
    """Return the names of a header that patterns stand for; see ``CSVFile.matching``."""
    found: list[str] = []
    for pattern in patterns:
        own = [pattern] if pattern in header else []
        own = own or [name for name in header if fnmatchcase(name, pattern)]
        if not own:
            raise InvalidInputError(
                f"{source}: no column {pattern!r} for {option}, expected one of: {_some(header)}"
            )
        for name in own:
            if name in found:
                raise InvalidInputError(f"{option} names the column {name!r} twice")
            found.append(name)
    if not found:
        raise InvalidInputError(f"{option}: got no column, expected at least one")
    return found


def is_missing(text: str) -> bool:
    """Return whether a field says that nothing is known."""
    return text.lower() in _MISSING


def as_number(text: str) -> float | None:
    """Return the number that a text is; None if it is none."""
    try:
        return float(text) if "_" not in text else None  # Python's own 1_000 is no CSV
    except ValueError:
        return None


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file, whole or not at all.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    write_atomically(path, csv_text(header, rows).encode())


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return the text of a CSV file."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:20])
    return shown + (f", ... ({len(names)} columns)" if len(names) > 20 else "")
