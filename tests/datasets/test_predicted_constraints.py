"""Data whose constraints are to be predicted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dfl.datasets import make_knapsack_weights, make_staffing
from dfl.exceptions import InvalidInputError

both = pytest.mark.parametrize("make", [make_knapsack_weights, make_staffing])


@both
def test_truth_scatters_around_its_mean_and_is_positive(make: Callable) -> None:
    data = make(4000, noise=0.5, random_state=3)
    assert data.X.shape == (4000, 5)
    assert data.y.shape == data.mean_y.shape == (4000, data.oracle.n_costs)
    assert (data.y > 0).all()
    ratio = data.y / data.mean_y
    assert 0.5 <= ratio.min() < 0.51
    assert 1.49 < ratio.max() <= 1.5
    assert np.abs(ratio.mean(axis=0) - 1).max() < 5 * 0.5 / np.sqrt(3 * 4000)
    still = make(50, noise=0.0, random_state=3)
    np.testing.assert_array_equal(still.y, still.mean_y)
    again = make(4000, noise=0.5, random_state=3)
    np.testing.assert_array_equal(data.y, again.y)
    assert not np.array_equal(data.y[:50], make(50, random_state=4).y)


def test_knapsacks_hold_the_share_that_was_asked_for() -> None:
    data = make_knapsack_weights(500, n_items=10, fill=0.3, random_state=0)
    (capacity,) = data.oracle.minimizing.capacities
    assert capacity == pytest.approx(0.3 * data.mean_y.sum(axis=1).mean())
    assert data.oracle.solve(np.tile(data.costs, (2, 1))).objectives[0] > 0


def test_every_period_is_covered_by_four_shifts() -> None:
    data = make_staffing(5, random_state=0)
    covers = data.oracle.model.A.toarray()
    np.testing.assert_array_equal(covers.sum(axis=0), 4)
    np.testing.assert_array_equal(covers.sum(axis=1), 4)
    # the shift that starts last works in the last period and the first three
    np.testing.assert_array_equal(np.flatnonzero(covers[:, 11]), [0, 1, 2, 11])
    # equal demand everywhere is met by a quarter of it in each cheap shift and the rest by night
    rows = {"row_lower": np.full((1, 12), 4.0)}
    found = data.oracle.solve(data.costs[None], rows)
    assert (covers @ found.decisions[0] >= 4 - 1e-9).all()
    assert found.objectives[0] == pytest.approx(4 * (2 + 1.3), abs=1e-9)


@both
def test_sizes_out_of_range_are_refused(make: Callable) -> None:
    with pytest.raises(InvalidInputError, match="n_samples=0"):
        make(0)
    with pytest.raises(InvalidInputError, match=r"noise=1\.0, expected less than 1"):
        make(5, noise=1.0)
    with pytest.raises(InvalidInputError, match="fill=0"):
        make_knapsack_weights(5, fill=0)
