"""Gurobi models become oracles that keep solving with Gurobi."""

from __future__ import annotations

import copy
import itertools
import pickle
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from dfl_solvers.exceptions import (
    InfeasibleError,
    InvalidInputError,
    MissingDependencyError,
    SolverError,
    UnboundedError,
    UnsupportedError,
)
from dfl_solvers.imports import from_gurobi
from dfl_solvers.oracle import Status
from dfl_solvers.parallel import Parallel
from dfl_solvers.problems.knapsack import Knapsack
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.problems.mixed_integer_program import MixedIntegerProgram
from dfl_solvers.testing import check_oracle
from dfl_solvers.wrappers import FromCallable, Maximize

gp = pytest.importorskip("gurobipy")
GRB = gp.GRB


@pytest.fixture(scope="module")
def env() -> Iterator[Any]:
    with gp.Env(params={"OutputFlag": 0}) as environment:
        yield environment


WEIGHTS = np.array([[3.0, 4.0, 2.0, 5.0, 1.0], [2.0, 1.0, 4.0, 3.0, 3.0]])
CAPACITIES = np.array([8.0, 7.0])
SETUP = np.array([1.0, 0.5, 2.0, 0.1, 1.5])


def facility(env: Any) -> tuple[Any, Any]:
    """Sell of five goods: predicted are prices, known are setup costs and a contract's price."""
    model = gp.Model(env=env)
    sold = model.addVars(5, vtype="I", ub=2, name="sold")
    used = model.addVars(5, vtype="B", name="used")
    for j in range(5):
        model.addConstr(sold[j] <= 2 * used[j])
    for row, capacity in zip(WEIGHTS, CAPACITIES, strict=True):
        model.addConstr(gp.quicksum(row[j] * sold[j] for j in range(5)) <= capacity)
    known = gp.quicksum(-SETUP[j] * used[j] for j in range(5))
    model.setObjective(known + 99.0 * sold[0] + 10.0, GRB.MAXIMIZE)
    model.Params.MIPGap = 0.0
    return model, sold


def facility_points() -> tuple[np.ndarray, np.ndarray]:
    """Return every feasible sale and its known part, by enumeration."""
    sales = np.array(list(itertools.product(range(3), repeat=5)), dtype=float)
    sales = sales[(sales @ WEIGHTS.T <= CAPACITIES).all(axis=1)]
    return sales, -((sales > 0) @ SETUP)


def test_known_and_predicted_values_of_a_maximization(env: Any, rng: np.random.Generator) -> None:
    oracle = from_gurobi(*facility(env))
    assert isinstance(oracle, Maximize)
    values = rng.normal(1.0, 1.0, size=(40, 5))
    solution = oracle.solve(values)
    sales, known = facility_points()
    all_values = values @ sales.T + known
    np.testing.assert_allclose(solution.objectives, all_values.max(axis=1), atol=1e-9)
    np.testing.assert_array_equal(solution.decisions, sales[all_values.argmax(axis=1)])
    pick = rng.integers(len(sales), size=40)
    evaluated = oracle.evaluate(values, sales[pick])
    np.testing.assert_allclose(evaluated, all_values[np.arange(40), pick], atol=1e-7)
    check_oracle(oracle)
    general = Maximize(MixedIntegerProgram(oracle.minimizing.program()))
    np.testing.assert_allclose(general.solve(values).objectives, solution.objectives, atol=1e-6)


def test_training_matches_a_reference_written_by_hand(env: Any, rng: np.random.Generator) -> None:
    """SPO+ by subgradients, on the oracle and on an enumeration of the feasible set."""
    sales, known = facility_points()

    def enumerated(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total = values @ sales.T + known
        return sales[total.argmax(axis=1)], total.max(axis=1)

    oracle = from_gurobi(*facility(env))

    def by_gurobi(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        solution = oracle.solve(values)
        return solution.decisions, solution.objectives

    X = rng.normal(size=(30, 3))
    V = X @ rng.normal(size=(3, 5)) + 1.0 + 0.3 * rng.normal(size=(30, 5))

    def curve(solve: Any) -> list[float]:
        W = np.zeros((3, 5))
        w_true, z_true = solve(V)
        losses = []
        for _ in range(12):
            P = X @ W
            w, z = solve(2 * P - V)
            known_true = z_true - np.vecdot(V, w_true)
            # max (2p - v).w + known - (2 p.w* + 2 known*) + z*
            losses.append(float(np.mean(z - 2 * np.vecdot(P, w_true) - 2 * known_true + z_true)))
            W -= 0.05 * X.T @ (2 * (w - w_true)) / len(X)
        return losses

    losses = curve(by_gurobi)
    np.testing.assert_allclose(losses, curve(enumerated), atol=1e-8)
    assert losses[-1] < losses[0]
    assert min(losses) >= 0


def test_the_library_trains_on_it(env: Any, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    from dfl import Target, make_loss

    oracle = from_gurobi(*facility(env))
    sales, known = facility_points()
    V, P = rng.normal(1.0, 1.0, size=(2, 20, 5))
    loss = make_loss("spo+", oracle)
    output = torch.from_numpy(P).requires_grad_()
    loss(output, Target(costs=torch.from_numpy(V)), reduction="sum").backward()
    total = V @ sales.T + known
    best = sales[total.argmax(axis=1)]
    shifted = (2 * P - V) @ sales.T + known
    worst = sales[shifted.argmax(axis=1)]
    np.testing.assert_allclose(output.grad.numpy(), 2 * (worst - best), atol=1e-9)


def test_drop_forgets_the_known_part(env: Any, rng: np.random.Generator) -> None:
    oracle = from_gurobi(*facility(env), fixed="drop")
    assert oracle.minimizing.linear_objective
    values = rng.normal(size=(10, 5))
    sales, _ = facility_points()
    np.testing.assert_allclose(
        oracle.solve(values).objectives, (values @ sales.T).max(axis=1), atol=1e-9
    )
    with pytest.raises(InvalidInputError, match="expected 'keep' or 'drop'"):
        from_gurobi(*facility(env), fixed="forget")  # type: ignore[arg-type]


def test_predicted_expressions_with_constants(env: Any, rng: np.random.Generator) -> None:
    """Prices of two hours multiply the energy used in them."""
    model = gp.Model(env=env)
    on = model.addMVar((3, 2), vtype="B")
    model.addConstr(on.sum(axis=1) >= 1)
    model.addConstr(on.sum(axis=0) <= 2)
    model.setObjective(0.3 * on[:, 1].sum())
    power = np.array([2.0, 3.0, 5.0])
    energy = [power @ on[:, h] + 1.5 for h in range(2)]  # matrix expressions
    oracle = from_gurobi(model, energy)
    costs = rng.normal(size=(20, 2))
    solution = oracle.solve(costs)
    points = np.array(list(itertools.product((0, 1), repeat=6))).reshape(-1, 3, 2)
    points = points[(points.sum(2) >= 1).all(1) & (points.sum(1) <= 2).all(1)]
    used = np.einsum("j,njh->nh", power, points) + 1.5
    best = costs @ used.T + 0.3 * points[:, :, 1].sum(axis=1)
    np.testing.assert_allclose(solution.objectives, best.min(axis=1), atol=1e-7)
    check_oracle(oracle)
    # listed variables lose their own coefficient, those inside expressions keep it
    model.setObjective(7.0 * on[0, 0].item() + 5.0 * on[1, 1].item())
    program = from_gurobi(model, [on[0, 0], on[1, 1].item() + on[2, 1].item()]).program()
    np.testing.assert_array_equal(program.fixed_costs, [0, 0, 0, 5, 0, 0])


def test_quadratic_known_part(env: Any, rng: np.random.Generator) -> None:
    model = gp.Model(env=env)
    x = model.addMVar(3, lb=-GRB.INFINITY)
    model.addConstr(x.sum() == 1)
    model.setObjective(x @ np.diag([1.0, 2.0, 3.0]) @ x)
    oracle = from_gurobi(model, x)
    costs = rng.normal(size=(10, 3))
    solution = oracle.solve(costs)
    for c, w, z in zip(costs, solution.decisions, solution.objectives, strict=True):
        kkt = np.block([[np.diag([2.0, 4.0, 6.0]), np.ones((3, 1))], [np.ones((1, 3)), 0]])
        expected = np.linalg.solve(kkt, np.append(-c, 1.0))[:3]
        np.testing.assert_allclose(w, expected, atol=1e-6)
        assert z == pytest.approx(c @ w + w**2 @ [1.0, 2.0, 3.0], abs=1e-7)
    np.testing.assert_allclose(oracle.evaluate(costs, solution.decisions), solution.objectives)
    with pytest.raises(UnsupportedError, match="a quadratic objective"):
        oracle.program()


def test_a_quadratic_constraint_has_no_matrix_form(env: Any) -> None:
    model = gp.Model(env=env)
    x = model.addMVar(2, lb=-1.0)
    model.addConstr(x @ x <= 1.0)
    oracle = from_gurobi(model, x)
    decisions = oracle.solve(np.array([[-3.0, -4.0]])).decisions
    np.testing.assert_allclose(decisions, [[0.6, 0.8]], atol=1e-4)
    with pytest.raises(UnsupportedError, match="quadratic constraints"):
        oracle.program()


def test_unattainable_decisions_are_refused(env: Any) -> None:
    oracle = from_gurobi(*facility(env))
    with pytest.raises(InvalidInputError, match="instance 1 is not attainable"):
        oracle.evaluate(np.ones((2, 5)), np.array([[1.0, 0, 0, 0, 0], [2.0, 2, 2, 2, 2]]))
    # and the model is as before
    assert oracle.minimizing.model.NumConstrs == 7


def test_the_users_callback_parameters_and_start_survive(env: Any) -> None:
    model, sold = facility(env)
    sold[1].Start = 1.0
    model.Params.Seed = 7
    calls = []
    oracle = from_gurobi(model, sold, callback=lambda model, where: calls.append(where))
    oracle.solve(np.ones((3, 5)))
    assert calls
    assert oracle.minimizing.model is model
    assert sold[1].Start == 1.0
    assert model.Params.Seed == 7
    model.update()
    assert [v.Obj for v in model.getVars()[:6]] == [99.0, 0.0, 0.0, 0.0, 0.0, -1.0]
    assert copy.deepcopy(oracle).minimizing.model is model
    with pytest.raises(UnsupportedError, match="a callback holds variables"):
        pickle.dumps(oracle)


def test_lazy_constraints_of_a_callback(env: Any, rng: np.random.Generator) -> None:
    """A traveling salesman whose subtours only the callback forbids."""
    n = 6
    pairs = list(itertools.combinations(range(n), 2))
    model = gp.Model(env=env)
    x = model.addVars(pairs, vtype="B")
    model.addConstrs(gp.quicksum(x[p] for p in pairs if i in p) == 2 for i in range(n))
    model.Params.LazyConstraints = 1

    def subtour(values: dict[tuple[int, int], float]) -> set[int]:
        reached, frontier = {0}, [0]
        while frontier:
            i = frontier.pop()
            for p, value in values.items():
                if value > 0.5 and i in p:
                    j = p[0] + p[1] - i
                    if j not in reached:
                        reached.add(j)
                        frontier.append(j)
        return reached

    def forbid(model: Any, where: int) -> None:
        if where == GRB.Callback.MIPSOL:
            reached = subtour(model.cbGetSolution(x))
            if len(reached) < n:
                cut = [p for p in pairs if (p[0] in reached) != (p[1] in reached)]
                model.cbLazy(gp.quicksum(x[p] for p in cut) >= 2)

    oracle = from_gurobi(model, x, callback=forbid)
    costs = rng.uniform(size=(10, len(pairs)))
    found = oracle.solve(costs)
    tours = []
    for order in itertools.permutations(range(1, n)):
        tour = (0, *order, 0)
        edges = {tuple(sorted(step)) for step in itertools.pairwise(tour)}
        tours.append([p in edges for p in pairs])
    best = (costs @ np.array(tours, dtype=float).T).min(axis=1)
    np.testing.assert_allclose(found.objectives, best, atol=1e-9)
    with pytest.raises(UnsupportedError, match="lazy constraints in a callback"):
        oracle.program()


def test_a_pickle_takes_the_model_along(env: Any, rng: np.random.Generator) -> None:
    for model, costs in (facility(env), expressions(env)):
        oracle = from_gurobi(model, costs)
        values = rng.normal(size=(5, oracle.n_costs))
        copied = pickle.loads(pickle.dumps(oracle))  # noqa: S301
        np.testing.assert_allclose(
            copied.solve(values).objectives, oracle.solve(values).objectives, atol=1e-7
        )


def expressions(env: Any) -> tuple[Any, Any]:
    """A maximization with a quadratic known part and an expression with a constant."""
    model = gp.Model(env=env)
    x = model.addVar(ub=2.0, name="a name with spaces")
    y = model.addVar(ub=2.0)
    model.addConstr(x + y <= 3)
    model.setObjective(-x * x - y * y + 0.5 * y, GRB.MAXIMIZE)
    return model, [2.0 * x - y + 0.25, y]


def test_a_function_builds_the_model_of_each_instance(env: Any, rng: np.random.Generator) -> None:
    def build(instance: Any) -> tuple[Any, Any]:
        model = gp.Model(env=env)
        x = model.addVars(5, vtype="B")
        for row, capacity in zip(instance["weights"], instance["capacities"], strict=True):
            model.addConstr(gp.quicksum(row[j] * x[j] for j in range(5)) <= capacity)
        model.ModelSense = GRB.MAXIMIZE
        return model, x

    oracle = from_gurobi(build=build, fields=("weights", "capacities"), maximize=True)
    values = rng.uniform(size=(8, 5))
    instance = {
        "weights": rng.uniform(1, 3, size=(8, 2, 5)),
        "capacities": rng.uniform(3, 6, size=(8, 2)),
    }
    solution = oracle.solve(values, instance)
    reference = Maximize(Knapsack(WEIGHTS, CAPACITIES)).solve(values, instance)
    np.testing.assert_allclose(solution.objectives, reference.objectives, atol=1e-9)
    np.testing.assert_allclose(
        oracle.evaluate(values, solution.decisions, instance), solution.objectives, atol=1e-9
    )
    with pytest.raises(InvalidInputError, match="but build returns 5"):
        oracle.solve(values[:, :3], instance)
    with pytest.raises(InvalidInputError, match="a model that maximizes, but maximize is False"):
        from_gurobi(build=build, fields=("weights", "capacities")).solve(values, instance)
    with pytest.raises(InvalidInputError, match="one or the other"):
        from_gurobi(*facility(env), build=build)
    with pytest.raises(InvalidInputError, match="no model or no costs"):
        from_gurobi()


def test_a_time_limit_keeps_what_was_found(env: Any, rng: np.random.Generator) -> None:
    n = 60
    model = gp.Model(env=env)
    x = model.addMVar(n, vtype="B")
    model.addConstr(rng.uniform(1, 2, size=(20, n)) @ x <= n / 4)
    model.Params.SolutionLimit = 1
    oracle = from_gurobi(model, x)
    solution = oracle.solve(-rng.uniform(1, 2, size=(2, n)))
    assert (solution.status == Status.FEASIBLE).all()
    hard = gp.Model(env=env)
    y = hard.addMVar(n, vtype="B")
    hard.addConstr(rng.uniform(1, 2, size=(20, n)) @ y == n / 4)
    hard.Params.TimeLimit = 0.0
    with pytest.raises(SolverError, match="instance 0: Gurobi ended with status TIME_LIMIT"):
        from_gurobi(hard, y).solve(rng.normal(size=(1, n)))


def test_infeasible_and_unbounded(env: Any) -> None:
    model = gp.Model(env=env)
    x = model.addMVar(2)
    model.addConstr(x.sum() <= -1)
    with pytest.raises(InfeasibleError, match="instance 0"):
        from_gurobi(model, x).solve(np.array([[-1.0, -1.0]]))
    model = gp.Model(env=env)
    x = model.addMVar(2)
    with pytest.raises(UnboundedError, match="instance 1"):
        from_gurobi(model, x).solve(np.array([[1.0, 1.0], [-1.0, 0.0]]))


def test_a_model_above_the_free_license_says_so(env: Any) -> None:
    model = gp.Model(env=env)
    x = model.addMVar(2500, ub=1.0)
    model.addConstr(x.sum() == 1)
    oracle = from_gurobi(model, x)
    costs = np.arange(2500.0)[None] + 1
    try:
        found = oracle.solve(costs).objectives
    except SolverError as error:
        # a full license solves it
        assert re.search("2500 variables .* size-limited license", str(error))  # noqa: PT017
        found = LinearProgram(oracle.program()).solve(costs).objectives
    np.testing.assert_allclose(found, [1.0])


def test_what_is_not_supported_is_refused_by_name(env: Any) -> None:
    model, x = facility(env)
    model.setPWLObj(x[0], [0, 1, 2], [0, 1, 4])
    with pytest.raises(UnsupportedError, match="piecewise-linear"):
        from_gurobi(model, x)
    model, x = facility(env)
    model.setObjectiveN(x[0] + x[1], 1)
    with pytest.raises(UnsupportedError, match="2 objectives"):
        from_gurobi(model, x)


def test_constraints_may_change_later_but_variables_not(env: Any) -> None:
    model = gp.Model(env=env)
    x = model.addMVar(2, ub=1.0)
    oracle = from_gurobi(model, x)
    model.addConstr(x.sum() <= 1)
    costs = np.array([[-1.0, -2.0]])
    np.testing.assert_array_equal(oracle.solve(costs).decisions, [[0.0, 1.0]])
    model.addVar(obj=-5.0)
    with pytest.raises(InvalidInputError, match="3 variables, but had 2"):
        oracle.solve(costs)


def test_threads_wait_for_each_other(env: Any, rng: np.random.Generator) -> None:
    oracle = from_gurobi(*facility(env))
    batches = rng.normal(1.0, 1.0, size=(4, 10, 5))
    alone = [oracle.solve(values).decisions for values in batches]
    with ThreadPoolExecutor(4) as pool:
        together = [solution.decisions for solution in pool.map(oracle.solve, batches)]
    np.testing.assert_array_equal(together, alone)


def test_costs_are_checked(env: Any) -> None:
    model, x = facility(env)
    other, foreign = facility(env)
    other.update()
    for costs, match in (
        ([], "got no costs"),
        ([x[0], 3.0], r"costs\[1\] of type float"),
        (x[0], "expected a list"),
        ([x[0], foreign[1]], r"costs\[1\] holds a variable that is not in the model"),
        ([x[0], x[1], x[0]], "a variable twice"),
    ):
        with pytest.raises(InvalidInputError, match=match):
            from_gurobi(model, costs)
    with pytest.raises(InvalidInputError, match="a model of type int"):
        from_gurobi(3, x)


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "gurobipy"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r"dfl-opt\[gurobi\]"):
        from_gurobi(object(), [object()])


@pytest.mark.parametrize("threads", [0, 3])
def test_one_thread_in_each_of_several_processes(env: Any, threads: int) -> None:
    def ask(c: np.ndarray) -> np.ndarray:
        import gurobipy

        from dfl_solvers.imports import from_gurobi

        own = gurobipy.Env(params={"OutputFlag": 0, "Threads": threads})
        with gurobipy.Model(env=own) as model:
            x = model.addVars(2, ub=1.0)
            from_gurobi(model, x).solve(c[None])
            return np.array([model.Params.Threads, 0.0])

    used = Parallel(FromCallable(ask, 2)).solve(np.ones((4, 2))).decisions[:, 0]
    np.testing.assert_array_equal(used, threads or 1)
    assert FromCallable(ask, 2).solve(np.ones((1, 2))).decisions[0, 0] == threads
