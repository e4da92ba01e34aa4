"""The picture of ranks joins exactly those methods that do not differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from dfl.exceptions import InvalidInputError
from dfl.plotting import CriticalDifferenceDisplay


def test_it_draws_the_ranks_and_a_bar_a_group() -> None:
    ranks = {"c": 3.0, "a": 1.0, "d": 3.4, "b": 1.8}
    display = CriticalDifferenceDisplay(ranks, 1.3).plot(Figure().subplots())
    assert display.groups == [("a", "b"), ("b", "c"), ("c", "d")]
    dots = [line for line in display.ax_.lines if len(line.get_xdata()) == 1]
    assert [float(line.get_xdata()[0]) for line in dots] == [1.0, 1.8, 3.0, 3.4]
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["a", "b", "c", "d"]
    assert len(display.ax_.lines) == 4 + 3
    assert CriticalDifferenceDisplay(ranks, 0.1).groups == []
    assert CriticalDifferenceDisplay(ranks, 5.0).groups == [("a", "b", "c", "d")]


@given(
    st.lists(st.integers(4, 40), min_size=2, max_size=9),
    st.integers(1, 40),
)
def test_two_methods_share_a_group_if_and_only_if_they_do_not_differ(
    quarters: list[int], difference: int
) -> None:
    ranks = {str(place): quarter / 4 for place, quarter in enumerate(quarters)}
    display = CriticalDifferenceDisplay(ranks, difference / 4)
    for a in ranks:
        for b in ranks:
            if a != b:
                together = any({a, b} <= set(group) for group in display.groups)
                assert together == (abs(ranks[a] - ranks[b]) <= difference / 4)
    for group in display.groups:
        assert not any(set(group) < set(other) for other in display.groups)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="got 1 methods"):
        CriticalDifferenceDisplay({"a": 1.0}, 1.0)
    with pytest.raises(InvalidInputError, match="critical difference of 0"):
        CriticalDifferenceDisplay({"a": 1.0, "b": 2.0}, 0.0)
