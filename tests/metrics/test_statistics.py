"""Intervals: against SciPy, and their coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dfl.exceptions import InvalidInputError
from dfl.metrics import PairedComparison, mean_interval, paired_bootstrap


def test_student_interval_is_scipys(rng: np.random.Generator) -> None:
    values = rng.normal(3, 2, 12)
    found = mean_interval(values, confidence=0.9)
    low, high = stats.t.interval(0.9, 11, values.mean(), stats.sem(values))
    assert (found.mean, found.low, found.high) == pytest.approx((values.mean(), low, high))
    alone = mean_interval([2.0])
    assert alone.mean == 2.0
    assert np.isnan([alone.low, alone.high]).all()


def test_student_interval_covers(rng: np.random.Generator) -> None:
    found = [mean_interval(rng.normal(1, 3, 6)) for _ in range(2000)]
    share = np.mean([interval.low <= 1 <= interval.high for interval in found])
    assert abs(share - 0.95) < 4 * (0.95 * 0.05 / 2000) ** 0.5


def test_paired_bootstrap_covers_and_pairs(rng: np.random.Generator) -> None:
    covered, widths = [], []
    for k in range(300):
        common = rng.normal(0, 5, 80)
        first, second = common + rng.normal(0.5, 1, 80), common
        found = paired_bootstrap(first, second, n_resamples=400, random_state=k)
        covered.append(found.low <= 0.5 <= found.high)
        widths.append(found.high - found.low)
    assert abs(np.mean(covered) - 0.95) < 0.05
    # the common part, five times as wide, has no share in the interval
    assert np.mean(widths) == pytest.approx(2 * 1.96 / 80**0.5, rel=0.1)


def test_weights_make_it_the_difference_of_normalized_regrets(rng: np.random.Generator) -> None:
    first, second, optimal = rng.random((3, 50))
    found = paired_bootstrap(first, second, weights=-optimal, random_state=0)
    assert found.difference == pytest.approx((first.sum() - second.sum()) / optimal.sum())
    assert found.low < found.difference < found.high
    again = paired_bootstrap(first, second, weights=optimal, random_state=0)
    assert found == again
    reverse = paired_bootstrap(second, first, weights=optimal, random_state=0)
    assert (reverse.low, reverse.high) == pytest.approx((-found.high, -found.low))


def test_many_instances_are_resampled_in_blocks(rng: np.random.Generator) -> None:
    gap = rng.normal(0.1, 1, 300_000)
    found = paired_bootstrap(gap, np.zeros_like(gap), n_resamples=30, random_state=0)
    assert found.low < gap.mean() < found.high
    assert found.probability == 0.0


def test_a_comparison_reads_well() -> None:
    text = str(PairedComparison(-0.0106, -0.0131, -0.008, 1.0))
    assert text == "-1.06 points [-1.31, -0.80], first smaller in 100 % of resamples"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mean_interval([]), r"values of shape \(0,\)"),
        (lambda: mean_interval([1.0, np.nan]), "values is nan at 1"),
        (lambda: mean_interval([1.0, 2.0], confidence=95), "confidence=95"),
        (lambda: paired_bootstrap([1.0], [1.0, 2.0]), "got 1 and 2 paired numbers"),
        (lambda: paired_bootstrap([1.0], [1.0], weights=[0.0]), "sum to zero"),
        (lambda: paired_bootstrap([1.0], [1.0], n_resamples=0), "n_resamples=0"),
    ],
)
def test_bad_input_is_named(call, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        call()
