"""Entropy portfolios and ordinal classes: exact expectations, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from dfl.datasets import load_ordinal_digits, make_entropy_portfolio, make_ordinal_classes
from dfl.exceptions import InvalidInputError
from dfl_solvers import EntropyBall


def test_entropy_portfolio_has_the_published_shape() -> None:
    data = make_entropy_portfolio(20_000, n_assets=6, degree=3, noise=0.5, random_state=0)
    assert repr(data.oracle) == repr(EntropyBall(6))
    ratio = data.C / data.mean_costs
    assert 0.5 <= ratio.min() < 0.51
    assert 1.49 < ratio.max() <= 1.5
    np.testing.assert_allclose(ratio.mean(0), 1, atol=0.01)
    # a row with x = 0 would have the return 1 + 1
    exact = make_entropy_portfolio(500, n_assets=6, degree=1, noise=0.0, random_state=0)
    np.testing.assert_array_equal(exact.C, exact.mean_costs)
    B = np.linalg.lstsq(np.c_[exact.X, np.ones(500)], exact.C, rcond=None)[0]
    np.testing.assert_allclose(B[-1], -2)
    assert set(np.round(B[:-1].ravel() * 5**0.5, 9)) <= {-1.0, 0.0}


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_expected_costs_of_classes_are_exact(degree: int, noise: float) -> None:
    data = make_ordinal_classes(40_000, degree=degree, noise=noise, random_state=3)
    np.testing.assert_array_equal(data.C.argmin(1), data.classes)
    if noise == 0:
        np.testing.assert_allclose(data.mean_costs, data.C, atol=1e-12)
    # no bias anywhere along the score, which the mean costs tell apart
    order = np.argsort(data.mean_costs[:, 0], kind="stable")
    for block in np.array_split(order, 8):
        gap = (data.C - data.mean_costs)[block]
        rare = 5 / len(block)  # classes that are expected, and did not occur
        assert (np.abs(gap.mean(0)) <= 4.5 * gap.std(0) / len(block) ** 0.5 + rare).all()


def test_digits_are_those_of_scikit_learn() -> None:
    data = load_ordinal_digits()
    assert data.X.shape == (1797, 64)
    assert (data.X.min(), data.X.max()) == (0.0, 1.0)
    assert data.C.shape == (1797, 10)
    assert (data.C[np.arange(1797), data.classes] == 1).all()
    assert data.C.max() == 10
    assert "mean_costs" not in data


def test_same_seed_same_data_and_what_is_refused() -> None:
    for make in (make_entropy_portfolio, make_ordinal_classes):
        np.testing.assert_array_equal(make(5, random_state=1).C, make(5, random_state=1).C)
        with pytest.raises(InvalidInputError, match="at most 1"):
            make(5, noise=1.5)
        with pytest.raises(InvalidInputError, match="n_samples"):
            make(0)
        with pytest.raises(InvalidInputError, match="got random_state='x', expected an int"):
            make(5, random_state="x")


@pytest.mark.filterwarnings("error")
def test_very_bent_scores_overflow_nowhere() -> None:
    data = make_ordinal_classes(2_000, degree=30, random_state=0)
    assert {0, 9} <= set(data.classes)
    assert np.isfinite(data.mean_costs).all()
