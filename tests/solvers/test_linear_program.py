"""LinearProgram against scipy.optimize.linprog and values known by hand."""

from __future__ import annotations

import copy
import os
import pickle
import threading

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog

from dfl_solvers.exceptions import InfeasibleError, InvalidInputError, UnboundedError
from dfl_solvers.oracle import Status
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.program import Program


def random_program(rng, k=12, m=7, d=None):
    """Rows around a known interior point, so that the program is feasible; bounded by its box."""
    A = rng.normal(size=(m, k)) * (rng.random((m, k)) < 0.6)
    middle = A @ rng.uniform(0.2, 0.8, k)
    row_lower = np.where(rng.random(m) < 0.5, -np.inf, middle - 0.3)
    row_upper = middle + 0.2
    row_lower[0] = row_upper[0] = middle[0]
    decision_map = None if d is None else sp.csr_array(rng.normal(size=(d, k)))
    fixed = None if d is None else rng.normal(size=k)
    return Program(A, row_lower, row_upper, np.zeros(k), np.ones(k), None, fixed, decision_map)


def reference(program, costs):
    """Optimal objective by scipy."""
    A = program.A.toarray()
    upper, lower = np.isfinite(program.row_upper), np.isfinite(program.row_lower)
    result = linprog(
        costs @ program.decision_map + program.fixed_costs,
        np.vstack([A[upper], -A[lower]]),
        np.concatenate([program.row_upper[upper], -program.row_lower[lower]]),
        bounds=np.column_stack([program.lower, program.upper]),
    )
    assert result.status == 0
    return result.fun


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_scipy(seed):
    rng = np.random.default_rng(seed)
    program = random_program(rng)
    oracle = LinearProgram(program)
    costs = rng.normal(size=(40, 12))
    solution = oracle.solve(costs)
    expected = [reference(program, c) for c in costs]
    np.testing.assert_allclose(solution.objectives, expected, atol=1e-9)
    np.testing.assert_allclose(oracle.evaluate(costs, solution.decisions), expected, atol=1e-9)
    assert program.violation(solution.decisions) < 1e-7
    assert (solution.status == Status.OPTIMAL).all()


@pytest.mark.parametrize("seed", range(4))
def test_fixed_costs_and_decision_map(seed):
    rng = np.random.default_rng(seed)
    program = random_program(rng, d=4)
    oracle = LinearProgram(program)
    assert not oracle.linear_objective
    assert oracle.n_costs == 4
    costs = rng.normal(size=(20, 4))
    solution = oracle.solve(costs)
    expected = [reference(program, c) for c in costs]
    np.testing.assert_allclose(solution.objectives, expected, atol=1e-9)
    # at an optimum, the cheapest completion is the one found
    np.testing.assert_allclose(oracle.evaluate(costs, solution.decisions), expected, atol=1e-6)
    # other costs on the same decisions cannot do better than their own optimum
    other = oracle.evaluate(np.roll(costs, 1, axis=0), solution.decisions)
    assert (other >= np.roll(expected, 1) - 1e-7).all()


def test_fixed_costs_with_the_identity():
    program = Program([[1.0, 1.0]], [1.0], [1.0], [0.0, 0.0], [1.0, 1.0], fixed_costs=[5.0, 1.0])
    oracle = LinearProgram(program)
    costs = np.array([[1.0, 2.0], [1.0, 6.0]])
    solution = oracle.solve(costs)
    np.testing.assert_allclose(solution.decisions, [[0, 1], [1, 0]])
    np.testing.assert_allclose(solution.objectives, [3, 6])
    half = np.full((2, 2), 0.5)
    np.testing.assert_allclose(oracle.evaluate(costs, half), [4.5, 6.5])


def test_completion_is_the_cheapest_and_refuses_what_cannot_be():
    # the decision is x0 + x1; x1 costs 3 more than x0, which stops at 1
    program = Program(
        np.zeros((0, 2)), [], [], [0, 0], [1, 1], fixed_costs=[2, 5], decision_map=[[1.0, 1.0]]
    )
    oracle = LinearProgram(program)
    costs = np.full((3, 1), 10.0)
    decisions = np.array([[0.5], [1.0], [1.5]])
    np.testing.assert_allclose(oracle.evaluate(costs, decisions), [6, 12, 19.5])
    with pytest.raises(InvalidInputError, match="instance 1 is not attainable"):
        oracle.evaluate(costs, np.array([[0.5], [2.5], [1.0]]))
    np.testing.assert_allclose(oracle.evaluate(costs, decisions), [6, 12, 19.5])


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e6, 1e12])
def test_decisions_do_not_depend_on_the_unit_of_the_costs(scale):
    rng = np.random.default_rng(5)
    oracle = LinearProgram(random_program(rng))
    costs = rng.normal(size=(30, 12))
    expected = oracle.solve(costs)
    scaled = LinearProgram(oracle.model).solve(scale * costs)
    np.testing.assert_allclose(scaled.objectives, scale * expected.objectives, rtol=1e-9)


def test_zero_costs_give_a_feasible_decision(rng):
    program = random_program(rng)
    solution = LinearProgram(program).solve(np.zeros((2, 12)))
    assert program.violation(solution.decisions) < 1e-7
    np.testing.assert_array_equal(solution.objectives, 0)


def test_integers_are_refused_by_name():
    program = Program([[1.0, 1.0]], [1.0], [1.0], [0, 0], [1, 1], [False, True])
    with pytest.raises(InvalidInputError, match=r"variable 1 .*MixedIntegerProgram.*relax\(\)"):
        LinearProgram(program)
    np.testing.assert_allclose(LinearProgram(program.relax()).solve([[0, 1]]).decisions, [[1, 0]])
    with pytest.raises(InvalidInputError, match="got a model of type ndarray, expected a Program"):
        LinearProgram(np.eye(2))


def test_infeasible_names_the_first_instance():
    oracle = LinearProgram(Program([[1.0, 1.0]], [3.0], [4.0], [0, 0], [1, 1]))
    for _ in range(2):
        with pytest.raises(InfeasibleError, match=r"LinearProgram: instance 0 \(and 1 more\)"):
            oracle.solve(np.ones((2, 2)))


def test_unbounded_names_its_instance_and_leaves_the_next_solves_right():
    oracle = LinearProgram(Program([[1.0, -1.0]], [0.0], [1.0], [0, 0], [np.inf, np.inf]))
    good = np.array([[1.0, 1.0], [-1.0, 2.0]])
    for _ in range(2):
        with pytest.raises(UnboundedError, match="instance 2"):
            oracle.solve(np.vstack([good, [[-1.0, 0.5]]]))
        np.testing.assert_allclose(oracle.solve(good).objectives, [0, -1], atol=1e-12)


def test_infeasible_and_unbounded_directions_at_once_is_infeasible():
    A = [[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]
    oracle = LinearProgram(Program(A, [0, 2], [1, 3], [0, 0, 0], [np.inf, np.inf, 1]))
    with pytest.raises(InfeasibleError):
        oracle.solve(np.array([[-1.0, -1.0, 0.0]]))


def test_rows_of_a_batch_do_not_influence_one_another(rng):
    oracle = LinearProgram(random_program(rng))
    costs = rng.normal(size=(30, 12))
    together = oracle.solve(costs)
    order = rng.permutation(30)
    np.testing.assert_allclose(oracle.solve(costs[order]).decisions, together.decisions[order])


def test_wrong_width_names_both(rng):
    oracle = LinearProgram(random_program(rng))
    with pytest.raises(InvalidInputError, match="got 5 costs per instance, expected 12"):
        oracle.solve(np.ones((2, 5)))


def test_program_without_rows_or_variables():
    no_rows = LinearProgram(Program(np.zeros((0, 2)), [], [], [-1, 0], [2, 3]))
    np.testing.assert_allclose(no_rows.solve([[1.0, -1.0]]).decisions, [[-1, 3]])
    empty = LinearProgram(Program(np.zeros((0, 0)), [], [], [], []))
    assert empty.solve(np.zeros((2, 0))).objectives.tolist() == [0, 0]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])  # noqa: S301
def test_copies_after_use_solve_alike(rng, duplicate):
    oracle = LinearProgram(random_program(rng, d=4))
    costs = rng.normal(size=(10, 4))
    expected = oracle.solve(costs)
    oracle.evaluate(costs, expected.decisions)
    again = duplicate(oracle).solve(costs)
    np.testing.assert_allclose(again.objectives, expected.objectives, atol=1e-12)
    assert "LinearProgram(model=<Program: " in repr(oracle)


def test_two_threads_at_once(rng):
    oracle = LinearProgram(random_program(rng, k=40, m=20))
    batches = [rng.normal(size=(150, 40)) for _ in range(2)]
    expected = [LinearProgram(oracle.model).solve(costs).objectives for costs in batches]
    found = [None, None]

    def work(i):
        found[i] = oracle.solve(batches[i]).objectives

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(2):
        np.testing.assert_allclose(found[i], expected[i], atol=1e-9)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_use_after_fork(rng):
    oracle = LinearProgram(random_program(rng))
    costs = rng.normal(size=(20, 12))
    expected = oracle.solve(costs).objectives
    child = os.fork()
    if child == 0:
        try:
            same = np.allclose(oracle.solve(costs).objectives, expected, atol=1e-9)
            os._exit(0 if same else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
