"""Schedules of the strength of an adversary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfl.adversary import AdaptiveStrength, ConstantStrength, WindowStrength
from dfl.exceptions import InvalidInputError


def test_the_window_is_shut_before_and_open_after() -> None:
    window = WindowStrength(0.3, 0.8)
    found = [window.at(progress) for progress in (0.0, 0.3, 0.55, 0.8, 1.0)]
    assert found == pytest.approx([0, 0, 0.5, 1, 1])
    assert WindowStrength(highest=0.4).at(1.0) == pytest.approx(0.4)


def test_a_constant_is_the_whole_adversary_unless_said_otherwise() -> None:
    assert [ConstantStrength().at(p) for p in (0, 1)] == [1, 1]


@given(scores=st.lists(st.floats(-1e6, 1e6), max_size=60))
def test_the_adaptive_strength_stays_a_strength(scores: list[float]) -> None:
    strength = AdaptiveStrength(step=0.3)
    for score in scores:
        strength.observe(score)
        assert 0 <= strength.at(0.5) <= 1


def test_the_adaptive_strength_waits_for_learning_and_gives_way() -> None:
    strength = AdaptiveStrength(step=0.1, stall=0.01, patience=1, tolerance=0.1)
    for score in range(10):  # still learning
        strength.observe(score)
    assert strength.at(0.9) == 0
    for _ in range(4):  # learning has stalled
        strength.observe(9.0)
    assert strength.at(0.0) == pytest.approx(0.4)
    strength.observe(8.0)  # more than a tenth of what was learned is lost
    assert strength.at(0.0) == pytest.approx(0.3)
    copy = AdaptiveStrength(step=0.1, patience=1)
    copy.load_state_dict(strength.state_dict())
    for one in (strength, copy):
        one.observe(8.5)
    assert copy.at(0) == strength.at(0)


def test_the_adaptive_strength_looks_back_as_far_as_it_is_told() -> None:
    slow = AdaptiveStrength(step=0.1, stall=0.01, patience=20)
    quick = AdaptiveStrength(step=0.1, stall=0.01, patience=1)
    for score in range(300):  # each step is less than a hundredth of the range, after a while
        slow.observe(score)
        quick.observe(score)
    assert slow.at(0) == 0
    assert quick.at(0) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConstantStrength(1.5),
        lambda: WindowStrength(0.8, 0.3),
        lambda: WindowStrength(-0.1, 0.3),
        lambda: AdaptiveStrength(step=0.0),
        lambda: AdaptiveStrength(patience=0),
        lambda: AdaptiveStrength(tolerance=2.0),
    ],
)
def test_what_is_no_strength_is_refused(make: object) -> None:
    with pytest.raises(InvalidInputError):
        make()  # type: ignore[operator]
