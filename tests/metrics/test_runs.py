"""Interquartile mean and probability of improvement: exact on small tables, and covering."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, trim_mean

from dfl.exceptions import InvalidInputError
from dfl.metrics import interquartile_mean, probability_of_improvement


def test_a_quarter_is_left_off_at_either_end_rounded_down() -> None:
    assert interquartile_mean([[0.0, 10.0], [1.0, 2.0]], n_resamples=1).mean == 1.5
    assert interquartile_mean([[5.0], [1.0], [-90.0]], n_resamples=1).mean == pytest.approx(-28)
    assert interquartile_mean(np.arange(1, 6)[:, None] ** 2, n_resamples=1).mean == 29 / 3
    rng = np.random.default_rng(0)
    for shape in ((5, 1), (7, 3), (10, 4), (1, 1)):
        scores = rng.normal(size=shape)
        expected = trim_mean(scores, 0.25, axis=None)
        assert interquartile_mean(scores, n_resamples=1).mean == pytest.approx(expected)


def test_runs_are_drawn_within_their_task() -> None:
    # tasks without spread have no interval, however different they are
    scores = np.tile([0.0, 5.0, 100.0, 7.0], (6, 1))
    found = interquartile_mean(scores, n_resamples=50, random_state=0)
    assert (found.low, found.mean, found.high) == (6.0, 6.0, 6.0)
    # and those of one task apart from those of another: of four fair coins at most one is heads in
    # 5 of 16 draws; were both tasks drawn together, none would be in 1 of 4
    two = interquartile_mean(
        [[0.0, 0.0], [1.0, 1.0]], confidence=0.45, n_resamples=20_000, random_state=0
    )
    assert (two.low, two.high) == (0.0, 1.0)


def test_the_bootstrap_of_two_runs_is_that_of_all_resamples() -> None:
    # draws with replacement of two runs in one task: means 0, 1/2, 1/2 and 1
    quantiles = [
        interquartile_mean([[0.0], [1.0]], confidence=c, n_resamples=20_000, random_state=0)
        for c in (0.4, 0.6)
    ]
    assert (quantiles[0].low, quantiles[0].high) == (0.5, 0.5)
    assert (quantiles[1].low, quantiles[1].high) == (0.0, 1.0)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(200):
        found = interquartile_mean(rng.normal(size=(20, 2)), n_resamples=200, random_state=rng)
        covered += found.low <= 0 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_improvement_is_the_share_of_pairs() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(4, size=(5, 3)).astype(float), rng.integers(4, size=(7, 3)).astype(float)
    pairs = [
        1.0 if x > y else 0.5 if x == y else 0.0
        for task in range(3)
        for x, y in itertools.product(a[:, task], b[:, task])
    ]
    found = probability_of_improvement(a, b, random_state=0)
    assert found.mean == pytest.approx(np.mean(pairs))
    ranks = [mannwhitneyu(a[:, j], b[:, j]).statistic / 35 for j in range(3)]
    assert found.mean == pytest.approx(np.mean(ranks))
    assert found.low < found.mean < found.high
    back = probability_of_improvement(b, a, random_state=0)
    assert back.mean == pytest.approx(1 - found.mean)


def test_improvement_of_equal_and_of_better_runs() -> None:
    scores = np.random.default_rng(0).normal(size=(10, 2))
    assert probability_of_improvement(scores, scores, random_state=0).mean == 0.5
    sure = probability_of_improvement(scores + 100, scores, random_state=0)
    assert (sure.low, sure.mean, sure.high) == (1.0, 1.0, 1.0)


def test_the_same_seed_gives_the_same_interval() -> None:
    scores = np.random.default_rng(0).normal(size=(6, 2))
    assert interquartile_mean(scores, random_state=3) == interquartile_mean(scores, random_state=3)


def test_a_single_run_says_nothing_of_how_sure_its_score_is() -> None:
    found = interquartile_mean([[1.0, 3.0]])
    assert found.mean == 2
    assert np.isnan([found.low, found.high]).all()
    for first, second in (([[1.0]], [[0.0], [2.0]]), ([[0.0], [2.0]], [[1.0]])):
        found = probability_of_improvement(first, second)
        assert found.mean == 0.5
        assert np.isnan([found.low, found.high]).all()


def test_wrong_tables_are_refused_by_name() -> None:
    with pytest.raises(InvalidInputError, match="scores that are no table of numbers"):
        interquartile_mean([[1.0, 2.0], [1.0]])  # type: ignore[list-item]
    with pytest.raises(InvalidInputError, match=r"shape \(3,\), expected \(runs, tasks\)"):
        interquartile_mean([1.0, 2.0, 3.0])
    with pytest.raises(InvalidInputError, match="run 1 of task 0"):
        interquartile_mean([[1.0], [np.nan]])
    with pytest.raises(InvalidInputError, match="confidence=1"):
        interquartile_mean([[1.0]], confidence=1.0)
    with pytest.raises(InvalidInputError, match="n_resamples=0"):
        probability_of_improvement([[1.0]], [[1.0]], n_resamples=0)
    with pytest.raises(InvalidInputError, match="2 and 1 tasks"):
        probability_of_improvement([[1.0, 2.0]], [[1.0]])
