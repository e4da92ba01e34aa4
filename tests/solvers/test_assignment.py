"""The assignment oracle against other solvers, brute force and certificates of optimality."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from dfl_solvers import LinearProgram, Maximize, check_oracle
from dfl_solvers.exceptions import InfeasibleError, InvalidInputError
from dfl_solvers.kernels import set_threads
from dfl_solvers.oracle import Solution, Status
from dfl_solvers.problems.assignment import Assignment

SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 20, 31, 50)  # around whole vectors of four


def draw(kind: str, batch: int, n: int, seed: int = 0) -> np.ndarray:
    """Draw costs (batch, n, n)."""
    rng = np.random.default_rng(seed)
    if kind == "uniform":
        return rng.random((batch, n, n))
    if kind == "normal":
        return rng.normal(size=(batch, n, n))
    if kind == "few integers":
        return rng.integers(-2, 3, (batch, n, n)).astype(float)
    if kind == "integers":
        return rng.integers(-1000, 1000, (batch, n, n)).astype(float)
    if kind == "distances":
        a, b = rng.random((2, batch, n, 2))
        return np.linalg.norm(a[:, :, None] - b[:, None], axis=-1)
    if kind == "products":  # every reduced cost far from the others: the reductions' worst case
        return np.multiply.outer(np.arange(1.0, n + 1), np.arange(1.0, n + 1)) * rng.choice(
            [-1.0, 1.0], (batch, 1, 1)
        )
    if kind == "rank one":  # every matching costs the same
        return rng.normal(size=(batch, n, 1)) + rng.normal(size=(batch, 1, n))
    if kind == "heavy tails":
        return np.exp(8 * rng.normal(size=(batch, n, n)))
    if kind == "one row":  # all rows want the same columns, by the same margins
        return np.repeat(rng.random((batch, 1, n)), n, axis=1)
    signs = rng.choice([-0.0, 0.0], (batch, n, n))
    assert kind == "zeros of both signs"
    return signs


KINDS = (
    "uniform", "normal", "few integers", "integers", "distances", "products", "rank one",
    "heavy tails", "one row", "zeros of both signs",
)  # fmt: skip


def solve(costs: np.ndarray, mask: np.ndarray | None = None) -> Solution:
    """Solve matrices of costs (batch, n, n)."""
    batch, n, _ = costs.shape
    instance = None if mask is None else {"mask": mask.reshape(batch, -1)}
    return Assignment(n).solve(costs.reshape(batch, -1), instance)


def matched(found: Solution) -> np.ndarray:
    """Check that decisions are permutation matrices; return the column of each row."""
    batch, d = found.decisions.shape
    n = round(d**0.5)
    matrices = found.decisions.reshape(batch, n, n)
    assert set(np.unique(matrices)) <= {0.0, 1.0}
    assert (matrices.sum(1) == 1).all()
    assert (matrices.sum(2) == 1).all()
    return matrices.argmax(2)


def best(costs: np.ndarray) -> np.ndarray:
    return np.array([c[linear_sum_assignment(c)].sum() for c in costs])


def assert_no_gain(costs: np.ndarray, columns: np.ndarray) -> None:
    """Certify optimality: there are potentials that make all reduced costs of exchanges >= 0."""
    n = len(costs)
    length = costs[:, columns] - costs[np.arange(n), columns][:, None]  # row i takes k's column
    potential = np.zeros(n)
    for _ in range(n):
        potential = np.minimum(potential, (potential[:, None] + length).min(0))
    reduced = potential[:, None] + length - potential
    assert reduced.min() >= -1e-9 * np.abs(costs).max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [6, 40])
def test_no_exchange_of_columns_gains(kind: str, n: int) -> None:
    costs = draw(kind, 5, n, seed=1)
    for c, columns in zip(costs, matched(solve(costs)), strict=True):
        assert_no_gain(c, columns)


@pytest.mark.parametrize("n", [120, 257])
@pytest.mark.parametrize("kind", ["uniform", "integers", "distances", "products"])
def test_large_ones(kind: str, n: int) -> None:
    costs = draw(kind, 2, n)
    found = solve(costs)
    matched(found)
    np.testing.assert_allclose(found.objectives, best(costs), rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-308, 1e-150, 1e-12, 1e12, 1e150, 1e292, 1e306])
@pytest.mark.parametrize("kind", ["normal", "few integers", "products"])
def test_scale_does_not_matter(kind: str, scale: float) -> None:
    costs = draw(kind, 20, 9)
    found = solve(costs * scale)
    matched(found)
    np.testing.assert_allclose(
        (found.decisions.reshape(costs.shape) * costs).sum((1, 2)), best(costs), rtol=1e-9
    )


def test_the_largest_numbers_do_not_overflow() -> None:
    top = np.finfo(float).max
    costs = np.random.default_rng(0).choice([-top, 0.0, top], (50, 6, 6))
    found = Assignment(6).solve(costs.reshape(50, -1) / 8)
    np.testing.assert_allclose(found.objectives / top, best(costs / top) / 8, atol=1e-12)
    with np.errstate(over="ignore"):
        extreme = solve(costs)
    matched(extreme)
    got = (extreme.decisions.reshape(costs.shape) * (costs / top)).sum((1, 2))
    np.testing.assert_array_equal(got, best(costs / top))


@pytest.mark.parametrize("n", [1, 3, 8, 21])
@pytest.mark.parametrize("kind", ["normal", "few integers", "distances"])
def test_single_precision_is_solved_as_such(kind: str, n: int) -> None:
    costs = draw(kind, 30, n).astype(np.float32)
    found = solve(costs)
    matched(found)
    assert found.decisions.dtype == np.float32
    exact = (found.decisions.reshape(costs.shape) * costs.astype(float)).sum((1, 2))
    np.testing.assert_allclose(exact, best(costs.astype(float)), atol=1e-12)
    np.testing.assert_allclose(found.objectives, exact, rtol=1e-5, atol=1e-5)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), n=st.integers(1, 6))
def test_integers_are_exact(data: st.DataObject, n: int) -> None:
    costs = data.draw(arrays(float, (2, n, n), elements=st.integers(-3, 3).map(float)))
    found = solve(costs)
    matched(found)
    permutations = np.array(list(itertools.permutations(range(n))))
    expected = costs[:, np.arange(n), permutations].sum(-1).min(1)
    np.testing.assert_array_equal(found.objectives, expected)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), n=st.integers(1, 5))
def test_masks_against_all_permutations(data: st.DataObject, n: int) -> None:
    costs = data.draw(arrays(float, (1, n, n), elements=st.integers(-9, 9).map(float)))
    mask = data.draw(arrays(bool, (1, n, n), elements=st.booleans()))
    permutations = np.array(list(itertools.permutations(range(n))))
    rows = np.arange(n)
    kept = permutations[mask[0, rows, permutations].all(1)]
    if len(kept):
        found = solve(costs, mask)
        assert mask[0, rows, matched(found)[0]].all()
        assert found.objectives[0] == costs[0, rows, kept].sum(1).min()
    else:
        with pytest.raises(InfeasibleError, match="Assignment: instance 0: the feasible set"):
            solve(costs, mask)


@pytest.mark.parametrize("n", [4, 13, 40])
@pytest.mark.parametrize("kind", ["normal", "integers", "heavy tails", "zeros of both signs"])
@pytest.mark.parametrize("scale", [1.0, 1e300])
def test_masks_against_scipy(kind: str, n: int, scale: float) -> None:
    rng = np.random.default_rng(n)
    costs = draw(kind, 20, n, seed=2)
    costs *= scale / max(np.abs(costs).max(), 1.0)
    mask = rng.random(costs.shape) < 2.5 / n
    mask[:, np.arange(n), rng.permutation(n)] = True  # one matching at least
    found = solve(costs, mask)
    columns = matched(found)
    assert np.take_along_axis(mask, columns[:, :, None], 2).all()
    expected = best(np.where(mask, costs / scale, np.inf))
    np.testing.assert_allclose(found.objectives / scale, expected, rtol=1e-9, atol=1e-9)


def test_the_instance_without_a_matching_is_named() -> None:
    costs, mask = draw("uniform", 4, 5), np.ones((4, 5, 5), dtype=bool)
    mask[2, :3, 2:] = False  # three rows for two columns
    with pytest.raises(InfeasibleError, match="Assignment: instance 2: the feasible set is empty"):
        solve(costs, mask)
    mask[1] = False
    with pytest.raises(InfeasibleError, match=r"instance 1 \(and 1 more\)"):
        solve(costs, mask)
    with pytest.raises(InvalidInputError, match=r"mask of shape \(4, 5\), expected \(4, 25\)"):
        Assignment(5).solve(costs.reshape(4, -1), {"mask": mask[:, 0]})


def test_a_mask_that_allows_all_changes_nothing() -> None:
    costs = draw("few integers", 30, 8)
    free, masked = solve(costs), solve(costs, np.ones(costs.shape, dtype=bool))
    np.testing.assert_array_equal(free.decisions, masked.decisions)


def test_hand_values_and_transposes() -> None:
    costs = np.array([[[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]]])
    found = solve(costs)
    np.testing.assert_array_equal(found.decisions[0], [0, 1, 0, 1, 0, 0, 0, 0, 1])
    assert found.objectives[0] == 5.0
    assert found.status[0] == Status.OPTIMAL
    values = Maximize(Assignment(3)).solve(costs.reshape(1, -1))
    assert values.objectives[0] == 11.0
    transposed = solve(costs.transpose(0, 2, 1))
    np.testing.assert_array_equal(
        transposed.decisions.reshape(3, 3).T, found.decisions.reshape(3, 3)
    )


def test_input_of_any_layout_is_read_right() -> None:
    costs = draw("normal", 12, 6).reshape(12, -1)
    expected = Assignment(6).solve(costs).decisions
    mask = np.ones((36, 12), dtype=bool).T
    for laid_out in (np.asfortranarray(costs), np.repeat(costs, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(
            Assignment(6).solve(laid_out, {"mask": mask}).decisions, expected
        )
    integers = np.arange(16).reshape(1, 16) % 7
    assert Assignment(4).solve(integers).objectives[0] == best(integers.reshape(1, 4, 4))[0]


def test_neither_neighbors_nor_threads_matter() -> None:
    costs = np.concatenate([draw(kind, 150, 7) for kind in KINDS])
    costs[::11] *= 1e280
    try:
        set_threads(1)
        one = solve(costs).decisions
        set_threads(3)
        three = solve(costs).decisions
    finally:
        set_threads(None)
    np.testing.assert_array_equal(one, three)
    alone = np.concatenate([solve(costs[i : i + 1]).decisions for i in range(0, len(costs), 40)])
    np.testing.assert_array_equal(alone, one[::40])


def test_program_has_the_same_optimum_with_a_mask() -> None:
    rng = np.random.default_rng(3)
    costs, mask = rng.normal(size=(5, 36)), rng.random((5, 36)) < 0.6
    mask[:, ::7] = True
    oracle = Assignment(6)
    found = oracle.solve(costs, {"mask": mask})
    for i in range(5):
        program = oracle.program({"mask": mask[i]})
        assert program.violation(found.decisions[i]) == 0
        general = LinearProgram(program).solve(costs[i : i + 1])
        np.testing.assert_allclose(found.objectives[i], general.objectives[0], atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_the_contract(n: int) -> None:
    check_oracle(Assignment(n))
    costs = np.random.default_rng(n).integers(-3, 4, (10, n * n)).astype(float)
    check_oracle(Maximize(Assignment(n)), costs)


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="Assignment: got n=0, expected an integer"):
        Assignment(0)
    with pytest.raises(InvalidInputError, match="got 8 costs per instance, expected 9"):
        Assignment(3).solve(np.ones((1, 8)))
    assert repr(Assignment(3)) == "Assignment(n=3)"
