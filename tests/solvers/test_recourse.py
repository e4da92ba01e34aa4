"""Corrections of decisions: by hand, and by enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfl_solvers import (
    Box,
    Counting,
    Discard,
    Knapsack,
    LinearProgram,
    Maximize,
    MixedIntegerProgram,
    Program,
    Reoptimize,
    Rescale,
    WithBackend,
)
from dfl_solvers.exceptions import InfeasibleError, InvalidInputError, UnsupportedError
from dfl_solvers.recourse.field import PredictedField

NONE = -np.inf


def array(*rows) -> np.ndarray:
    return np.array(rows, dtype=float)


def cover(n_integers: int = 0, fixed: float = 0.0) -> Program:
    """Return x1 + x2 >= 2, x1 + x3 >= 3 on [0, 9]^3."""
    return Program(
        array([1, 1, 0], [1, 0, 1]),
        [2.0, 3.0],
        [np.inf, np.inf],
        np.zeros(3),
        np.full(3, 9.0),
        np.arange(3) < n_integers,
        np.full(3, fixed),
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 2))
def test_knapsack_is_reoptimized_as_enumeration_does(seed: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    n, d = 3, 6
    oracle = Knapsack(np.ones((m, d)), np.full(m, 3.0))
    costs, first = -rng.uniform(0, 5, (n, d)), rng.integers(0, 2, (n, d)).astype(float)
    true = {"weights": rng.uniform(0, 3, (n, m, d)), "capacities": rng.uniform(1, 6, (n, m))}
    add, drop = rng.uniform(0, 1.5, d), rng.uniform(0, 1.5)
    found = Reoptimize(add, drop).settle(oracle, first, costs, true)
    every = np.array(list(itertools.product((0.0, 1.0), repeat=d)))
    for i in range(n):
        fits = (every @ true["weights"][i].T <= true["capacities"][i] + 1e-9).all(axis=1)
        change = every[fits] - first[i]
        prices = np.where(change > 0, add, drop) * np.abs(costs[i])
        best = (every[fits] @ costs[i] + (np.abs(change) * prices).sum(axis=1)).min()
        assert found.objectives[i] == pytest.approx(best, abs=1e-9)
        assert any((found.decisions[i] == row).all() for row in every[fits])
    # values for a maximizing oracle are the same problem
    up = Reoptimize(add, drop).settle(Maximize(oracle), first, -costs, true)
    np.testing.assert_array_equal(up.decisions, found.decisions)
    np.testing.assert_array_equal(up.objectives, -found.objectives)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.5]))
def test_integer_programs_are_reoptimized_as_enumeration_does(seed: int, fixed: float) -> None:
    rng = np.random.default_rng(seed)
    oracle = MixedIntegerProgram(cover(3, fixed))
    costs, first = rng.uniform(0.1, 3, (2, 3)), rng.integers(0, 5, (2, 3)).astype(float)
    true = {"row_lower": rng.integers(0, 8, (2, 2)).astype(float)}
    recourse = Reoptimize(add=rng.uniform(0, 1), drop=rng.uniform(0, 1.2))
    found = recourse.settle(oracle, first, costs, true)
    every = np.array(list(itertools.product(range(10), repeat=3)), dtype=float)
    rows = every @ cover().A.T
    for i in range(2):
        fit = every[(rows >= true["row_lower"][i]).all(axis=1)]
        paid = recourse.penalty(
            np.tile(costs[i], (len(fit), 1)), np.tile(first[i], (len(fit), 1)), fit
        )
        best = (fit @ (costs[i] + fixed) + paid).min()
        assert found.objectives[i] == pytest.approx(best, abs=1e-7)


def test_linear_programs_change_the_cheaper_way_by_hand() -> None:
    oracle, first, costs = LinearProgram(cover()), array([2, 0, 1]), array([1, 1, 1])
    # 5 are needed in the second row: x1 serves both rows, but x3 costs as much; late is 1.5
    found = Reoptimize(add=0.5, drop=1.0).settle(oracle, first, costs, {"row_lower": array([2, 5])})
    assert found.objectives[0] == pytest.approx(3 + 2 * 1.5)
    # nothing is refunded, so nothing is dropped for nothing; without the fee all surplus goes
    low = {"row_lower": array([1, 1])}
    assert Reoptimize(drop=1.0).settle(oracle, first, costs, low).objectives[0] == pytest.approx(3)
    assert Reoptimize().settle(oracle, first, costs, low).objectives[0] == pytest.approx(1)
    # the same as bounds of variables and without data of instances
    bounds = {"lower": array([0, 0, 3]), "upper": array([0, 9, 9])}
    found = Reoptimize().settle(oracle, first, costs, bounds)
    np.testing.assert_allclose(found.decisions, array([0, 2, 3]), atol=1e-9)
    assert Reoptimize().settle(oracle, first, costs).objectives[0] == pytest.approx(3)


def test_decisions_that_are_linear_maps_are_reoptimized() -> None:
    # the decision is x1 + x2, which has to be between 1 and 3 as x1 <= 1, x2 <= 2
    model = Program(
        array([1, 1]), [1.0], [np.inf], [0.0, 0.0], [1.0, 2.0], decision_map=array([1, 1])
    )
    found = Reoptimize(add=1.0).settle(
        LinearProgram(model), array([1.0]), array([2.0]), {"row_lower": array([2.5])}
    )
    assert found.decisions[0, 0] == pytest.approx(2.5)
    assert found.objectives[0] == pytest.approx(5 + 3)


def test_rescaling_by_hand() -> None:
    oracle, costs = LinearProgram(cover()), array([1, 1, 1])
    found = Rescale(add=0.5).settle(oracle, array([2, 0, 1]), costs, {"row_lower": array([3, 3])})
    np.testing.assert_allclose(found.decisions, array([3, 0, 1.5]))
    assert found.objectives[0] == pytest.approx(4.5 + 0.5 * 1.5)
    # more than is needed stays
    kept = Rescale(add=0.5).settle(oracle, array([2, 0, 1]), costs, {"row_lower": array([1, 1])})
    assert kept.objectives[0] == 3
    # a fractional knapsack: the weights turn out to be double, half of everything is carried
    packing = Maximize(WithBackend(Knapsack([[1.0, 2.0]], [3.0])).relax())
    true = {"weights": np.array([[[2.0, 4.0]]])}
    found = Rescale(drop=0.25).settle(packing, array([1, 1]), array([4, 2]), true)
    np.testing.assert_allclose(found.decisions, array([0.5, 0.5]))
    assert found.objectives[0] == pytest.approx(3 - 0.25 * 3)


def test_what_cannot_be_scaled_is_named() -> None:
    oracle, costs = LinearProgram(cover()), np.ones((2, 3))
    first = array([2, 0, 1], [0, 0, 0])
    with pytest.raises(InfeasibleError, match=r"instance 1 cannot be corrected.*use Reoptimize"):
        Rescale().settle(oracle, first, costs)
    with pytest.raises(InfeasibleError, match="instance 0"):  # beyond the upper bound of 9
        Rescale().settle(oracle, first, costs, {"row_lower": np.full((2, 2), 20.0)})
    with pytest.raises(UnsupportedError, match="integers cannot be scaled"):
        Rescale().settle(MixedIntegerProgram(cover(1)), first, costs)
    with pytest.raises(UnsupportedError, match="Rescale does not go with"):
        Rescale().settle(Counting(Maximize(BoxWithoutProgram())), first, costs)


class BoxWithoutProgram:
    n_costs = 3

    def solve(self, costs, instance=None):
        raise AssertionError

    def evaluate(self, costs, decisions, instance=None):
        raise AssertionError


def test_discarding_takes_the_worst_first() -> None:
    oracle = Maximize(Knapsack(np.ones((1, 4)), [6.0]))
    values, first = array([6, 4, 2, 9]), array([1, 1, 1, 0])
    true = {"weights": np.array([[[3.0, 3.0, 2.0, 1.0]]])}
    found = Discard(drop=0.5).settle(oracle, first, values, true)
    # the third brings 1 a unit of room and goes, then all fits
    np.testing.assert_array_equal(found.decisions, array([1, 1, 0, 0]))
    assert found.objectives[0] == 10 - 0.5 * 2
    # one item more than fits: of equal ones the last goes
    equal = {"weights": np.array([[[2.0, 2.0, 2.0, 9.0]]]), "capacities": array([4.0])}
    found = Discard().settle(oracle, first, array([1, 1, 1, 1]), equal)
    np.testing.assert_array_equal(found.decisions, array([1, 1, 0, 0]))
    # what takes no room stays, what has no room goes
    edge = {"weights": np.array([[[0.0, 1.0, 0.0, 0.0]]]), "capacities": array([0.0])}
    found = Discard().settle(oracle, first, array([1, 9, 1, 1]), edge)
    np.testing.assert_array_equal(found.decisions, array([1, 0, 1, 0]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_no_correction_beats_a_second_optimization(seed: int) -> None:
    rng = np.random.default_rng(seed)
    oracle, n = Knapsack(np.ones((2, 7)), [3.0, 4.0]), 4
    costs, first = -rng.uniform(0, 5, (n, 7)), rng.integers(0, 2, (n, 7)).astype(float)
    true = {"weights": rng.uniform(0, 2, (n, 2, 7))}
    discarded = Discard(drop=0.4).settle(oracle, first, costs, true)
    used = np.einsum("nmd,nd->nm", true["weights"], discarded.decisions)
    assert (used <= oracle.capacities * (1 + 1e-8)).all()
    assert (discarded.decisions <= first).all()
    best = Reoptimize(add=2.0, drop=0.4).settle(oracle, first, costs, true)
    assert (best.objectives <= discarded.objectives + 1e-9).all()


def test_what_does_not_go_together_is_refused_by_name() -> None:
    with pytest.raises(InvalidInputError, match="Reoptimize: got drop=-1"):
        Reoptimize(drop=-1)
    with pytest.raises(InvalidInputError, match="Rescale: got add=inf"):
        Rescale(add=np.inf)
    with pytest.raises(UnsupportedError, match="Reoptimize does not go with Box"):
        Reoptimize().settle(Box(2), array([1, 1]), array([1, 1]))
    with pytest.raises(UnsupportedError, match="Discard does not go with Box"):
        Discard().settle(Box(2), array([1, 1]), array([1, 1]))
    with pytest.raises(InvalidInputError, match=r"decisions of shape \(1, 3\), expected \(1, 2\)"):
        Discard().settle(Box(2), array([1, 1, 1]), array([1, 1]))


def test_a_field_knows_its_size_and_its_known_part() -> None:
    oracle = Counting(Maximize(Knapsack(array([1, 2], [3, 4]), [5.0, 6.0])))
    field = PredictedField(oracle, "weights")
    assert field.size == 4
    given_ = field.given(array([1, -2, 3, 4]))
    np.testing.assert_array_equal(given_["weights"], array([1, 0], [3, 4])[None])
    truth = field.given(array([1, -2, 3, 4]), predicted=False)
    np.testing.assert_array_equal(field.of(truth), array([1, -2, 3, 4]))
    some = PredictedField(oracle, "weights", [3, 0])
    given_ = some.given(array([7, 8]), {"capacities": array([1, 1])})
    np.testing.assert_array_equal(given_["weights"], array([8, 2], [3, 7])[None])
    np.testing.assert_array_equal(given_["capacities"], array([1, 1]))
    np.testing.assert_array_equal(some.of(given_), array([7, 8]))
    rows = PredictedField(LinearProgram(cover()), "row_lower")
    assert rows.size == 2
    with pytest.raises(
        InvalidInputError, match=r"predicts='rows', expected .*: capacities, weights"
    ):
        PredictedField(oracle, "rows")
    with pytest.raises(InvalidInputError, match=r"positions=.*from 0 to 3"):
        PredictedField(oracle, "weights", [4])
    with pytest.raises(InvalidInputError, match=r"weights of shape \(1, 3\), expected \(n, 4\)"):
        field.given(array([1, 2, 3]))


def test_rounding_scales_nothing_down() -> None:
    balanced = LinearProgram(
        Program(array([1, -1], [1, 1]), [NONE, NONE], [0.0, 9.0], np.zeros(2), np.full(2, 9.0))
    )
    first = array([0.1 + 0.2, 0.3])  # the first row is missed by 6e-17
    found = Rescale().settle(balanced, first, array([-1, -1]))
    np.testing.assert_allclose(found.decisions, first)


def test_bounds_of_variables_are_scaled_to() -> None:
    program = LinearProgram(cover())
    truth = {"upper": array([2, 9, 9])}
    found = Rescale().settle(program, array([4, 3, 4]), array([1, 1, 1]), truth)
    np.testing.assert_allclose(found.decisions, array([2, 1.5, 2]))


def test_numbers_beyond_one_are_reoptimized_by_what_they_change() -> None:
    # all are zero or one unless an instance says otherwise: here x1 may be up to 3
    program = Program(
        array([1, 1]), [2.0], [np.inf], np.zeros(2), np.ones(2), np.ones(2, dtype=bool)
    )
    oracle = MixedIntegerProgram(program)
    truth = {"upper": array([3, 1]), "row_lower": array([3])}
    first, costs = array([2, 0]), array([1, 5])
    found = Reoptimize(add=1.0, drop=9.0).settle(oracle, first, costs, truth)
    np.testing.assert_allclose(found.decisions, array([3, 0]))
    np.testing.assert_allclose(found.objectives, [4.0])
    # what is added costs 1 + 10, and it is dearer than x2 with a penalty of its own
    dear = Reoptimize(add=np.array([10.0, 0.0]), drop=0.0).settle(oracle, first, costs, truth)
    np.testing.assert_allclose(dear.decisions, array([2, 1]))
    np.testing.assert_allclose(dear.objectives, [7.0])


def test_penalties_of_another_length_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"got drop of shape \(2,\), expected .*\(3,\)"):
        Discard(drop=[1.0, 2.0]).settle(
            Knapsack(np.ones((1, 3)), [2.0]), array([1, 1, 1]), array([-1, -1, -1])
        )
