"""The base of all oracles, the wrappers, and the matrix form."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from dfl_solvers import (
    AbstractOracle,
    Box,
    Cached,
    Counting,
    FromCallable,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    Maximize,
    Parallel,
    Pool,
    Program,
    Simplex,
    Status,
    TopK,
    WithBackend,
    check_oracle,
    solving,
)
from dfl_solvers.exceptions import (
    InfeasibleError,
    InvalidInputError,
    OracleContractError,
    SolverError,
    UnboundedError,
)


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        (np.zeros(40), r"shape \(40,\), expected \(n, d\); pass one cost vector c as c\[None\]"),
        (np.zeros((2, 39)), "got 39 costs per instance, expected 40"),
        (np.zeros((1, 2, 40)), r"shape \(1, 2, 40\)"),
        (np.full((3, 40), np.inf), "got cost inf at instance 0, coordinate 0"),
        ([["a"] * 40], "cannot be read as an array of numbers"),
        (np.where(np.arange(80).reshape(2, 40) == 45, np.nan, 1.0), "instance 1, coordinate 5"),
    ],
)
def test_bad_costs_are_named(costs, words: str) -> None:
    with pytest.raises(InvalidInputError, match="GridShortestPath: .*" + words):
        GridShortestPath(5, 5).solve(costs)


def test_large_finite_costs_are_no_mistake() -> None:
    costs = np.full((4, 3), 1e300)
    costs[:, 1] = 1e299
    np.testing.assert_array_equal(Simplex().solve(costs).decisions[:, 1], 1)


@pytest.mark.parametrize(
    ("instance", "words"),
    [
        ({"wieghts": np.ones(2)}, "got instance data wieghts, but this oracle knows: mask"),
        ({"mask": np.ones((3, 4))}, r"'mask' of shape \(3, 4\), expected a leading dimension of 2"),
        ({"mask": True}, r"'mask' of shape \(\)"),
    ],
)
def test_bad_instance_data_are_named(instance, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        Box().solve(np.zeros((2, 4)), instance)


def test_evaluate_checks_shapes() -> None:
    with pytest.raises(InvalidInputError, match=r"decisions of shape \(1, 2\), expected \(1, 3\)"):
        Box().evaluate(np.zeros((1, 3)), np.zeros((1, 2)))


class Failing(AbstractOracle):
    """Report a status per instance."""

    def __init__(self, codes: list[Status]) -> None:
        self.codes = codes

    def _solve(self, costs, instance):
        return np.zeros_like(costs), np.array(self.codes, dtype=np.int8)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (Status.INFEASIBLE, InfeasibleError),
        (Status.UNBOUNDED, UnboundedError),
        (Status.FAILED, SolverError),
    ],
)
def test_failures_name_the_instance_and_what_happened(status: Status, error: type) -> None:
    codes = [Status.OPTIMAL, Status.FEASIBLE, status, status]
    with pytest.raises(error, match=rf"Failing: instance 2 \(and 1 more\): {status.message}"):
        Failing(codes).solve(np.zeros((4, 2)))
    good = Failing(codes[:2]).solve(np.zeros((2, 2)))
    assert list(good.status) == [Status.OPTIMAL, Status.FEASIBLE]


def test_maximize_and_counting() -> None:
    values = np.array([[1.0, 5.0, 2.0]])
    counted = Counting(Maximize(TopK(3, 1)))
    assert counted.solve(values).objectives == [5.0]
    assert counted.minimizing.solve(-values).objectives == [-5.0]
    assert (counted.counts.calls, counted.counts.instances) == (2, 2)
    assert (counted.sign, counted.n_costs) == (-1, 3)
    with pytest.raises(InvalidInputError, match="maximizes already"):
        Maximize(counted)
    with pytest.raises(AttributeError):
        _ = Counting(Box()).no_such_name


def test_counting_loses_nothing_between_threads() -> None:
    counted, costs = Counting(Box()), np.zeros((3, 2))
    threads = [
        threading.Thread(target=lambda: [counted.solve(costs) for _ in range(200)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (counted.counts.calls, counted.counts.instances) == (800, 2400)


def test_callables_are_called_row_by_row_with_their_data() -> None:
    oracle = FromCallable(lambda c, limit: np.where(c < limit, 1.0, 0.0), fields=("limit",))
    found = oracle.solve(np.array([[1.0, 3.0], [1.0, 3.0]]), {"limit": np.array([0.0, 2.0])})
    np.testing.assert_array_equal(found.decisions, [[0, 0], [1, 0]])
    with pytest.raises(InvalidInputError, match=r"instance 0: .* shape \(3,\), expected \(2,\)"):
        FromCallable(lambda c: np.zeros(3)).solve(np.zeros((1, 2)))
    with pytest.raises(InvalidInputError, match=r"instance 0: .*NaN"):
        FromCallable(lambda c: c * np.nan).solve(np.ones((1, 2)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"row_lower": [0.0, 0.0]}, r"row_lower of shape \(2,\), expected \(1,\)"),
        ({"upper": [1.0]}, r"upper of shape \(1,\), expected \(2,\)"),
        ({"lower": [0.0, 5.0]}, "variable 1 has lower 5.0 above upper 1.0"),
        ({"row_lower": [9.0]}, "row 0 has row_lower 9.0 above row_upper 1.0"),
        ({"A": [[1.0, np.nan]]}, "A holds NaN"),
        ({"upper": [1.0, np.nan]}, "upper is NaN at 1"),
        ({"lower": ["a", "b"]}, "lower is no vector of numbers"),
        ({"decision_map": np.ones((2, 3))}, "decision_map with 3 columns, expected 2"),
    ],
)
def test_programs_check_their_parts(changes: dict, words: str) -> None:
    parts = {
        "A": [[1.0, 1.0]],
        "row_lower": [1.0],
        "row_upper": [1.0],
        "lower": [0.0, 0.0],
        "upper": [1.0, 1.0],
    }
    with pytest.raises(InvalidInputError, match=words):
        Program(**(parts | changes))


def test_programs_relax_map_and_measure_violation() -> None:
    program = Program(
        [[1.0, 2.0]], [-np.inf], [2.0], [0, 0], [1, 1], [1, 1], [0.5, 0.0], [[1.0, 3.0]]
    )
    assert (program.n_variables, program.n_costs, program.identity) == (2, 1, False)
    np.testing.assert_array_equal(program.objective(np.array([[2.0]])), [[2.5, 6.0]])
    assert program.violation(np.array([1.0, 1.0])) == 1.0
    assert program.violation(np.array([0.5, 0.0])) == 0.5
    assert program.relax().violation(np.array([0.5, 0.0])) == 0.0
    assert not program.relax().integrality.any()


def test_the_checker_finds_what_is_wrong() -> None:
    def first(c: np.ndarray) -> np.ndarray:
        return np.eye(len(c))[0]

    class Lying(AbstractOracle):
        """Box, with a mistake of choice."""

        n_costs = 3

        def __init__(self, mistake: str) -> None:
            self.mistake = mistake

        def _solve(self, costs, instance):
            decisions = (costs < 0).astype(float)
            if self.mistake == "infeasible":
                decisions *= 2
            if self.mistake == "not alone":
                decisions *= len(costs) > 1
            if self.mistake == "overwrites":
                costs[:] = 0
            if self.mistake == "infinite":
                decisions[:] = np.nan
            return decisions, Status.OPTIMAL

        def program(self, instance=None):
            return Program(np.zeros((0, 3)), [], [], np.zeros(3), np.ones(3))

    with pytest.raises(OracleContractError, match="finite: instance 0"):
        check_oracle(Lying("infinite"))
    with pytest.raises(OracleContractError, match="general solver"):
        check_oracle(Lying("infeasible"))
    with pytest.raises(OracleContractError, match="alone"):
        check_oracle(Lying("not alone"))
    with pytest.raises(OracleContractError, match="untouched"):
        check_oracle(Lying("overwrites"))
    check_oracle(FromCallable(first, n_costs=1))
    with pytest.raises(InvalidInputError, match="pass costs of shape"):
        check_oracle(Box())
    check_oracle(Box(), np.random.default_rng(0).normal(size=(5, 4)))


def test_a_linear_program_answers_by_its_model() -> None:
    model = Program([[1.0, 1.0]], [1.0], [1.0], [0.0, 0.0], [1.0, 1.0])
    assert LinearProgram(model).program() is model


def test_whole_numbers_without_sign_and_foreign_bytes_are_read_right() -> None:
    values = np.array([[0, 2, 1]], np.uint8)
    for oracle in (Maximize(TopK(3, 1)), Cached(Maximize(TopK(3, 1)))):
        found = oracle.solve(values)
        np.testing.assert_array_equal(found.decisions, [[0, 1, 0]])
        np.testing.assert_array_equal(oracle.evaluate(values, found.decisions), [2])
    costs = np.random.default_rng(0).normal(size=(5, 12))
    for other in (costs.astype(">f8"), np.asfortranarray(costs), costs[:, ::-1][:, ::-1]):
        found = GridShortestPath(3, 3).solve(other)
        np.testing.assert_array_equal(
            found.decisions, GridShortestPath(3, 3).solve(costs).decisions
        )
    huge = GridShortestPath(2, 2).solve(np.full((1, 4), 1e200))
    assert huge.objectives[0] == 2e200


def test_the_oracle_that_solves_is_inside_all_that_hand_on() -> None:
    problem = Knapsack(np.array([[1.0, 2.0]]), np.array([2.0]))
    for around in (problem, Maximize(problem), Cached(Maximize(problem)), Parallel(problem),
                   Pool(Counting(Cached(problem)), 0.5), Maximize(Counting(problem))):  # fmt: skip
        assert solving(around) is problem
    # a relaxation is another problem
    relaxed = WithBackend(problem, relaxed=True)
    assert solving(Counting(relaxed)) is relaxed


def test_what_holds_an_oracle_but_changes_it_is_no_wrapper() -> None:
    class Shifted:
        """Another objective."""

        n_costs = 2

        def __init__(self, oracle) -> None:
            self.oracle = oracle

    around = Shifted(Box(2))
    assert solving(around) is around
