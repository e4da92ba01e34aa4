"""The compiled simplex method against HiGHS, optimality conditions and values known by hand."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls

from dfl_solvers.backends import simplex as backend
from dfl_solvers.backends.highs import HotProgram
from dfl_solvers.backends.simplex import SimplexProgram
from dfl_solvers.exceptions import InfeasibleError, InvalidInputError, UnboundedError
from dfl_solvers.kernels import set_threads
from dfl_solvers.oracle import Status
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.problems.shortest_path import GridShortestPath
from dfl_solvers.program import Program
from dfl_solvers.testing import check_oracle

INF = np.inf


@pytest.fixture
def alone(monkeypatch):
    """Forbid help: every answer must come from the compiled method, with its proof."""

    def refuse(self, costs, solution):
        raise AssertionError(f"HiGHS was asked: {solution.status}")

    monkeypatch.setattr(SimplexProgram, "_ask_highs", refuse)


def random_program(rng, bounded=True):
    """Any kind of rows and bounds around a point; half of them with small integers, so with ties"""
    k, m = int(rng.integers(1, 20)), int(rng.integers(0, 16))
    integer = rng.random() < 0.5

    def draw(size):
        return rng.integers(0, 3, size).astype(float) if integer else rng.uniform(0, 1, size)

    A = rng.integers(-3, 4, (m, k)).astype(float) if integer else rng.normal(size=(m, k))
    A *= rng.random((m, k)) < rng.choice([0.2, 0.5, 1.0])
    if m > 2:
        A[1] = A[0] * rng.choice([1.0, 2.0, -1.0])
    if k > 2:
        A[:, 1] = A[:, 0]
    point = draw(k) - 1
    lower, upper = point - draw(k), point + draw(k)
    fixed = rng.random(k) < rng.choice([0, 0.2])
    lower[fixed] = upper[fixed] = point[fixed]
    if not bounded:
        lower[rng.random(k) < 0.3], upper[rng.random(k) < 0.3] = -INF, INF
    middle = A @ point
    row_lower, row_upper = middle - draw(m), middle + draw(m)
    equal = rng.random(m) < rng.choice([0, 0.3, 0.8])
    row_lower[equal] = row_upper[equal] = middle[equal]
    row_lower[rng.random(m) < 0.3], row_upper[rng.random(m) < 0.3] = -INF, INF
    return Program(A, row_lower, row_upper, lower, upper)


def random_costs(rng, program, n=12):
    costs = rng.normal(size=(n, program.n_costs))
    return np.round(2 * costs) if rng.random() < 0.5 else costs


def assert_optimal(program, costs, x):
    """Check feasibility, and that costs are a conic combination of the tight constraints."""
    assert program.violation(x) < 1e-8
    A = np.vstack([program.A.toarray(), np.eye(program.n_variables)])
    lower = np.concatenate([program.row_lower, program.lower])
    upper = np.concatenate([program.row_upper, program.upper])
    for c, point in zip(costs, x, strict=True):
        at = A @ point
        tight = np.vstack([A[at <= lower + 1e-8], -A[at >= upper - 1e-8]])
        residual = nnls(tight.T, c)[1] if len(tight) else np.linalg.norm(c)
        assert residual < 1e-7 * (1 + np.abs(c).max())


def dense(rng, m=12, k=20):
    A = rng.normal(size=(m, k))
    return Program(A, np.full(m, -INF), A @ np.full(k, 0.5) + 0.5, np.zeros(k), np.ones(k))


def transport(supply, demand):
    a, b = len(supply), len(demand)
    A = np.vstack([np.kron(np.eye(a), np.ones(b)), np.kron(np.ones(a), np.eye(b))])
    amounts = np.concatenate([supply, demand])
    return Program(A, amounts, amounts, np.zeros(a * b), np.full(a * b, INF))


def grid(rows=5, columns=5):
    return GridShortestPath(rows, columns).program().relax()


@pytest.mark.parametrize("seed", range(10))
def test_bounded_programs_agree_with_highs_and_are_proved(seed, alone):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        program = random_program(rng)
        costs = random_costs(rng, program)
        solution = SimplexProgram(program).solve(costs)
        expected = HotProgram(program).solve(costs)
        assert (solution.status == Status.OPTIMAL).all()
        np.testing.assert_allclose(solution.objectives, expected.objectives, atol=1e-7)
        assert_optimal(program, costs, solution.decisions)


@pytest.mark.parametrize("seed", range(5))
def test_free_variables_and_rays_agree_with_highs(seed):
    rng = np.random.default_rng(100 + seed)
    seen = set()
    for _ in range(30):
        program = random_program(rng, bounded=False)
        costs = random_costs(rng, program)
        solution = SimplexProgram(program).solve(costs)
        expected = HotProgram(program).solve(costs)
        known = expected.status != Status.FAILED
        np.testing.assert_array_equal(solution.status[known], expected.status[known])
        best = solution.status == Status.OPTIMAL
        both = best & known
        np.testing.assert_allclose(solution.objectives[both], expected.objectives[both], atol=1e-7)
        if best.any():
            assert_optimal(program, costs[best], solution.decisions[best])
        seen |= set(solution.status.tolist())
    assert seen == {Status.OPTIMAL, Status.UNBOUNDED}


@pytest.mark.parametrize(
    "program",
    [
        transport(np.full(6, 4.0), np.full(6, 4.0)),
        transport(np.array([7.0, 3.0, 5.0]), np.array([4.0, 4.0, 4.0, 3.0])),
        transport(np.ones(7), np.ones(7)),
        grid(),
        grid(8, 3),
    ],
    ids=["transport", "transport-2", "assignment", "grid", "grid-8x3"],
)
@pytest.mark.parametrize("integer", [False, True])
def test_degenerate_programs_have_exact_vertices(program, integer, rng, alone):
    costs = rng.uniform(0, 1, size=(60, program.n_costs))
    costs = np.round(4 * costs) if integer else costs
    solution = SimplexProgram(program).solve(costs)
    expected = HotProgram(program).solve(costs).objectives
    np.testing.assert_allclose(solution.objectives, expected, atol=1e-9)
    # to the last bit
    np.testing.assert_array_equal(solution.decisions, np.round(solution.decisions))
    assert program.violation(solution.decisions) == 0
    assert_optimal(program, costs[:10], solution.decisions[:10])


def at_most_zero(A, costs, extra, limit):
    A = np.vstack([A, extra])
    upper = np.append(np.zeros(len(A) - 1), limit)
    k = A.shape[1]
    return Program(A, np.full(len(A), -INF), upper, np.zeros(k), np.full(k, INF)), costs


CYCLES = {
    # E. M. L. Beale 1955
    "beale": (
        at_most_zero(
            [[0.25, -8, -1, 9], [0.5, -12, -0.5, 3]], [-0.75, 20, -0.5, 6], [0, 0, 1, 0], 1.0
        ),
        -1.25,
    ),
    # H. W. Kuhn, with a bound
    "kuhn": (
        at_most_zero(
            [[-2, -9, 1, 9], [1 / 3, 1, -1 / 3, -2]], [-2, -3, 1, 12], [2, 3, -1, -12], 2.0
        ),
        -2.0,
    ),
    # K. T. Marshall, J. W. Suurballe 1969
    "marshall-suurballe": (
        at_most_zero(
            [[0.5, -5.5, -2.5, 9], [0.5, -1.5, -0.5, 1]], [-10, 57, 9, 24], [1, 0, 0, 0], 1.0
        ),
        -1.0,
    ),
}


@pytest.mark.parametrize("name", CYCLES)
@pytest.mark.parametrize("n", [1, 40])
def test_examples_that_make_a_simplex_method_cycle(name, n, alone):
    (program, costs), best = CYCLES[name]
    solution = SimplexProgram(program).solve(np.tile(costs, (n, 1)))
    np.testing.assert_allclose(solution.objectives, best, atol=1e-12)


def test_the_cube_of_klee_and_minty(alone):
    k = 7
    A = np.eye(k) + 2 * np.tril(2.0 ** np.subtract.outer(np.arange(k), np.arange(k)), -1)
    upper = 5.0 ** np.arange(1, k + 1)
    program = Program(A, np.full(k, -INF), upper, np.zeros(k), np.full(k, INF))
    costs = -(2.0 ** np.arange(k)[::-1])[None]
    assert SimplexProgram(program).solve(costs).objectives[0] == -(5.0**k)


@pytest.mark.parametrize("seed", range(6))
def test_units_of_rows_and_variables_do_not_matter(seed, alone):
    rng = np.random.default_rng(seed)
    program = random_program(rng)
    row = 10.0 ** rng.integers(-4, 5, program.A.shape[0])
    column = 10.0 ** rng.integers(-4, 5, program.n_variables)
    scaled = Program(
        program.A.toarray() * row[:, None] / column,
        program.row_lower * row,
        program.row_upper * row,
        program.lower * column,
        program.upper * column,
    )
    costs = random_costs(rng, program)
    found = SimplexProgram(scaled).solve(costs / column)
    expected = HotProgram(program).solve(costs)
    np.testing.assert_allclose(found.objectives, expected.objectives, atol=1e-7)


@pytest.mark.parametrize("factor", [1e-300, 1e-6, 1e6, 1e300])
def test_the_unit_of_costs_does_not_matter(factor, rng, alone):
    program = dense(rng)
    costs = rng.normal(size=(40, 20))
    expected = SimplexProgram(program).solve(costs)
    found = SimplexProgram(program).solve(factor * costs)
    np.testing.assert_allclose(found.decisions, expected.decisions, atol=1e-12)


def test_big_and_tiny_bounds(rng, alone):
    program = dense(rng)
    costs = rng.normal(size=(20, 20))
    expected = SimplexProgram(program).solve(costs).objectives
    for unit in (1e-8, 1e8):
        rows = program.row_upper * unit
        scaled = Program(program.A, program.row_lower, rows, program.lower, program.upper * unit)
        found = SimplexProgram(scaled).solve(costs).objectives
        np.testing.assert_allclose(found, expected * unit, rtol=1e-9)


def test_infeasible_and_unbounded_name_the_instance(rng):
    never = Program([[1.0, 1.0]], [3.0], [4.0], [0, 0], [1, 1])
    with pytest.raises(InfeasibleError, match=r"instance 0 \(and 2 more\)"):
        LinearProgram(never, backend="simplex").solve(np.ones((3, 2)))
    cone = LinearProgram(Program([[1.0, -1.0]], [0.0], [1.0], [0, 0], [INF, INF]))
    costs = np.abs(rng.normal(size=(40, 2)))
    costs[17] = [-1.0, 0.5]
    costs[30] = [-2.0, 0.5]
    with pytest.raises(UnboundedError, match=r"instance 17 \(and 1 more\)"):
        cone.solve(costs)


def test_a_line_is_unbounded_unless_it_costs_nothing():
    # x0 + x1 is bounded, x0 - x1 is not
    program = Program([[1.0, 1.0]], [-1.0], [2.0], [-INF, -INF], [INF, INF])
    solution = SimplexProgram(program).solve(np.array([[1.0, 1.0], [1.0, -1.0], [0.0, 0.0]]))
    assert solution.status.tolist() == [Status.OPTIMAL, Status.UNBOUNDED, Status.OPTIMAL]
    np.testing.assert_allclose(solution.objectives[[0, 2]], [-1, 0])


def test_what_has_no_proof_goes_to_highs(monkeypatch, rng):
    program = dense(rng)
    costs = rng.normal(size=(30, 20))
    expected = HotProgram(program).solve(costs).objectives
    compiled = backend.run

    def forgetful(kernel, n, *arrays, serial):
        compiled(kernel, n, *arrays, serial=serial)
        x, status = arrays[-2:]
        x[::3], status[::3] = -7.0, Status.FAILED
        status[1::3] = Status.UNBOUNDED

    monkeypatch.setattr(backend, "run", forgetful)
    solution = SimplexProgram(program).solve(costs)
    np.testing.assert_allclose(solution.objectives, expected, atol=1e-9)
    assert (solution.status == Status.OPTIMAL).all()


def test_too_few_steps_are_no_answer(monkeypatch, rng):
    program = dense(rng)
    costs = rng.normal(size=(5, 20))
    asked = []
    ask = SimplexProgram._ask_highs

    def spy(self, costs, solution):
        asked.append(solution.status.tolist())
        ask(self, costs, solution)

    monkeypatch.setattr(SimplexProgram, "_ask_highs", spy)
    monkeypatch.setattr(backend, "_STEPS", (0, 2))
    solution = SimplexProgram(program).solve(costs)
    assert asked == [[Status.FAILED] * 5]
    np.testing.assert_allclose(solution.objectives, HotProgram(program).solve(costs).objectives)


def test_programs_that_a_dense_dictionary_cannot_hold_go_to_highs(rng):
    # a basis of numbers that differ by rounding only
    A = np.ones((3, 3)) + 1e-15 * np.arange(9).reshape(3, 3)
    program = Program(A, np.full(3, -INF), np.full(3, 1.0), np.zeros(3), np.full(3, 2.0))
    costs = rng.normal(size=(10, 3))
    expected = HotProgram(program).solve(costs).objectives
    np.testing.assert_allclose(SimplexProgram(program).solve(costs).objectives, expected, atol=1e-9)


def test_threads_batches_and_history_do_not_matter(rng):
    program = transport(np.full(5, 4.0), np.full(5, 4.0))
    hot = SimplexProgram(program)
    costs = rng.integers(0, 4, size=(1300, 25)).astype(float)
    try:
        set_threads(1)
        one = hot.solve(costs).decisions
        hot.solve(costs[:7] - 2)
        set_threads(3)
        three = hot.solve(costs).decisions
    finally:
        set_threads(None)
    np.testing.assert_array_equal(one, three)
    for other in (copy.deepcopy(hot), pickle.loads(pickle.dumps(hot))):  # noqa: S301
        np.testing.assert_array_equal(other.solve(costs).decisions, one)
    alone = [hot.solve(costs[i : i + 1]).objectives[0] for i in range(40)]
    np.testing.assert_allclose(alone, np.vecdot(costs, one)[:40], atol=1e-9)


def test_any_layout_of_costs(rng):
    hot = SimplexProgram(dense(rng))
    costs = rng.normal(size=(20, 20))
    expected = hot.solve(costs).decisions
    for same in (np.asfortranarray(costs), np.repeat(costs, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(hot.solve(same).decisions, expected)


@pytest.mark.parametrize("common", [0.0, 3.0])
def test_both_starts_are_right(common, rng, alone):
    # costs with much in common are near the optimum of their mean, others need not be
    program = dense(rng)
    costs = rng.normal(size=(100, 20)) - common * rng.uniform(size=20)
    solution = SimplexProgram(program).solve(costs)
    expected = HotProgram(program).solve(costs).objectives
    np.testing.assert_allclose(solution.objectives, expected, atol=1e-8)


def test_a_start_without_optimum_for_the_mean():
    # the mean has a ray; only the message tells
    program = Program(np.zeros((0, 2)), [], [], [0, 0], [INF, INF])
    costs = np.ones((40, 2))
    costs[5] = -1000.0
    with pytest.raises(UnboundedError, match="instance 5:"):
        LinearProgram(program).solve(costs)


@pytest.mark.parametrize("k", [1, 4])
def test_nothing_to_choose(k):
    # all variables are fixed, and the row with them
    program = Program(np.ones((2, k)), [k, k], [k, k + 1], np.ones(k), np.ones(k))
    solution = SimplexProgram(program).solve(np.arange(2 * k, dtype=float).reshape(2, k))
    np.testing.assert_array_equal(solution.decisions, 1)


def test_empty_batches_and_empty_programs():
    assert LinearProgram(grid()).solve(np.zeros((0, 40))).decisions.shape == (0, 40)
    empty = SimplexProgram(Program(np.zeros((0, 0)), [], [], [], []))
    assert empty.solve(np.zeros((2, 0))).objectives.tolist() == [0, 0]
    with pytest.raises(InfeasibleError):
        LinearProgram(Program(np.zeros((1, 1)), [1.0], [1.0], [0.0], [1.0])).solve([[1.0]])


def test_fixed_costs_and_a_decision_map(rng, alone):
    plain = dense(rng)
    fixed, decision_map = rng.normal(size=20), sp.csr_array(rng.normal(size=(6, 20)))
    program = Program(
        plain.A, plain.row_lower, plain.row_upper, plain.lower, plain.upper, None, fixed,
        decision_map,
    )  # fmt: skip
    costs = rng.normal(size=(30, 6))
    oracle, general = LinearProgram(program), LinearProgram(program, backend="highs")
    found, expected = oracle.solve(costs), general.solve(costs)
    np.testing.assert_allclose(found.objectives, expected.objectives, atol=1e-9)
    np.testing.assert_allclose(found.decisions, expected.decisions, atol=1e-9)
    np.testing.assert_allclose(oracle.evaluate(costs, found.decisions), found.objectives, atol=1e-6)


def test_the_choice_of_the_backend(rng):
    program = dense(rng)
    assert isinstance(LinearProgram(program)._hot, SimplexProgram)
    assert isinstance(LinearProgram(program, backend="highs")._hot, HotProgram)
    large = Program(sp.eye_array(600), np.zeros(600), np.ones(600), np.zeros(600), np.ones(600))
    assert isinstance(LinearProgram(large)._hot, HotProgram)
    forced = LinearProgram(large, backend="simplex")
    assert isinstance(forced._hot, SimplexProgram)
    assert forced.parameters() == {"model": large, "backend": "simplex"}
    assert repr(forced).endswith("backend='simplex')")
    costs = rng.normal(size=(2, 600))
    np.testing.assert_array_equal(forced.solve(costs).decisions, costs < 0)
    with pytest.raises(InvalidInputError, match="got backend 'dual', expected one of 'auto', 'si"):
        LinearProgram(program, backend="dual")


@pytest.mark.parametrize(
    "program",
    [
        dense(np.random.default_rng(0)),
        grid(),
        transport(np.array([3.0, 4.0]), np.array([2.0, 2.0, 3.0])),
    ],
    ids=["dense", "grid", "transport"],
)
def test_the_contract(program, rng):
    check_oracle(LinearProgram(program), rng.uniform(-0.2, 1, size=(40, program.n_costs)))
