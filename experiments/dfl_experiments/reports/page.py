"""What a report is made of, before it is written as HTML, Markdown or LaTeX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, final

from dfl.metrics import Interval

Mark = Literal["", "better", "worse"]


@final
@dataclass(frozen=True)
class Entry:
    """What stands in a table.

    Attributes
    ----------
    text : str
    key : float or None
        The number it is sorted by; None: by the text.
    mark : str
        "better" or "worse" where that is beyond chance.
    """

    text: str
    key: float | None = None
    mark: Mark = ""


@final
@dataclass(frozen=True)
class Sheet:
    """A table.

    Attributes
    ----------
    title : str
    columns : sequence of str
        Their names.
    rows : sequence of sequence of Entry
        An entry a column.
    caption : str
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    caption: str = ""

    @property
    def words(self) -> list[bool]:
        """Whether a column is of words, not of numbers."""
        return [
            all(row[place].key is None for row in self.rows) for place in range(len(self.columns))
        ]


@final
@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes
    ----------
    caption : str
    figure : matplotlib Figure
    """

    caption: str
    figure: Any


@final
@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes
    ----------
    title : str
    paragraphs : sequence of str
        Plain text, before the tables.
    sheets : sequence of Sheet
    pictures : sequence of Picture
    """

    title: str
    paragraphs: Sequence[str] = ()
    sheets: Sequence[Sheet] = ()
    pictures: Sequence[Picture] = ()


@final
@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes
    ----------
    title : str
    warnings : list of str
        What a reader must know first, such as that a run is not finished.
    sections : list of Section
    """

    title: str
    warnings: list[str] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)


def number(value: float | None, digits: int = 2) -> Entry:
    """Write a number; nothing where there is none."""
    if value is None or not math.isfinite(value):
        return Entry("", math.nan)
    return Entry(f"{value:,.{digits}f}", value)


def estimate(interval: Interval, percent: bool, signed: bool = False) -> Entry:
    """Write an interval, sorted by its mean; shares in percent. A single seed has no bounds."""
    from dfl_experiments.policies.report import shown

    if not percent:
        return Entry(shown(interval, signed), interval.mean)
    mean, low, high = (
        # no minus before what is rounded to zero
        f"{round(100 * value, 2) + 0.0:{'+' if signed else ''}.2f}"
        for value in (interval.mean, interval.low, interval.high)
    )
    known = math.isfinite(interval.low) and math.isfinite(interval.high)
    return Entry(f"{mean} [{low}, {high}]" if known else mean, interval.mean)


def difference(
    interval: Interval | None, percent: bool, better: Literal["lower", "higher"] | None
) -> Entry:
    """Write a difference, marked where its interval leaves out zero."""
    if interval is None:
        return Entry("", math.nan)
    found = estimate(interval, percent, signed=True)
    mark: Mark = ""
    if better is not None and (interval.low > 0 or interval.high < 0):
        mark = "better" if (interval.low > 0) == (better == "higher") else "worse"
    return Entry(found.text, found.key, mark)
