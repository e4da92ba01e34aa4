"""Ranking against all permutations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dfl_solvers import (
    LinearProgram,
    Maximize,
    Ranking,
    TopK,
    all_optima,
    check_oracle,
    degeneracy_distance,
)
from dfl_solvers.exceptions import InvalidInputError

WEIGHTS: list[list[float] | None] = [None, [1.0, 0.0, 0.0, 1.0, 0.0], [-1.5, 4.0, 0.5, 0.5, 9.0]]


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_permutation_is_cheaper(weights, dtype: type) -> None:
    oracle = Ranking(5, weights)
    every = np.array(list(itertools.permutations(weights or [1.0, 2.0, 3.0, 4.0, 5.0])))
    rng = np.random.default_rng(0)
    for costs in (rng.normal(size=(40, 5)), rng.integers(-2, 3, (40, 5))):
        found = oracle.solve(costs.astype(dtype))
        assert found.decisions.dtype == dtype
        best = (costs.astype(dtype).astype(float) @ every.T).min(1)
        np.testing.assert_allclose(found.objectives, best, atol=1e-5)
        assert all((every == w).all(1).any() for w in found.decisions)
        general = LinearProgram(oracle.program(), backend="highs").solve(costs.astype(float))
        np.testing.assert_allclose(found.objectives, general.objectives, atol=1e-5)


@settings(max_examples=100, deadline=None)
@given(costs=arrays(float, (2, 6), elements=st.integers(-2, 2).map(float)))
def test_ranks_count_who_comes_before(costs: np.ndarray) -> None:
    found = Ranking(6).solve(costs).decisions
    for row, ranks in zip(costs, found, strict=True):
        for j in range(6):
            before = [k for k in range(6) if row[k] > row[j] or (row[k] == row[j] and k < j)]
            assert ranks[j] == 1 + len(before)
    # with k ones, ties aside, the same as the choice of k
    some = np.array([0.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    best = TopK(6, 2).solve(costs).objectives
    np.testing.assert_array_equal(Ranking(6, some).solve(costs).objectives, best)


def test_values_rank_upward_and_discounts_add_up() -> None:
    values = np.array([[0.3, 0.9, -1.0, 0.5]])
    np.testing.assert_array_equal(Maximize(Ranking(4)).solve(values).decisions, [[2, 4, 1, 3]])
    discounts = 1 / np.log2(np.arange(2, 6))
    ideal = np.sort(values[0])[::-1] @ discounts
    assert Maximize(Ranking(4, discounts)).solve(values).objectives[0] == pytest.approx(ideal)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_ties_and_their_distance(weights) -> None:
    oracle = Ranking(5, weights)
    every = np.unique(list(itertools.permutations(weights or [1.0, 2.0, 3.0, 4.0, 5.0])), axis=0)
    rng = np.random.default_rng(1)
    costs = np.vstack([rng.normal(size=(20, 5)), rng.integers(0, 3, (20, 5))])
    distance = degeneracy_distance(oracle, costs).distance
    for row, tied, margin in zip(costs, all_optima(oracle, costs), distance, strict=True):
        values = every @ row
        best = values <= values.min() + 1e-9
        assert {tuple(w) for w in tied} == {tuple(w) for w in every[best]}
        apart = np.linalg.norm(every - every[values.argmin()], axis=1)
        others = apart > 0
        ratios = (values[others] - values.min()) / apart[others]
        assert margin == pytest.approx(ratios.min(), abs=1e-9)
    assert not np.signbit(distance).any()
    with pytest.raises(InvalidInputError, match="instance 0 of Ranking has more than 3"):
        all_optima(oracle, np.zeros((1, 5)), limit=3)


def test_ties_are_told_from_the_rounding_of_large_objectives() -> None:
    costs = np.array([[0.1, 0.1, 0.1, 0.3], [0.1, 0.1 + 1e-8, 0.2, 0.3]])
    tied = all_optima(Ranking(4, 1e9 + np.arange(4.0)), costs)
    assert [len(w) for w in tied] == [6, 1]


@pytest.mark.parametrize("oracle", [Ranking(1), Ranking(7), Ranking(3, [2.0, 2.0, 2.0])], ids=repr)
def test_the_contract(oracle: Ranking) -> None:
    check_oracle(oracle)


def test_bad_parameters_are_named() -> None:
    for n in (0, 2.5, "3", True, None):
        with pytest.raises(InvalidInputError, match=r"Ranking: got n=.*an integer of at least 1"):
            Ranking(n)
    for weights in ([1.0, 2.0], [1.0, np.nan, 2.0], [[1.0, 2.0, 3.0]]):
        with pytest.raises(InvalidInputError, match="expected 3 finite numbers, one a rank"):
            Ranking(3, weights)
    with pytest.raises(InvalidInputError, match="weights are no numbers"):
        Ranking(2, ["a", "b"])
