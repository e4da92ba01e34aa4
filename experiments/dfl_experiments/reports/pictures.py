"""The pictures of a report, and their files."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dfl.metrics import Interval
from dfl.plotting import CriticalDifferenceDisplay, RegretDisplay, TrainingTimeDisplay
from dfl_experiments.methods import MINIMUM
from dfl_experiments.report import new_figure
from dfl_experiments.reports.estimates import Metric
from dfl_experiments.reports.page import Picture
from dfl_experiments.standings import Standings
from dfl_experiments.summary import Row

# what is black on paper takes the color of the text on a screen, which may be dark
_INK = ("#000000", "#696969")
# letters of a name; the tables have the whole of it
_ROOM = 34


def intervals(rows: Sequence[Row], metric: Metric) -> Picture:
    """Draw means with intervals of the methods on one problem, the best first."""
    floors = [row.estimate.value for row in rows if row.method == MINIMUM]
    order = sorted(
        (row for row in rows if row.method != MINIMUM),
        key=lambda row: row.estimate.value,
        reverse=metric.better == "higher",
    )
    figure, panels = new_figure(1, 1, 5.6, 1.2 + 0.26 * max(len(order), 2))
    scale = _scale(metric)
    names = _labels([row.method for row in order])
    RegretDisplay(
        {names[row.method]: _scaled(row, scale) for row in order},
        floors[0] * scale if floors else None,
        metric.unit,
    ).plot(panels[0, 0])
    floor = f"; dashed: {MINIMUM}" if floors else ""
    return Picture(f"{rows[0].problem}: {metric.unit}, 95 % intervals{floor}", figure)


def training_time(rows: Sequence[Row], metric: Metric) -> Picture | None:
    """Draw the metric against the seconds of training; None where nothing was trained."""
    trained = [row for row in rows if row.seconds > 0 and row.method != MINIMUM]
    if not trained or metric.better == "higher":
        return None
    figure, panels = new_figure(1, 1, 5.6, 4.2)
    names = _labels([row.method for row in trained])
    TrainingTimeDisplay(
        {names[row.method]: _scaled(row, _scale(metric)) for row in trained},
        {names[row.method]: row.seconds for row in trained},
        metric.unit,
    ).plot(panels[0, 0])
    words = f"{rows[0].problem}: {metric.unit}, by seconds of training; filled: nothing beats them"
    return Picture(words, figure)


def ranks(found: Standings) -> Picture:
    """Draw the mean ranks with their critical difference."""
    figure, panels = new_figure(1, 1, 5.6, 1.2 + 0.26 * len(found.methods))
    named: Mapping[str, float] = dict(
        zip(_labels(found.methods).values(), found.ranks.ranks, strict=True)
    )
    CriticalDifferenceDisplay(named, found.ranks.critical_difference).plot(panels[0, 0])
    words = (
        f"mean ranks over {found.n_problems} problems; methods joined by a bar do not differ at "
        "5 % (Nemenyi); shaded: those not clearly worse than the best"
    )
    return Picture(words, figure)


def _labels(names: Sequence[str]) -> dict[str, str]:
    """Make names that a picture has room for, and in which a dollar begins no formula."""
    found: list[str] = []
    for name in names:
        short = name if len(name) <= _ROOM else f"{name[: _ROOM - 14]}…{name[-13:]}"
        same = sum(other.startswith(short) for other in found)
        found.append(f"{short} ({same + 1})" if same and short != name else short)
    return {name: short.replace("$", r"\$") for name, short in zip(names, found, strict=True)}


def _scale(metric: Metric) -> float:
    # the displays take shares and draw percent
    return 1.0 if metric.percent else 0.01


def _scaled(row: Row, scale: float) -> Interval:
    return Interval(*(scale * value for value in row.estimate))


def svg(figure: Any, place: int) -> str:
    """Draw a picture as SVG, without a background.

    Parameters
    ----------
    figure : matplotlib Figure
        What to draw.
    place : int
        Which one of a page, so that names inside do not clash.

    Returns
    -------
    str
        The file's text.
    """
    return _saved(figure, "svg", transparent=True, salt=str(place)).decode()


def pdf(figure: Any) -> bytes:
    """Draw a picture as PDF."""
    return _saved(figure, "pdf", transparent=False)


def on_paper(drawn: str) -> str:
    """Give an SVG a white background, for a file of its own."""
    return drawn.replace("<svg ", '<svg style="background: #ffffff" ', 1)


def inline(drawn: str) -> str:
    """Make an SVG part of a page, in the page's own color of text."""
    text = drawn[drawn.index("<svg") :]
    for ink in _INK:
        text = text.replace(ink, "currentColor")
    # the hollow dots show what is behind them
    text = text.replace("fill: #ffffff", "fill: var(--paper)")
    # metadata names other places, of which a page that needs no network has none
    return re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)


def _saved(figure: Any, kind: str, transparent: bool, salt: str = "report") -> bytes:
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
        figure.savefig(buffer, format=kind, transparent=transparent, metadata=dates)
    # its layout is found once, for all its files
    figure.set_layout_engine("none")
    return buffer.getvalue()
