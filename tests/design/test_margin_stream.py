"""Rejection by margin: confident rows are not labeled, and soft rejection stays fair."""

from __future__ import annotations

import numpy as np
import pytest

from dfl.design import BayesianLinearRegression, FiniteHypothesisClass, MarginStream
from dfl.exceptions import InvalidInputError
from dfl_solvers import Box, Simplex, degeneracy_distance


def test_confident_rows_are_never_labeled_by_hard_rejection(rng) -> None:
    table = rng.normal(size=(5, 200, 3))
    model = FiniteHypothesisClass(table, slack="none")
    stream = MarginStream(model, Simplex(3), scale=0.8)
    asked = 0
    for i in range(200):
        margin = degeneracy_distance(Simplex(3), model.predict(np.array([[i]]))).distance[0]
        threshold = stream.threshold_
        assert threshold == pytest.approx(0.8 * (i + 1) ** -0.25 * np.log(i + 2) ** 0.5)
        wanted, weight = stream.offer([i])
        assert wanted == (margin < threshold)
        assert weight == float(wanted)
        if wanted:
            asked += 1
            stream.tell(table[2, i] + 0.1 * rng.normal(size=3))
    assert 0 < asked < 200
    assert (stream.n_rows_, stream.n_labels_) == (200, asked)
    assert model.incumbent_ == 2


def test_soft_rejection_keeps_weighted_losses_unbiased(rng) -> None:
    """The weighted mean of any value of the rows is that of the whole stream."""
    values = rng.normal(size=120) + 3
    table = rng.normal(size=(1, 120, 2))
    model = FiniteHypothesisClass(table, slack="none")
    totals, labels = [], []
    for seed in range(80):
        stream = MarginStream(model, Box(2), scale=0.3, probability=0.25, random_state=seed)
        total = 0.0
        for i in range(120):
            wanted, weight = stream.offer([i])
            assert weight in (0.0, 1.0, 4.0)
            total += weight * values[i]
            if wanted:
                stream.tell(table[0, i])
        totals.append(total / 120)
        labels.append(stream.n_labels_)
    assert abs(np.mean(totals) - values.mean()) < 4 * np.std(totals) / np.sqrt(80)
    assert 30 < np.mean(labels) < 100


def test_labels_level_off_where_the_truth_is_separable(rng) -> None:
    """The interval, costs of a share around the truth: few labels after the first hundred."""
    slopes = np.append(0.0, np.linspace(-2, 2, 41))

    class Slope:
        def __init__(self, slope) -> None:
            self.slope = slope

        def predict(self, X):
            return self.slope * X

    model = FiniteHypothesisClass([Slope(s) for s in slopes], "spo+", "none")
    stream = MarginStream(model, Box(1), scale=0.6)
    asked = []
    for _ in range(800):
        x = rng.uniform(-1, 1, size=1)
        x += np.sign(x) * 0.5
        wanted, _ = stream.offer(x)
        asked.append(wanted)
        if wanted:
            stream.tell(1.5 * x * (1 + 0.4 * rng.uniform(-1, 1)))
    assert sum(asked[:100]) > 0
    assert sum(asked[400:]) <= 5
    assert slopes[model.incumbent_] > 0.5


def test_a_confidence_set_eliminates_and_keeps_the_best(rng) -> None:
    table = rng.normal(size=(10, 400, 3)) * 2
    model = FiniteHypothesisClass(table, "squared", "none", lipschitz=0.5)
    stream = MarginStream(model, Simplex(3), scale=0.5, confidence=3.0)
    for i in range(400):
        if stream.offer([i])[0]:
            stream.tell(table[4, i] + 0.3 * rng.normal(size=3))
    assert 4 in model.survivors_
    assert len(model.survivors_) < 10


def test_errors_of_a_stream() -> None:
    model = BayesianLinearRegression()
    stream = MarginStream(model, Box(2))
    with pytest.raises(InvalidInputError, match="none was asked for"):
        stream.tell([1.0, 2.0])
    assert stream.offer([0.0]) == (True, 1.0)  # nothing is known yet
    with pytest.raises(InvalidInputError, match="waits for its label"):
        stream.offer([1.0])
    with pytest.raises(InvalidInputError, match="not finite"):
        stream.tell([1.0, np.nan])
    stream.tell([1.0, 2.0])
    assert model.n_labels_ == 1
    with pytest.raises(InvalidInputError, match="scale=0"):
        MarginStream(model, Box(2), scale=0)
    with pytest.raises(InvalidInputError, match="confidence=1"):
        MarginStream(model, Box(2), confidence=1.0)


def test_a_slack_that_needs_ranges_is_refused_on_a_stream() -> None:
    """Rejected rows add nothing to it, so that it would be no bound."""
    table = np.ones((2, 3, 2))
    for slack in ("mixture", "azuma"):
        with pytest.raises(InvalidInputError, match=f"slack='{slack}'"):
            MarginStream(FiniteHypothesisClass(table, slack=slack), Box(2))
    for slack in ("practical", "none"):
        stream = MarginStream(FiniteHypothesisClass(table, "squared", slack), Box(2), scale=5.0)
        assert stream.offer([0])[0]
        assert stream.tell([1.0, 1.0]).model.n_labels_ == 1
