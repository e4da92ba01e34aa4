"""General back-ends behind ``backend=``: the same answers, refusals and limits from each."""

from __future__ import annotations

import copy
import itertools
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog

from dfl_solvers import (
    Assignment,
    FromCallable,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    Maximize,
    MixedIntegerProgram,
    Newsvendor,
    Oracle,
    Portfolio,
    Program,
    ShortestPath,
    TopK,
    WithBackend,
)
from dfl_solvers.backends import gurobi as gurobi_backend
from dfl_solvers.backends.highs import HighsModel
from dfl_solvers.backends.hot_program import HotProgram
from dfl_solvers.exceptions import (
    InfeasibleError,
    InvalidInputError,
    LicenseError,
    MissingDependencyError,
    SolverError,
    UnboundedError,
    UnsupportedError,
)
from dfl_solvers.oracle import Status

for package in ("gurobipy", "ortools"):
    pytest.importorskip(package)

INF = np.inf
SOLVERS = Path(__file__).parents[2] / "solvers"
linear = pytest.mark.parametrize("backend", ["highs", "simplex", "clarabel", "gurobi", "ortools"])
mixed = pytest.mark.parametrize("backend", ["highs", "gurobi", "ortools"])
# an interior point stops a little before the vertex
SLACK = {"clarabel": 1e-6}


def random_program(rng: np.random.Generator, k: int = 10, m: int = 7, **parts: Any) -> Program:
    """Rows of every kind around a point, variables bounded on one or two sides or not at all."""
    A = rng.normal(size=(m, k)) * (rng.uniform(size=(m, k)) < 0.7)
    inside = rng.integers(0, 3, k).astype(float)
    center = A @ inside
    width = rng.uniform(0, 2, (2, m))
    kind = np.arange(m) % 4
    row_lower = np.where(kind == 1, -INF, np.where(kind == 0, center, center - width[0]))
    row_upper = np.where(kind == 2, INF, np.where(kind == 0, center, center + width[1]))
    # one row bounds all variables together, so that every cost has an optimum
    A = np.vstack([A, np.ones(k), -np.ones(k)])
    return Program(
        A,
        [*row_lower, -INF, -INF],
        [*row_upper, 3.0 * k, 3.0 * k],
        np.full(k, -1.0),
        np.where(np.arange(k) % 3 == 0, 4.0, INF),
        **parts,
    )


def reference(program: Program, costs: np.ndarray) -> float:
    """Solve by SciPy."""
    A = program.A.toarray()
    up, low = np.isfinite(program.row_upper), np.isfinite(program.row_lower)
    found = linprog(
        costs @ program.decision_map + program.fixed_costs,
        A_ub=np.vstack([A[up], -A[low]]),
        b_ub=np.concatenate([program.row_upper[up], -program.row_lower[low]]),
        bounds=np.column_stack([program.lower, program.upper]),
    )
    assert found.status == 0
    return float(found.fun)


def knapsack(rng: np.random.Generator, n: int, rows: int) -> Program:
    weights = rng.uniform(1, 5, (rows, n))
    most = weights.sum(axis=1) / 2
    return Program(weights, np.full(rows, -INF), most, np.zeros(n), np.ones(n), np.ones(n))


@linear
@pytest.mark.parametrize("seed", range(3))
def test_linear_programs_agree_with_scipy(backend: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = random_program(rng)
    oracle, costs = LinearProgram(program, backend), rng.normal(size=(12, 10))
    solution = oracle.solve(costs)
    expected = [reference(program, c) for c in costs]
    slack = SLACK.get(backend, 1e-8)
    np.testing.assert_allclose(solution.objectives, expected, rtol=slack, atol=slack)
    assert program.violation(solution.decisions) < slack * 100
    assert (solution.status == Status.OPTIMAL).all()


@linear
def test_fixed_costs_and_a_decision_map(backend: Any, rng: np.random.Generator) -> None:
    program = random_program(
        rng, fixed_costs=rng.normal(size=10), decision_map=sp.csr_array(rng.normal(size=(3, 10)))
    )
    oracle, costs = LinearProgram(program, backend), rng.normal(size=(8, 3))
    solution = oracle.solve(costs)
    slack = SLACK.get(backend, 1e-7)
    np.testing.assert_allclose(
        solution.objectives, [reference(program, c) for c in costs], rtol=slack, atol=slack
    )
    evaluated = LinearProgram(program).evaluate(costs, solution.decisions)
    np.testing.assert_allclose(evaluated, solution.objectives, atol=1e-4)


@mixed
@pytest.mark.parametrize("seed", range(2))
def test_mixed_integer_programs_agree_with_enumeration(backend: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = knapsack(rng, 9, 2)
    points = np.array(list(itertools.product([0, 1], repeat=9)))
    costs = rng.normal(size=(10, 9))
    capacities = program.row_upper * rng.uniform(0.5, 1.2, (10, 2))
    oracle = MixedIntegerProgram(program, backend=backend)
    inside = (points @ program.A.T <= program.row_upper).all(axis=1)
    solution = oracle.solve(costs)
    expected = (costs @ points[inside].T).min(axis=1)
    np.testing.assert_allclose(solution.objectives, expected, atol=1e-9)
    assert set(np.unique(solution.decisions)) <= {0.0, 1.0}
    assert program.violation(solution.decisions) < 1e-9
    varied = oracle.solve(costs, {"row_upper": capacities})
    for i in range(10):
        fits = (points @ program.A.T <= capacities[i]).all(axis=1)
        assert varied.objectives[i] == pytest.approx((points[fits] @ costs[i]).min())
    np.testing.assert_allclose(oracle.solve(costs).objectives, expected, atol=1e-9)


@mixed
def test_integers_and_continuous_variables_together(backend: Any, rng: np.random.Generator) -> None:
    k = 8
    program = Program(
        A := rng.normal(size=(5, k)),
        A @ np.ones(k) - 1,
        A @ np.ones(k) + 1,
        np.zeros(k),
        np.full(k, 2.0),
        np.arange(k) < 3,
        rng.normal(size=k),
        sp.csr_array(rng.normal(size=(3, k))),
    )
    costs = rng.normal(size=(3, 3))
    expected = []
    for c in costs:
        best = INF
        for whole in itertools.product(range(3), repeat=3):
            lower, upper = np.zeros(k), np.full(k, 2.0)
            lower[:3] = upper[:3] = whole
            found = linprog(
                c @ program.decision_map + program.fixed_costs,
                A_ub=np.vstack([A, -A]),
                b_ub=np.concatenate([program.row_upper, -program.row_lower]),
                bounds=np.column_stack([lower, upper]),
            )
            best = min(best, found.fun if found.status == 0 else INF)
        expected.append(best)
    solution = MixedIntegerProgram(program, backend=backend).solve(costs)
    np.testing.assert_allclose(solution.objectives, expected, atol=1e-6)


@mixed
def test_big_m_leaks_are_closed(backend: Any) -> None:
    # x <= 1e6 y: a binary within the solver's tolerance of 0 would allow x = 1
    program = Program(
        [[1.0, -1e6]], [-INF], [0.0], [0, 0], [1, 1], [False, True], fixed_costs=[0, 10]
    )
    solution = MixedIntegerProgram(program, backend=backend).solve([[-1.0, 0.0]])
    np.testing.assert_allclose(solution.decisions, [[0, 0]], atol=1e-12)


# what differs by instance


@linear
def test_bounds_that_differ_by_instance(backend: Any, rng: np.random.Generator) -> None:
    program, n = random_program(rng), 12
    costs, m = rng.normal(size=(n, 10)), len(program.row_lower)
    # bounds come and go: rows change their kind, and variables are fixed
    least = np.where(rng.uniform(size=(n, m)) < 0.3, -INF, program.row_lower)
    least[:, -2:] = -INF
    upper = np.where(rng.uniform(size=(n, 10)) < 0.3, 4.0, program.upper)
    lower = np.where(rng.uniform(size=(n, 10)) < 0.3, -2.0, program.lower)
    oracle = LinearProgram(program, backend)
    plain = oracle.solve(costs).objectives
    slack = SLACK.get(backend, 1e-8)
    for instance in (
        {"row_lower": least, "lower": lower, "upper": upper},
        {"row_upper": program.row_upper + rng.uniform(0, 1, (n, m))},
    ):
        solution = oracle.solve(costs, instance)
        for i in range(n):
            own = oracle.program({name: value[i] for name, value in instance.items()})
            expected = reference(own, costs[i])
            assert solution.objectives[i] == pytest.approx(expected, rel=slack, abs=slack)
            assert own.violation(solution.decisions[i]) < 100 * slack
        # afterwards the model has its own bounds again
        np.testing.assert_allclose(oracle.solve(costs).objectives, plain, rtol=slack, atol=slack)


@linear
def test_an_infeasible_instance_is_named(backend: Any) -> None:
    oracle = LinearProgram(Program([[1.0, 1.0]], [1.0], [1.5], [0, 0], [1, 1]), backend)
    costs = np.array([[1.0, 2.0]] * 3)
    for changes in (
        {"row_lower": [[1.0], [1.0], [2.5]], "row_upper": [[3.0]] * 3},
        {"upper": [[1.0, 1.0], [1.0, 1.0], [0.5, 0.0]]},
        {"row_lower": [[1.0], [1.0], [2.0]]},  # above its upper bound
        {"lower": [[0.0, 0.0], [0.0, 0.0], [0.0, INF]]},
    ):
        instance = {name: np.array(value) for name, value in changes.items()}
        with pytest.raises(InfeasibleError, match="LinearProgram: instance 2:"):
            oracle.solve(costs, instance)
        feasible = {name: value[:2] for name, value in instance.items()}
        np.testing.assert_allclose(oracle.solve(costs[:2], feasible).objectives, 1, atol=1e-7)


@mixed
def test_an_infeasible_mixed_instance_is_named(backend: Any) -> None:
    oracle = MixedIntegerProgram(
        Program([[2.0]], [2.0], [2.0], [0.0], [5.0], [True]), backend=backend
    )
    sides = np.array([[2.0], [4.0], [3.0]])  # 2 x = 3 has a fractional solution only
    with pytest.raises(InfeasibleError, match="instance 2"):
        oracle.solve(np.ones((3, 1)), {"row_lower": sides, "row_upper": sides})
    relaxed = oracle.relax().solve(np.ones((3, 1)), {"row_lower": sides, "row_upper": sides})
    np.testing.assert_allclose(relaxed.decisions[:, 0], [1, 2, 1.5])


def test_completions_follow_the_bounds_of_the_instance() -> None:
    # the decision is x0 + x1; x1 costs 3 more than x0, which stops at its upper bound
    program = Program(
        np.zeros((0, 2)), [], [], [0, 0], [1, 1], fixed_costs=[2, 5], decision_map=[[1.0, 1.0]]
    )
    oracle, costs = LinearProgram(program), np.full((2, 1), 10.0)
    instance = {"upper": np.array([[1.0, 1.0], [0.2, 1.0]])}
    decisions = np.array([[1.0], [1.0]])
    np.testing.assert_allclose(oracle.evaluate(costs, decisions, instance), [12, 14.4])
    with pytest.raises(InvalidInputError, match="instance 1 is not attainable"):
        oracle.evaluate(costs, np.array([[1.5], [1.5]]), instance)


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ({"upper": np.ones((2, 3))}, r"'upper' of shape \(2, 3\), expected \(2, 2\)"),
        ({"upper": np.ones((3, 2))}, "leading dimension of 2"),
        ({"row_lower": [[0.0], [np.nan]]}, "'row_lower' is not finite at instance 1"),
        ({"capacities": np.ones((2, 1))}, "knows: lower, row_lower, row_upper, upper"),
    ],
)
def test_bounds_are_checked(instance: Any, message: str) -> None:
    oracle = LinearProgram(Program([[1.0, 1.0]], [1.0], [1.5], [0, 0], [1, 1]))
    with pytest.raises(InvalidInputError, match=message):
        oracle.solve(np.ones((2, 2)), instance)


def test_one_model_serves_all_instances_and_restarts_from_a_basis_where_that_pays(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    built, m, k, n = [], 20, 40, 40
    build = HighsModel.__init__
    monkeypatch.setattr(
        HighsModel, "__init__", lambda self, *data: (built.append(self), build(self, *data))[1]
    )
    A = rng.uniform(0, 1, (m, k))
    program = Program(A, A.sum(axis=1) / 3, np.full(m, INF), np.zeros(k), np.full(k, INF))
    oracle = LinearProgram(program, "highs")
    near = rng.uniform(1, 2, k) * rng.uniform(0.999, 1.001, (n, k))
    sides = program.row_lower * rng.uniform(0.999, 1.001, (n, m))
    found = oracle.solve(near, {"row_lower": sides}).objectives
    assert len(built) == 1
    cold, warm = built[0]._steps
    assert warm < cold / 2
    expected = [reference(oracle.program({"row_lower": sides[i]}), near[i]) for i in range(n)]
    np.testing.assert_allclose(found, expected)


# infeasible, unbounded, limits


@linear
def test_unbounded_and_infeasible_are_told_apart(backend: Any) -> None:
    oracle = LinearProgram(Program([[1.0, -1.0]], [0.0], [1.0], [0, 0], [INF, INF]), backend)
    good = np.array([[1.0, 1.0], [-1.0, 2.0]])
    for _ in range(2):
        with pytest.raises(UnboundedError, match="instance 2"):
            oracle.solve(np.vstack([good, [[-1.0, 0.5]]]))
        np.testing.assert_allclose(oracle.solve(good).objectives, [0, -1], atol=1e-7)
    both = Program([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]], [0, 2], [1, 3], [0, 0, 0], [INF, INF, 1])
    with pytest.raises(InfeasibleError):
        LinearProgram(both, backend).solve([[-1.0, -1.0, 0.0]])


@mixed
def test_unbounded_integers(backend: Any) -> None:
    free = Program([[1.0, -1.0]], [0], [1], [0, 0], [INF, INF], [True, True])
    oracle = MixedIntegerProgram(free, backend=backend)
    with pytest.raises(UnboundedError, match="instance 1"):
        oracle.solve([[1.0, 1.0], [-1.0, -1.0]])
    np.testing.assert_allclose(oracle.solve([[-1.0, 2.0]]).objectives, [-1])


@mixed
def test_a_limit_keeps_the_decision_there_is(backend: Any, rng: np.random.Generator) -> None:
    # many rows and correlated values: hours of work for a general solver
    program = knapsack(rng, 60, 12)
    costs = -np.asarray(program.A.sum(axis=0))[None] * rng.uniform(0.95, 1.05, (2, 60))
    solution = MixedIntegerProgram(program, time_limit=0.5, backend=backend).solve(costs)
    assert (solution.status == Status.FEASIBLE).all()
    assert program.violation(solution.decisions) < 1e-9
    relaxed = LinearProgram(program.relax()).solve(costs).objectives
    assert (solution.objectives < 0.8 * relaxed).all()


@mixed
def test_a_limit_without_a_decision_is_named(backend: Any, rng: np.random.Generator) -> None:
    # market split: feasibility itself is hard
    A = rng.integers(0, 100, (6, 50)).astype(float)
    half = np.floor(A.sum(axis=1) / 2)
    program = Program(A, half, half, np.zeros(50), np.ones(50), np.ones(50, dtype=bool))
    oracle = MixedIntegerProgram(program, time_limit=0.2, backend=backend)
    with pytest.raises(SolverError, match=r"instance 0: no feasible decision .* time_limit=0.2"):
        oracle.solve(rng.normal(size=(1, 50)))


@mixed
def test_the_gap_is_respected(backend: Any, rng: np.random.Generator) -> None:
    program = knapsack(rng, 25, 3)
    costs = -rng.uniform(1, 2, (4, 25))
    exact = MixedIntegerProgram(program).solve(costs).objectives
    rough = MixedIntegerProgram(program, gap=0.1, backend=backend).solve(costs).objectives
    assert (rough >= exact - 1e-9).all()
    assert (rough <= 0.9 * exact).all()


@pytest.mark.parametrize("backend", ["clarabel", "simplex"])
def test_continuous_back_ends_refuse_integers(backend: Any, rng: np.random.Generator) -> None:
    with pytest.raises(InvalidInputError, match=f"variable 0 is an integer.*{backend!r}"):
        MixedIntegerProgram(knapsack(rng, 4, 1), backend=backend)
    with pytest.raises(InvalidInputError, match=f"variable 0 is an integer.*{backend!r}"):
        WithBackend(Knapsack([[1.0, 2.0]], [2.0]), backend)
    with pytest.raises(InvalidInputError, match="got backend 'cbc', expected one of 'simplex'"):
        MixedIntegerProgram(knapsack(rng, 4, 1), backend="cbc")  # type: ignore[arg-type]


# threads, processes, packages


@linear
def test_threads_copies_and_pickles(backend: Any, rng: np.random.Generator) -> None:
    oracle = LinearProgram(random_program(rng), backend)
    batches = [rng.normal(size=(30, 10)) for _ in range(2)]
    expected = [LinearProgram(oracle.model, backend).solve(costs).objectives for costs in batches]
    found: list[Any] = [None, None]

    def work(i: int) -> None:
        found[i] = oracle.solve(batches[i]).objectives

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(2):
        np.testing.assert_allclose(found[i], expected[i], atol=1e-7)
    for other in (copy.deepcopy(oracle), pickle.loads(pickle.dumps(oracle))):  # noqa: S301
        assert other.backend == backend
        np.testing.assert_allclose(other.solve(batches[0]).objectives, expected[0], atol=1e-7)


@pytest.mark.parametrize("first", ["", "import ortools.math_opt.python.mathopt\n"])
def test_every_back_end_in_one_fresh_process(first: str) -> None:
    script = f"""
{first}import sys
sys.path.insert(0, {str(SOLVERS)!r})
import numpy as np
from dfl_solvers import Knapsack, WithBackend
knapsack = Knapsack([[3.0, 4.0, 2.0]], [6.0])
for backend in ("ortools", "highs", "gurobi", "ortools"):
    found = WithBackend(knapsack, backend).solve(np.array([[-5.0, -6.0, -3.0]]))
    assert found.decisions.tolist() == [[0, 1, 1]], (backend, found)
for backend in ("ortools", "clarabel", "highs"):
    found = WithBackend(knapsack, backend, relaxed=True).solve(np.array([[-5.0, -6.0, -3.0]]))
    assert abs(found.objectives[0] + 9.5) < 1e-6, (backend, found)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("backend", "module", "extra"),
    [("gurobi", "gurobipy", "gurobi"), ("ortools", "ortools.math_opt.python.mathopt", "ortools")],
)
def test_a_missing_package_names_its_extra_or_highs_solves(
    monkeypatch: pytest.MonkeyPatch, backend: Any, module: str, extra: str
) -> None:
    knapsack, costs = Knapsack([[3.0, 4.0, 2.0]], [6.0]), np.array([[-5.0, -6.0, -3.0]])
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=rf"dfl-opt\[{extra}\]"):
        WithBackend(knapsack, backend).solve(costs)
    oracle = WithBackend(knapsack, backend, fallback="highs")
    with pytest.warns(UserWarning, match=f"HiGHS solves instead.*{extra}"):
        found = oracle.solve(costs)
    np.testing.assert_array_equal(found.decisions, [[0, 1, 1]])
    np.testing.assert_array_equal(oracle.solve(costs).decisions, [[0, 1, 1]])  # warned once


@linear
def test_costs_that_are_whole_numbers(backend: Any) -> None:
    """Integer arrays are costs as others are, unsigned ones included, and halves stay halves."""
    program = Program([[2.0, 2.0, 2.0]], [3.0], [3.0], np.zeros(3), np.ones(3))
    oracle = LinearProgram(program, backend=backend)
    for kind in (np.int64, np.int8, np.uint8, bool):
        found = oracle.solve(np.array([[0, 1, 1], [1, 0, 1]], dtype=kind))
        assert found.decisions.dtype == np.float64
        np.testing.assert_allclose(found.objectives, 0.5, atol=1e-6)
        np.testing.assert_allclose(found.decisions[[0, 1], [0, 1]], 1, atol=1e-6)


# licenses


def limited(n: int = 2500) -> Program:
    return Program(np.ones((1, n)), [1.0], [1.0], np.zeros(n), np.ones(n), np.ones(n))


@pytest.mark.parametrize("license_file", ["missing", "expired"])
def test_a_bad_license_says_what_to_do(
    license_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gurobi.lic"
    if license_file == "expired":
        path.write_text(
            "TYPE=NODE\nVERSION=99\nHOSTNAME=a\nHOSTID=12345678\nSOCKETS=1\nUSERNAME=a\n"
            "EXPIRATION=2020-01-01\nKEY=ABCDEFGH\nCKSUM=1\n"
        )
    monkeypatch.setenv("GRB_LICENSE_FILE", str(path))
    monkeypatch.setattr(gurobi_backend, "_OWN", threading.local())  # the license is read anew
    path_oracle, costs = GridShortestPath(3, 3), np.ones((2, 12))
    with pytest.raises(LicenseError, match=r"no valid license: .*backend='highs'"):
        WithBackend(path_oracle, "gurobi").solve(costs)
    oracle = WithBackend(path_oracle, "gurobi", fallback="highs")
    with pytest.warns(UserWarning, match="HiGHS solves instead, since Gurobi has no valid"):
        np.testing.assert_allclose(oracle.solve(costs).objectives, 4)
    np.testing.assert_allclose(oracle.solve(costs).objectives, 4)


def test_a_program_above_the_free_license_says_so() -> None:
    program, costs = limited(), np.arange(2500.0)[None]
    try:
        MixedIntegerProgram(program, backend="gurobi").solve(costs)
        pytest.skip("a full license solves it")
    except LicenseError as error:
        assert "2500 variables" in str(error)  # noqa: PT017
        assert "backend='highs'" in str(error)  # noqa: PT017
    inner = MixedIntegerProgram(program)
    with pytest.warns(UserWarning, match="HiGHS solves instead"):
        found = WithBackend(inner, "gurobi", fallback="highs").solve(costs)
    assert found.objectives[0] == 0.0


# any oracle on any back-end

GRAPH = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)]
DEMAND = np.random.default_rng(2).integers(0, 9, (6, 3)).astype(float)


def instances(name: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    n = 6
    mask = np.ones((n, 5), dtype=bool)
    mask[::2, 2] = False
    if name == "capacities":
        return {"capacities": rng.uniform(4, 9, (n, 2)), "mask": mask}
    if name == "weights":
        return {"weights": rng.uniform(1, 4, (n, 2, 5))}
    if name == "ends":
        return {"mask": mask, "target": np.array([3, 3, 2, 3, 1, 2])}
    if name == "items":
        return {"mask": mask}
    return {"demand": rng.integers(0, 9, (n, 6, 3)).astype(float)}


VARIED: dict[str, Oracle] = {
    "capacities": Knapsack(np.random.default_rng(3).integers(1, 5, (2, 5)), [6.0, 7.0]),
    "weights": Knapsack(np.random.default_rng(3).integers(1, 5, (2, 5)), [6.0, 7.0]),
    "ends": ShortestPath(GRAPH, 0, 3),
    "items": TopK(5, 2),
    "demand": Newsvendor(DEMAND, 3.0, 1.0),
}


@mixed
@pytest.mark.parametrize("name", VARIED)
def test_an_oracle_and_its_matrix_form_agree(
    backend: Any, name: str, rng: np.random.Generator
) -> None:
    oracle = VARIED[name]
    general = WithBackend(oracle, backend)
    costs = rng.uniform(0.1, 2, (6, general.n_costs or 0))
    if isinstance(oracle, Knapsack):
        costs = -costs
    for instance in (None, instances(name, rng), None):
        found = general.solve(costs, instance)
        expected = oracle.solve(costs, instance).objectives
        np.testing.assert_allclose(found.objectives, expected, atol=1e-6)
        evaluated = general.evaluate(costs, found.decisions, instance)
        np.testing.assert_allclose(evaluated, expected, atol=1e-6)
    assert general.instance_fields == oracle.instance_fields  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["capacities", "weights"])
def test_the_relaxation_of_each_instance(name: str, rng: np.random.Generator) -> None:
    oracle: Any = VARIED[name]
    relaxed = WithBackend(oracle, "ortools").relax()
    assert relaxed.parameters() == {**WithBackend(oracle, "ortools").parameters(), "relaxed": True}
    costs, instance = -rng.uniform(0.1, 2, (6, 5)), instances(name, rng)
    found = relaxed.solve(costs, instance)
    for i in range(6):
        own = {field: value[i] for field, value in instance.items()}
        assert not relaxed.program(own).integrality.any()
        expected = reference(oracle.program(own), costs[i])
        assert found.objectives[i] == pytest.approx(expected)
    assert (found.objectives <= oracle.solve(costs, instance).objectives + 1e-9).all()
    assert (found.objectives < oracle.solve(costs, instance).objectives - 1e-6).any()
    np.testing.assert_allclose(relaxed.evaluate(costs, found.decisions, instance), found.objectives)


def test_relaxed_decisions_are_charged_the_relaxed_part() -> None:
    program = Program(np.zeros((0, 2)), [], [], [0, 0], [1, 1], [True, True], [2, 5], [[1.0, 1.0]])
    relaxed = WithBackend(MixedIntegerProgram(program)).relax()
    costs, half = np.full((2, 1), 10.0), np.array([[1.0], [0.5]])
    np.testing.assert_allclose(relaxed.evaluate(costs, half), [12, 6])
    instance = {"upper": np.array([[0.25, 1.0], [1.0, 1.0]])}
    np.testing.assert_allclose(relaxed.evaluate(costs, half, instance), [14.25, 6])


def test_matrices_that_stay_share_a_model(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    built = []
    build = HotProgram.__init__

    def counted(self: HotProgram, *data: Any) -> None:
        built.append(data[0])
        build(self, *data)

    monkeypatch.setattr(HotProgram, "__init__", counted)
    oracle: Any = VARIED["capacities"]
    general, costs = WithBackend(oracle), -rng.uniform(0.1, 2, (6, 5))
    general.solve(costs)
    general.solve(costs, instances("capacities", rng))
    assert len(built) == 1
    general.solve(costs, instances("weights", rng))
    assert len(built) == 1 + 6


def test_what_with_backend_refuses() -> None:
    with pytest.raises(InvalidInputError, match=r"Maximize\(WithBackend\("):
        WithBackend(Maximize(TopK(3, 1)))
    with pytest.raises(UnsupportedError, match="no matrix form"):
        WithBackend(Portfolio(np.eye(3), 1.0))
    with pytest.raises(UnsupportedError, match="no matrix form"):
        WithBackend(TopK(None, 1))
    with pytest.raises(UnsupportedError, match="no matrix form"):
        WithBackend(FromCallable(np.sign, 2))
    with pytest.raises(InvalidInputError, match="got fallback='gurobi'"):
        WithBackend(Assignment(2), "gurobi", fallback="gurobi")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="'simplex' has no time_limit"):
        WithBackend(Assignment(2), "simplex", time_limit=1.0)
    with pytest.raises(InvalidInputError, match="knows: mask"):
        WithBackend(Assignment(2)).solve(np.ones((1, 4)), {"capacity": np.ones(1)})


def test_with_backend_in_a_limit_keeps_the_decision(rng: np.random.Generator) -> None:
    oracle = Knapsack(rng.uniform(1, 5, (12, 60)), np.full(12, 90.0))
    costs = -oracle.weights.sum(axis=0)[None] * rng.uniform(0.95, 1.05, (1, 60))
    solution = WithBackend(oracle, "gurobi", time_limit=0.3).solve(costs)
    assert solution.status[0] == Status.FEASIBLE
    assert (oracle.weights @ solution.decisions[0] <= 90 + 1e-9).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@linear
def test_use_after_fork(backend: Any, rng: np.random.Generator) -> None:
    oracle = LinearProgram(random_program(rng), backend)
    costs = rng.normal(size=(5, 10))
    expected = oracle.solve(costs).objectives
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if np.allclose(oracle.solve(costs).objectives, expected, atol=1e-6) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
