"""DiverseMatching against all matchings, HiGHS on the whole program and the assignment problem."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dfl_solvers import (
    Assignment,
    DiverseMatching,
    LinearProgram,
    Maximize,
    MixedIntegerProgram,
    check_oracle,
)
from dfl_solvers.exceptions import InvalidInputError, SolverError
from dfl_solvers.kernels import set_threads
from dfl_solvers.problems import diverse_matching

SHARES = [(0.0, 0.0), (0.1, 0.1), (0.25, 0.25), (0.5, 0.5), (0.0, 0.6), (0.4, 0.6), (1.0, 0.0)]
KINDS = ("normal", "ties", "negative")


def draw(kind: str, n: int, d: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "normal":
        return rng.normal(size=(n, d))
    if kind == "ties":
        return rng.integers(-2, 2, (n, d)).astype(float)
    return -rng.random((n, d))


def matchings(rows: int, cols: int) -> np.ndarray:
    """Enumerate all matchings: the column of each row, or none."""
    found = []
    for columns in itertools.product([*range(cols), -1], repeat=rows):
        taken = [j for j in columns if j >= 0]
        if len(set(taken)) == len(taken):
            matching = np.zeros((rows, cols))
            for i, j in enumerate(columns):
                if j >= 0:
                    matching[i, j] = 1
            found.append(matching.ravel())
    return np.array(found)


def with_shares(every: np.ndarray, oracle: DiverseMatching) -> np.ndarray:
    same, total = every @ oracle.same_field.ravel(), every.sum(1)
    enough = same >= oracle.same_share * total - 1e-9
    return every[enough & (total - same >= oracle.different_share * total - 1e-9)]


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (1, 4), (3, 3), (4, 3), (3, 5)])
def test_no_matching_is_cheaper(rows: int, cols: int, shares: tuple[float, float]) -> None:
    rng = np.random.default_rng(rows)
    every = matchings(rows, cols)
    for density in (0.2, 0.6):
        oracle = DiverseMatching(rng.random((rows, cols)) < density, *shares)
        feasible = with_shares(every, oracle)
        for kind in KINDS:
            costs = draw(kind, 30, rows * cols)
            found = oracle.solve(costs)
            assert all((feasible == w).all(1).any() for w in found.decisions)
            np.testing.assert_allclose(found.objectives, (costs @ feasible.T).min(1), atol=1e-12)


@pytest.mark.parametrize("shares", [(0.25, 0.25), (0.5, 0.5), (0.4, 0.6)])
def test_as_highs_on_the_whole_program(shares: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    oracle = DiverseMatching(rng.random((7, 6)) < 0.2, *shares)
    program = oracle.program()
    for kind in KINDS:
        costs = draw(kind, 3, 42)
        found = oracle.solve(costs)
        assert program.violation(found.decisions) < 1e-9
        general = MixedIntegerProgram(program).solve(costs)
        np.testing.assert_allclose(found.objectives, general.objectives, atol=1e-6)
        relaxed = LinearProgram(program.relax(), backend="highs").solve(costs)
        assert (relaxed.objectives <= found.objectives + 1e-6).all()


def test_large_ones_within_the_bound_of_the_relaxation() -> None:
    rng = np.random.default_rng(1)
    fields = rng.integers(0, 7, (2, 40))
    oracle = DiverseMatching(fields[0][:, None] == fields[1], 0.25, 0.25)
    costs = draw("negative", 2, 1600)
    found = oracle.solve(costs)
    program = oracle.program()
    assert program.violation(found.decisions) < 1e-9
    relaxed = LinearProgram(program.relax(), backend="highs").solve(costs).objectives
    assert (found.objectives >= relaxed - 1e-6).all()
    assert (found.objectives <= relaxed + 0.1).all()  # a tenth of one pair's value
    free = Assignment(40).solve(costs).objectives
    shareless = DiverseMatching(oracle.same_field, 0.0, 0.0).solve(costs).objectives
    np.testing.assert_allclose(shareless, free)
    assert (found.objectives > free + 1e-3).all()  # the share binds here


def test_fields_of_each_instance() -> None:
    rng = np.random.default_rng(2)
    same = rng.random((25, 3, 4)) < 0.4
    costs = draw("negative", 25, 12)
    oracle = DiverseMatching(same[0], 0.4, 0.3)
    found = oracle.solve(costs, {"same_field": same.astype(int)})
    for i in range(25):
        alone = DiverseMatching(same[i], 0.4, 0.3)
        np.testing.assert_array_equal(
            alone.solve(costs[i : i + 1]).decisions[0], found.decisions[i]
        )
        program = oracle.program({"same_field": same[i]})
        assert (program.A != alone.program().A).nnz == 0
    with pytest.raises(InvalidInputError, match=r"'same_field' of shape \(25, 4, 3\), expected"):
        oracle.solve(costs, {"same_field": same.transpose(0, 2, 1)})
    with pytest.raises(InvalidInputError, match=r"'same_field' of type <U5, expected numbers"):
        oracle.solve(costs, {"same_field": same.astype(str)})


def test_pairs_that_cost_nothing_pad_small_instances() -> None:
    rng = np.random.default_rng(3)
    same, costs = rng.random((3, 4)) < 0.4, draw("negative", 10, 12)
    small = DiverseMatching(same, 0.4, 0.3).solve(costs)
    padded = np.zeros((10, 5, 6))
    padded[:, :3, :4] = costs.reshape(10, 3, 4)
    large = DiverseMatching(np.pad(same, ((0, 2), (0, 2))), 0.4, 0.3)
    found = large.solve(padded.reshape(10, -1))
    # pairs that are worth nothing may be made if they are of the kind that is missing
    assert (found.objectives <= small.objectives + 1e-12).all()
    never = np.full((10, 5, 6), 1e3)
    never[:, :3, :4] = padded[:, :3, :4]
    dear = large.solve(never.reshape(10, -1))
    np.testing.assert_allclose(dear.objectives, small.objectives)


def test_scale_batches_threads_and_values_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    oracle = DiverseMatching(rng.random((6, 6)) < 0.2, 0.3, 0.3)
    costs = draw("ties", 100, 36)
    try:
        set_threads(1)
        one = oracle.solve(costs).decisions
        set_threads(3)
        three = oracle.solve(costs).decisions
    finally:
        set_threads(None)
    np.testing.assert_array_equal(one, three)
    for exponent in (-1000, 1000):
        scaled = oracle.solve(np.ldexp(costs[:20], exponent)).decisions
        np.testing.assert_array_equal(scaled, one[:20])
    values = Maximize(oracle).solve(-costs[:20])
    np.testing.assert_array_equal(values.decisions, one[:20])
    assert not oracle.solve(np.zeros((1, 36))).decisions.any()


def test_a_failure_of_highs_is_reported(monkeypatch) -> None:
    class Failing:
        def __init__(self, model):
            pass

        def solve(self, costs):
            raise SolverError("stopped")

    monkeypatch.setattr(diverse_matching, "_NODES", 0)
    monkeypatch.setattr(diverse_matching, "MixedIntegerProgram", Failing)
    rng = np.random.default_rng(0)
    oracle = DiverseMatching(rng.random((9, 8)) < 0.2, 0.3, 0.3)
    with pytest.raises(SolverError, match="DiverseMatching: instance"):
        oracle.solve(draw("negative", 30, 72))


def test_what_the_search_gives_up_is_still_exact(monkeypatch) -> None:
    rng = np.random.default_rng(6)
    oracle = DiverseMatching(rng.random((6, 5)) < 0.2, 0.3, 0.3)
    costs = draw("negative", 6, 30)
    expected = oracle.solve(costs)
    monkeypatch.setattr(diverse_matching, "_NODES", 0)
    found = oracle.solve(costs)
    np.testing.assert_allclose(found.objectives, expected.objectives, atol=1e-7)
    assert oracle.program().violation(found.decisions) < 1e-9


@pytest.mark.parametrize("shares", [(0.25, 0.25), (0.5, 0.5)])
def test_the_contract(shares: tuple[float, float]) -> None:
    same = np.random.default_rng(5).random((4, 5)) < 0.4
    check_oracle(DiverseMatching(same, *shares), n_instances=10)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[0, 2]],), r"same_field of shape \(1, 2\), expected zeros and ones"),
        (([0, 1],), r"same_field of shape \(2,\)"),
        ((np.zeros((0, 3)),), r"same_field of shape \(0, 3\)"),
        (([[0], [0, 1]],), "same_field is no matrix"),
        (([[0, 1]], -0.1), r"same_share=-0\.1, expected a number from 0 to 1"),
        (([[0, 1]], 0.1, 1.1), r"different_share=1\.1"),
        (([[0, 1]], "half"), "same_share=half, expected a number from 0 to 1"),
        (([[0, 1]], 0.1, None), "different_share=None"),
        (([[0, 1]], 0.6, 0.5), r"shares of 0\.6 and 0\.5, expected a sum of at most 1"),
    ],
)
def test_bad_parameters_are_named(arguments, words: str) -> None:
    with pytest.raises(InvalidInputError, match=f"DiverseMatching: .*{words}"):
        DiverseMatching(*arguments)
