"""MixedIntegerProgram against enumeration, scipy.optimize.milp and values known by hand."""

from __future__ import annotations

import copy
import itertools
import pickle
import threading

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

from dfl_solvers.exceptions import (
    InfeasibleError,
    InvalidInputError,
    SolverError,
    UnboundedError,
)
from dfl_solvers.oracle import Status
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.problems.mixed_integer_program import MixedIntegerProgram
from dfl_solvers.program import Program


def knapsack(rng, n_items, rows=2):
    weights = rng.uniform(1, 5, (rows, n_items))
    return Program(
        weights,
        np.full(rows, -np.inf),
        weights.sum(axis=1) / 2,
        np.zeros(n_items),
        np.ones(n_items),
        np.ones(n_items, dtype=bool),
    )


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_enumeration(seed):
    rng = np.random.default_rng(seed)
    program = knapsack(rng, 9)
    points = np.array(list(itertools.product([0, 1], repeat=9)))
    points = points[(points @ program.A.T <= program.row_upper).all(axis=1)]
    costs = rng.normal(size=(25, 9))
    solution = MixedIntegerProgram(program).solve(costs)
    np.testing.assert_allclose(solution.objectives, (costs @ points.T).min(axis=1), atol=1e-9)
    assert set(np.unique(solution.decisions)) <= {0.0, 1.0}
    assert program.violation(solution.decisions) < 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_mixed_variables_fixed_costs_and_map_agree_with_scipy(seed):
    rng = np.random.default_rng(seed)
    k, m, d = 10, 6, 3
    A = rng.normal(size=(m, k))
    inside = A @ rng.integers(0, 4, k)
    program = Program(
        A,
        inside - rng.uniform(0, 2, m),
        inside + rng.uniform(0, 2, m),
        np.zeros(k),
        np.full(k, 4.0),
        np.arange(k) < 6,
        rng.normal(size=k),
        sp.csr_array(rng.normal(size=(d, k))),
    )
    oracle = MixedIntegerProgram(program)
    costs = rng.normal(size=(8, d))
    solution = oracle.solve(costs)
    expected = [
        milp(
            c @ program.decision_map + program.fixed_costs,
            constraints=LinearConstraint(A, program.row_lower, program.row_upper),
            bounds=Bounds(0, 4),
            integrality=program.integrality,
            options={"mip_rel_gap": 0},
        ).fun
        for c in costs
    ]
    np.testing.assert_allclose(solution.objectives, expected, atol=1e-5)
    evaluated = oracle.evaluate(costs, solution.decisions)
    np.testing.assert_allclose(evaluated, solution.objectives, atol=1e-4)


def test_completion_keeps_integrality():
    # w = x0 + x1 with both binary; w = 0.5 is reached by the relaxation only
    program = Program(np.zeros((0, 2)), [], [], [0, 0], [1, 1], [True, True], [2, 5], [[1.0, 1.0]])
    oracle = MixedIntegerProgram(program)
    costs = np.full((2, 1), 10.0)
    np.testing.assert_allclose(oracle.evaluate(costs, [[1.0], [2.0]]), [12, 27])
    with pytest.raises(InvalidInputError, match="instance 1 is not attainable"):
        oracle.evaluate(costs, [[1.0], [0.5]])
    np.testing.assert_allclose(oracle.relax().evaluate(costs, [[1.0], [0.5]]), [12, 6])


def test_big_m_leaks_are_closed():
    # x <= 1e6 y: a binary within the solver's tolerance of 0 would allow x = 1
    program = Program(
        [[1.0, -1e6]], [-np.inf], [0.0], [0, 0], [1, 1], [False, True], fixed_costs=[0, 10]
    )
    solution = MixedIntegerProgram(program).solve([[-1.0, 0.0]])
    np.testing.assert_allclose(solution.decisions, [[0, 0]], atol=1e-12)
    np.testing.assert_allclose(solution.objectives, [0], atol=1e-12)


def test_relax_is_the_linear_program(rng):
    program = knapsack(rng, 8)
    relaxed = MixedIntegerProgram(program).relax()
    assert isinstance(relaxed, LinearProgram)
    costs = -rng.uniform(1, 2, (10, 8))
    gap = MixedIntegerProgram(program).solve(costs).objectives - relaxed.solve(costs).objectives
    assert gap.min() >= -1e-9
    assert gap.max() > 0.01


def hard(rng, n=60):
    """Multi-dimensional knapsacks with correlated values: hours of work for a general solver."""
    return knapsack(rng, n, rows=12)


def test_time_limit_with_a_decision_is_feasible_and_per_instance(rng):
    program = hard(rng)
    oracle = MixedIntegerProgram(program, time_limit=0.3)
    costs = -np.asarray(program.A.sum(axis=0))[None] * rng.uniform(0.95, 1.05, (3, 60))
    solution = oracle.solve(costs)
    assert (solution.status == Status.FEASIBLE).all()
    # each had its own time: the later ones are good as well
    assert program.violation(solution.decisions) < 1e-9
    assert (solution.objectives < 0.9 * oracle.relax().solve(costs).objectives).all()


def test_time_limit_without_a_decision_says_so(rng):
    # market split: feasibility itself is hard
    A = rng.integers(0, 100, (5, 40)).astype(float)
    half = np.floor(A.sum(axis=1) / 2)
    program = Program(A, half, half, np.zeros(40), np.ones(40), np.ones(40, dtype=bool))
    with pytest.raises(SolverError, match=r"instance 0: no feasible decision .* time_limit=0.2"):
        MixedIntegerProgram(program, time_limit=0.2).solve(rng.normal(size=(1, 40)))


def test_gap_is_respected(rng):
    program = knapsack(rng, 40, rows=3)
    costs = -rng.uniform(1, 2, (5, 40))
    exact = MixedIntegerProgram(program).solve(costs).objectives
    rough = MixedIntegerProgram(program, gap=0.05).solve(costs).objectives
    assert (rough >= exact - 1e-9).all()
    assert (rough <= 0.95 * exact).all()
    assert (rough > exact + 1e-9).any()


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"time_limit": 0.0}, "got time_limit=0.0, expected positive seconds"),
        ({"time_limit": float("nan")}, "time_limit"),
        ({"gap": -0.1}, "got gap=-0.1"),
    ],
)
def test_limits_are_checked(rng, limits, message):
    with pytest.raises(InvalidInputError, match=message):
        MixedIntegerProgram(knapsack(rng, 4), **limits)


def test_infeasible_only_in_integers():
    # 2 x = 1 has a fractional solution only
    program = Program([[2.0]], [1.0], [1.0], [0.0], [5.0], [True])
    with pytest.raises(InfeasibleError, match="instance 0"):
        MixedIntegerProgram(program).solve([[1.0]])
    np.testing.assert_allclose(MixedIntegerProgram(program).relax().solve([[1.0]]).decisions, 0.5)


def test_unbounded_and_infeasible_are_told_apart():
    free = Program([[1.0, -1.0]], [0], [1], [0, 0], [np.inf, np.inf], [True, True])
    oracle = MixedIntegerProgram(free)
    for _ in range(2):
        with pytest.raises(UnboundedError, match="instance 1"):
            oracle.solve([[1.0, 1.0], [-1.0, -1.0]])
        np.testing.assert_allclose(oracle.solve([[-1.0, 2.0]]).objectives, [-1])
    both = Program(
        [[1.0, -1.0, 0.0], [0.0, 0.0, 2.0]],
        [0, 1],
        [1, 1],
        [0, 0, 0],
        [np.inf, np.inf, 5],
        [True] * 3,
    )
    with pytest.raises(InfeasibleError):
        MixedIntegerProgram(both).solve([[-1.0, -1.0, 0.0]])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])  # noqa: S301
def test_copies_after_use_solve_alike(rng, duplicate):
    oracle = MixedIntegerProgram(knapsack(rng, 8), time_limit=60.0, gap=1e-6)
    costs = rng.normal(size=(4, 8))
    expected = oracle.solve(costs)
    again = duplicate(oracle)
    np.testing.assert_allclose(again.solve(costs).objectives, expected.objectives)
    assert again.parameters().keys() == {"model", "time_limit", "gap", "backend"}
    assert (again.time_limit, again.gap) == (60.0, 1e-6)


def test_two_threads_at_once(rng):
    oracle = MixedIntegerProgram(knapsack(rng, 15))
    batches = [rng.normal(size=(20, 15)) for _ in range(2)]
    expected = [MixedIntegerProgram(oracle.model).solve(costs).objectives for costs in batches]
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
