"""Regret against training time: the front, and what is drawn where."""

from __future__ import annotations

import math

import pytest
from matplotlib.figure import Figure

from dfl.exceptions import InvalidInputError
from dfl.metrics import Interval
from dfl.plotting import TrainingTimeDisplay

INTERVALS = {
    "slow and good": Interval(0.06, 0.05, 0.07),
    "least squares": Interval(0.09, math.nan, math.nan),
    "as fast, worse": Interval(0.10, 0.09, 0.11),
    "slower, no better": Interval(0.09, 0.08, 0.10),
}
SECONDS = {
    "slow and good": 10.0,
    "least squares": 0.1,
    "as fast, worse": 0.1,
    "slower, no better": 1.0,
}


def test_the_front_is_what_nothing_beats_in_both() -> None:
    display = TrainingTimeDisplay(INTERVALS, SECONDS)
    assert display.front == ["least squares", "slow and good"]
    ax = display.plot(Figure().subplots()).ax_
    line = ax.lines[-1]
    assert list(line.get_xdata()) == [0.1, 10.0]
    assert list(line.get_ydata()) == pytest.approx([9.0, 6.0])
    assert ax.get_xscale() == "log"
    filled = [bar.lines[0].get_markerfacecolor() != "white" for bar in ax.containers]
    assert filled == [True, True, False, False]
    assert [bar.has_yerr for bar in ax.containers] == [True, False, False, False]
    assert [text.get_text() for text in ax.texts] == list(INTERVALS)


@pytest.mark.parametrize("seconds", [{}, {"a": 0.0}, {"a": math.nan}])
def test_times_are_positive(seconds: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="for 'a', expected a positive number"):
        TrainingTimeDisplay({"a": Interval(0.1, 0.1, 0.1)}, seconds)
    with pytest.raises(InvalidInputError, match="no method"):
        TrainingTimeDisplay({}, seconds)
