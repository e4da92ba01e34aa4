"""The leaderboard as a picture: the right numbers at the right places."""

from __future__ import annotations

import dataclasses

import pytest
from matplotlib.figure import Figure

from dfl.estimators import LeaderboardRow, Verdict
from dfl.exceptions import InvalidInputError
from dfl.plotting import LeaderboardDisplay

CHOSEN = LeaderboardRow(
    "spo+", True, True, 0.05, 0.04, 0.06, 0.0, 0.0, 0.0, 5, 0.1, 100, 1.0
)  # fmt: skip
OTHER = LeaderboardRow(
    "least squares", False, False, 0.07, 0.05, 0.09, 0.02, 0.01, 0.03, 5, 0.0, 0, 0.0
)
GONE = dataclasses.replace(OTHER, name="forest", n_folds=1, difference_high=float("inf"))
VERDICT = Verdict(0.012, -0.02, -0.03, -0.01, "spo+", "least squares", 180)


def test_dots_intervals_and_words() -> None:
    display = LeaderboardDisplay([CHOSEN, OTHER, GONE], VERDICT)
    ax = display.plot(Figure().subplots()).ax_
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "spo+",
        "least squares",
        "forest",
    ]
    dots = [container.lines[0] for container in ax.containers]
    assert [dot.get_xdata()[0] for dot in dots] == pytest.approx([0, 2, 2])
    assert [dot.get_ydata()[0] for dot in dots] == [0, 1, 2]
    # hollow for two-stage; an interval where there is one
    assert [dot.get_markerfacecolor() == "white" for dot in dots] == [False, True, True]
    assert [container.has_xerr for container in ax.containers] == [False, True, False]
    low, high = (cap.get_xdata()[0] for cap in ax.containers[1].lines[1])
    assert (low, high) == pytest.approx((1, 3))
    assert [text.get_text() for text in ax.texts] == ["5.00 %", "7.00 %", "7.00 % (1 fold)"]
    assert ax.get_title() == "decision-focused training: pays (p = 0.012)"
    assert "'spo+'" in ax.get_xlabel()


def test_without_a_verdict_and_with_a_weak_one() -> None:
    assert LeaderboardDisplay([CHOSEN]).plot(Figure().subplots()).ax_.get_title() == ""
    weak = dataclasses.replace(VERDICT, p_value=0.4)
    title = LeaderboardDisplay([CHOSEN], weak).plot(Figure().subplots()).ax_.get_title()
    assert "not shown to pay (p = 0.4)" in title


def test_a_board_without_a_choice_is_refused() -> None:
    for rows in ([], [OTHER]):
        with pytest.raises(InvalidInputError, match="none that is chosen"):
            LeaderboardDisplay(rows)
