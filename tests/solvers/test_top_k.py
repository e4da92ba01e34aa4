"""The k cheapest of n against sorting, with ties, masks and both precisions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dfl_solvers import Maximize, check_oracle
from dfl_solvers.exceptions import InfeasibleError
from dfl_solvers.kernels import set_threads
from dfl_solvers.problems.top_k import TopK


def by_sorting(costs: np.ndarray, k: int) -> np.ndarray:
    """Choose the first k of a stable sort."""
    decisions = np.zeros_like(costs)
    first = np.argsort(costs, axis=1, kind="stable")[:, :k]
    np.put_along_axis(decisions, first, 1.0, axis=1)
    return decisions


def patterns(n: int) -> np.ndarray:
    """Orders that make selection by poor pivots slow or wrong."""
    up = np.arange(n, dtype=float)
    pipe = np.minimum(up, up[::-1])
    return np.array([
        up, up[::-1], pipe, -pipe, up % 2, up % 3, np.zeros(n), -up % 7, np.roll(up, n // 2),
        np.where(up % 2, up, -up), np.where(up % 2, 0.0, -0.0),
    ])  # fmt: skip


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 17, 50, 101])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_chooses_as_a_stable_sort_does(n: int, dtype: type) -> None:
    rng = np.random.default_rng(n)
    costs = [rng.normal(size=(30, n)), rng.integers(-2, 3, (30, n)), patterns(n)]
    for k in sorted({1, 2, 3, n // 2, n - 1, n} & set(range(1, n + 1))):
        for given_costs in costs:
            c = given_costs.astype(dtype)
            found = TopK(n, k).solve(c)
            assert found.decisions.dtype == dtype
            np.testing.assert_array_equal(found.decisions, by_sorting(c, k))


@settings(max_examples=200, deadline=None)
@given(data=st.data(), n=st.integers(1, 12))
def test_ties_go_to_the_first(data: st.DataObject, n: int) -> None:
    k = data.draw(st.integers(1, n))
    costs = data.draw(arrays(float, (2, n), elements=st.integers(-2, 2).map(float)))
    np.testing.assert_array_equal(TopK(None, k).solve(costs).decisions, by_sorting(costs, k))


@settings(max_examples=200, deadline=None)
@given(data=st.data(), n=st.integers(1, 8))
def test_masked_items_are_never_chosen(data: st.DataObject, n: int) -> None:
    k = data.draw(st.integers(1, n))
    costs = data.draw(arrays(float, (1, n), elements=st.integers(-2, 2).map(float)))
    mask = data.draw(arrays(bool, (1, n), elements=st.booleans()))
    if mask.sum() < k:
        with pytest.raises(InfeasibleError, match="TopK: instance 0: the feasible set is empty"):
            TopK(n, k).solve(costs, {"mask": mask})
        return
    found = TopK(n, k).solve(costs, {"mask": mask}).decisions
    np.testing.assert_array_equal(found, by_sorting(np.where(mask, costs, np.inf), k))


def test_fewer_items_than_k_is_infeasible() -> None:
    with pytest.raises(InfeasibleError, match="TopK: instance 0"):
        TopK(None, 4).solve(np.ones((2, 3)))
    with pytest.raises(InfeasibleError, match="TopK: instance 0"):
        TopK(None, 1).solve(np.ones((2, 0)))
    with pytest.raises(InfeasibleError, match="TopK: instance 0"):
        TopK(None, 2).solve(np.ones((2, 1)), {"mask": np.ones((2, 1))})


@pytest.mark.parametrize("k", [1, 5, 2500, 5000])
def test_many_items_in_bad_orders(k: int) -> None:
    costs = patterns(5000)
    np.testing.assert_array_equal(TopK(5000, k).solve(costs).decisions, by_sorting(costs, k))


def test_extreme_numbers_and_layouts() -> None:
    top = np.finfo(float).max
    costs = np.random.default_rng(0).choice([-5e-324, 0.0, -0.0, 5e-324, top], (40, 9))
    costs[:, 3] = -top
    np.testing.assert_array_equal(
        TopK(9, 3).solve(np.asfortranarray(costs)).decisions, by_sorting(costs, 3)
    )


def test_neither_batch_nor_threads_matter() -> None:
    costs = np.random.default_rng(0).integers(0, 9, (1500, 20)).astype(float)
    oracle = TopK(20, 6)
    try:
        set_threads(1)
        one = oracle.solve(costs).decisions
        set_threads(3)
        three = oracle.solve(costs).decisions
    finally:
        set_threads(None)
    np.testing.assert_array_equal(one, three)
    alone = np.concatenate([oracle.solve(costs[i : i + 1]).decisions for i in range(50)])
    np.testing.assert_array_equal(alone, one[:50])


@pytest.mark.parametrize(("n", "k"), [(1, 1), (6, 1), (6, 3), (6, 6)])
def test_the_contract(n: int, k: int) -> None:
    check_oracle(TopK(n, k))
    costs = np.random.default_rng(n).integers(-3, 4, (12, n)).astype(float)
    check_oracle(Maximize(TopK(n, k)), costs)
