"""Mean ranks and their tests: exact on small tables, and equal to scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import friedmanchisquare

from dfl.exceptions import InvalidInputError
from dfl.metrics import closable_regret, compare_ranks


def test_by_hand() -> None:
    # ranks 1 2 3 | 1 3 2 | 1 2 3: means 1, 7/3, 8/3; 12 * 3 / (3 * 4) * (1 + 1/9 + 4/9) = 14/3
    found = compare_ranks([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [2.0, 4.0, 6.0]])
    assert found.ranks == pytest.approx((1, 7 / 3, 8 / 3))
    assert found.statistic == pytest.approx(14 / 3)
    # the tail of chi-squared at two degrees is exp(-x / 2)
    assert found.p_value == pytest.approx(np.exp(-7 / 3))


@pytest.mark.parametrize(
    ("k", "confidence", "quantile"),
    [(2, 0.95, 1.960), (5, 0.95, 2.728), (10, 0.95, 3.164), (3, 0.9, 2.052), (7, 0.9, 2.693)],
)
def test_critical_differences_are_those_of_the_published_table(
    k: int, confidence: float, quantile: float
) -> None:
    scores = np.random.default_rng(0).normal(size=(14, k))
    found = compare_ranks(scores, confidence=confidence).critical_difference
    assert found == pytest.approx(quantile * np.sqrt(k * (k + 1) / (6 * 14)), rel=5e-4)


@given(
    st.integers(3, 6).flatmap(
        lambda k: st.lists(
            st.lists(st.integers(0, 4), min_size=k, max_size=k), min_size=2, max_size=12
        )
    )
)
def test_friedman_is_scipys_with_ties_too(scores: list[list[int]]) -> None:
    found = compare_ranks(scores)
    if all(len(set(row)) == 1 for row in scores):
        assert (found.statistic, found.p_value) == (0.0, 1.0)
        return
    expected = friedmanchisquare(*np.array(scores, dtype=float).T)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert sum(found.ranks) == pytest.approx(len(scores[0]) * (len(scores[0]) + 1) / 2)


def test_share_of_closable_regret() -> None:
    np.testing.assert_allclose(
        closable_regret([0.09, 0.07, 0.05, 0.1], 0.09, 0.05), [1, 0.5, 0, 1.25]
    )
    with pytest.raises(InvalidInputError, match="nothing to close"):
        closable_regret([0.1], least_squares=0.05, minimum=0.05)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([[1.0, 2.0]], "at least 2 of each"),
        ([[1.0], [2.0]], "at least 2 of each"),
        ([1.0, 2.0], "shape"),
        ([[1.0, 2.0], [np.nan, 1.0]], "method 0 on data set 1 is nan"),
    ],
)
def test_what_cannot_be_ranked(scores: list, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        compare_ranks(scores)
    with pytest.raises(InvalidInputError, match="confidence"):
        compare_ranks([[1.0, 2.0], [1.0, 2.0]], confidence=1.0)
