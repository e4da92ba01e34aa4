"""CVXPY problems become oracles."""

from __future__ import annotations

import itertools
import pickle
import sys
from typing import Any

import highspy  # noqa: F401  (before CVXPY, which loads ortools)
import numpy as np
import pytest

from dfl_solvers.backends.highs import HighsModel
from dfl_solvers.exceptions import (
    InfeasibleError,
    InvalidInputError,
    MissingDependencyError,
    UnboundedError,
    UnsupportedError,
)
from dfl_solvers.imports import CvxpyOracle, from_cvxpy
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.problems.mixed_integer_program import MixedIntegerProgram
from dfl_solvers.problems.portfolio import Portfolio
from dfl_solvers.testing import check_oracle
from dfl_solvers.wrappers import Maximize

cp = pytest.importorskip("cvxpy")


def solved(problem: Any, **values: Any) -> float:
    """Solve once by CVXPY itself."""
    for parameter in problem.parameters():
        if parameter.name() in values:
            parameter.value = values[parameter.name()]
    problem.solve(solver="CLARABEL" if not problem.is_mixed_integer() else "HIGHS")
    return float(problem.value)


def test_a_linear_problem_is_a_linear_program(rng: np.random.Generator) -> None:
    x = cp.Variable(4, bounds=[0, 1])
    slack = cp.Variable(nonneg=True)
    c = cp.Parameter(4, name="c")
    problem = cp.Problem(
        cp.Minimize(c @ x + 2 * slack + 7), [np.array([1.0, 2, 3, 4]) @ x + slack >= 5]
    )
    oracle = from_cvxpy(problem, predicted={"c": c})
    assert isinstance(oracle, LinearProgram)
    costs = rng.normal(size=(20, 4))
    solution = oracle.solve(costs)
    expected = [solved(problem, c=row) - 7 for row in costs]
    np.testing.assert_allclose(solution.objectives, expected, atol=1e-6)
    np.testing.assert_allclose(
        oracle.evaluate(costs, solution.decisions), solution.objectives, atol=1e-7
    )
    check_oracle(oracle)


def test_a_matrix_of_values_counts_row_by_row(rng: np.random.Generator) -> None:
    x = cp.Variable((2, 3), boolean=True)
    extra = cp.Variable(integer=True)
    v = cp.Parameter((2, 3), name="v")
    problem = cp.Problem(
        cp.Maximize(cp.sum(cp.multiply(v, x)) - extra),
        [cp.sum(x, axis=0) <= 1, cp.sum(x, axis=1) <= 1 + extra, extra >= 0],
    )
    oracle = from_cvxpy(problem, predicted={"v": v})
    assert isinstance(oracle, Maximize)
    assert isinstance(oracle.minimizing, MixedIntegerProgram)
    values = rng.normal(size=(15, 6))
    solution = oracle.solve(values)
    for row, w, z in zip(values, solution.decisions, solution.objectives, strict=True):
        assert solved(problem, v=row.reshape(2, 3)) == pytest.approx(z, abs=1e-7)
        np.testing.assert_allclose(np.asarray(x.value).ravel(), w, atol=1e-7)
    points = np.array(list(itertools.product((0, 1), repeat=6))).reshape(-1, 2, 3)
    points = points[(points.sum(axis=1) <= 1).all(axis=1)]
    extra_needed = np.maximum(points.sum(axis=2).max(axis=1) - 1, 0)
    best = values @ points.reshape(-1, 6).T - extra_needed
    np.testing.assert_allclose(solution.objectives, best.max(axis=1), atol=1e-7)
    check_oracle(oracle)


def test_decisions_are_what_the_costs_multiply(rng: np.random.Generator) -> None:
    x = cp.Variable(3)
    c = cp.Parameter(2, name="c")
    A, b = rng.normal(size=(2, 3)), np.array([3.0, -1.0])
    expression = A @ x + b
    problem = cp.Problem(cp.Minimize((c + 0.5) @ expression + cp.norm1(x)), [x >= -1, x <= 2])
    oracle = from_cvxpy(problem, predicted={"c": c})
    for row in rng.normal(size=(10, 2)):
        solution = oracle.solve(row[None])
        value = solved(problem, c=row)
        np.testing.assert_allclose(solution.decisions[0], expression.value, atol=1e-6)
        known = value - row @ expression.value - 0.5 * b.sum()  # constants are left out
        assert solution.objectives[0] - row @ solution.decisions[0] == pytest.approx(
            known, abs=1e-6
        )
    check_oracle(oracle)


def test_other_parameters_are_instance_data(rng: np.random.Generator) -> None:
    """Predicted demand on the right-hand side, a matrix of rates, and predicted prices."""
    x = cp.Variable(3, nonneg=True)
    bought = cp.Variable(2, nonneg=True)
    c, b = cp.Parameter(3, name="c"), cp.Parameter(2, name="b")
    A = cp.Parameter((2, 3), name="A", nonneg=True)
    problem = cp.Problem(cp.Minimize(c @ x + 3 * cp.sum(bought)), [A @ x + bought >= b, x <= 4])
    oracle = from_cvxpy(problem, predicted={"c": c, "b": b, "A": A})
    assert isinstance(oracle, CvxpyOracle)
    assert oracle.instance_fields == {"b", "A"}
    n = 6
    costs = rng.normal(size=(n, 3))
    instance = {"b": rng.uniform(1, 9, size=(n, 2)), "A": rng.uniform(size=(n, 2, 3))}
    solution = oracle.solve(costs, instance)
    for i in range(n):
        value = solved(problem, c=costs[i], b=instance["b"][i], A=instance["A"][i])
        assert solution.objectives[i] == pytest.approx(value, abs=1e-6)
        own = {name: data[i] for name, data in instance.items()}
        general = LinearProgram(oracle.program(own)).solve(costs[i : i + 1])
        assert general.objectives[0] == pytest.approx(value, abs=1e-6)
    np.testing.assert_allclose(
        oracle.evaluate(costs, solution.decisions, instance), solution.objectives, atol=1e-7
    )
    bad = instance["A"].copy()
    bad[2, 0, 0] = -1.0
    with pytest.raises(InvalidInputError, match="A of instance 2"):
        oracle.solve(costs, {**instance, "A": bad})
    with pytest.raises(InvalidInputError, match=r"b of instance 0 of shape \(3,\)"):
        oracle.solve(costs, {**instance, "b": rng.uniform(size=(n, 3))})


def test_bounds_and_weights_may_be_predicted(rng: np.random.Generator) -> None:
    c, upper, weight = cp.Parameter(3), cp.Parameter(3), cp.Parameter(nonneg=True)
    # costs must not multiply a variable whose own bounds are parameters: that is not DPP
    x, top = cp.Variable(3, nonneg=True), cp.Variable(3, bounds=[0, upper])
    below = [x <= top]
    problem = cp.Problem(cp.Minimize(c @ x + weight * cp.sum_squares(x)), below)
    oracle = from_cvxpy(problem, predicted={"c": c, "upper": upper, "weight": weight})
    costs, tops = rng.normal(size=(6, 3)), rng.uniform(0.1, 1, size=(6, 3))
    weights = rng.uniform(0.5, 2, size=6)
    solution = oracle.solve(costs, {"upper": tops, "weight": weights})
    expected = np.clip(-costs / (2 * weights[:, None]), 0, tops)
    np.testing.assert_allclose(solution.decisions, expected, atol=1e-4)
    linear = from_cvxpy(cp.Problem(cp.Minimize(c @ x), below), predicted={"c": c, "upper": upper})
    np.testing.assert_allclose(
        linear.solve(costs, {"upper": tops}).decisions, np.where(costs < 0, tops, 0), atol=1e-9
    )


def test_default_instance_data_is_that_of_the_import(rng: np.random.Generator) -> None:
    x = cp.Variable(2, nonneg=True)
    c, b, fixed = cp.Parameter(2), cp.Parameter(), cp.Parameter(2)
    problem = cp.Problem(cp.Minimize(c @ x), [cp.sum(x) == b, x <= fixed])
    fixed.value = [5.0, 6.0]
    with pytest.raises(InvalidInputError, match="got no instance data 'b'"):
        from_cvxpy(problem, predicted={"c": c, "b": b}).solve(np.ones((1, 2)))
    b.value = 2.0
    oracle = from_cvxpy(problem, predicted={"c": c, "b": b})
    b.value = 3.0
    fixed.value = [0.0, 0.0]
    costs = np.array([[1.0, 2.0], [2.0, 1.0]])
    np.testing.assert_allclose(oracle.solve(costs).decisions, [[2, 0], [0, 2]], atol=1e-9)
    check_oracle(oracle)
    fixed.value = None
    with pytest.raises(InvalidInputError, match="has no value and is not predicted"):
        from_cvxpy(problem, predicted={"c": c, "b": b}).solve(costs)


def test_second_order_cones_match_the_portfolio_oracle(rng: np.random.Generator) -> None:
    F = rng.normal(size=(6, 6))
    covariance = F @ F.T
    risk = 0.5 * covariance.mean() + 0.5 * np.diag(covariance).min()
    x = cp.Variable(6, nonneg=True)
    r = cp.Parameter(6, name="r")
    problem = cp.Problem(cp.Maximize(r @ x), [cp.sum(x) == 1, cp.quad_form(x, covariance) <= risk])
    oracle = from_cvxpy(problem, predicted={"r": r})
    own = Maximize(Portfolio(covariance, risk))
    returns = rng.normal(size=(30, 6))
    found, expected = oracle.solve(returns), own.solve(returns)
    np.testing.assert_allclose(found.decisions, expected.decisions, atol=1e-4)
    np.testing.assert_allclose(found.objectives, expected.objectives, atol=1e-7)
    assert oracle.minimizing.linear_objective
    with pytest.raises(UnsupportedError, match="quadratic objective or cones"):
        oracle.minimizing.program()
    check_oracle(oracle)


@pytest.mark.parametrize("through_expressions", [False, True])
def test_quadratic_known_part(through_expressions: bool, rng: np.random.Generator) -> None:
    F = rng.normal(size=(4, 4))
    x = cp.Variable(4)
    c, b = cp.Parameter(4, name="c"), cp.Parameter(nonneg=True, name="b")
    known = cp.sum_squares(F @ x) if through_expressions else cp.quad_form(x, F.T @ F)
    problem = cp.Problem(cp.Minimize(c @ x + known), [cp.sum(x) == b, cp.norm(x) <= 10])
    oracle = from_cvxpy(problem, predicted={"c": c, "b": b})
    costs, right = rng.normal(size=(5, 4)), rng.uniform(size=5)
    solution = oracle.solve(costs, {"b": right})
    for i in range(5):
        assert solved(problem, c=costs[i], b=right[i]) == pytest.approx(
            solution.objectives[i], abs=1e-6
        )
        kkt = np.block([[2 * F.T @ F, np.ones((4, 1))], [np.ones((1, 4)), 0]])
        w = np.linalg.solve(kkt, np.append(-costs[i], right[i]))[:4]
        if np.linalg.norm(w) <= 10:
            np.testing.assert_allclose(solution.decisions[i], w, atol=1e-5)
    W = rng.normal(size=(5, 4)) / 4
    W += (right - W.sum(axis=1))[:, None] / 4
    expected = np.vecdot(costs, W) + np.square(W @ F.T).sum(axis=1)
    np.testing.assert_allclose(oracle.evaluate(costs, W, {"b": right}), expected, atol=1e-6)
    if through_expressions:
        W[3] += 1.0
        with pytest.raises(InvalidInputError, match="instance 3 is not attainable"):
            oracle.evaluate(costs, W, {"b": right})


def test_exponential_and_semidefinite_cones(rng: np.random.Generator) -> None:
    x = cp.Variable(3)
    c = cp.Parameter(3)
    entropy = from_cvxpy(
        cp.Problem(cp.Minimize(c @ x - cp.sum(cp.entr(x))), [cp.sum(x) == 1]), {"c": c}
    )
    costs = rng.normal(size=(5, 3))
    weights = np.exp(-costs)
    expected = weights / weights.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(entropy.solve(costs).decisions, expected, atol=1e-4)
    X = cp.Variable((3, 3), symmetric=True)
    C = cp.Parameter((3, 3))
    spectral = from_cvxpy(
        cp.Problem(cp.Minimize(cp.sum(cp.multiply(C, X))), [X >> 0, cp.trace(X) == 1]), {"C": C}
    )
    matrices = rng.normal(size=(5, 3, 3))
    smallest = np.linalg.eigvalsh((matrices + matrices.transpose(0, 2, 1)) / 2)[:, 0]
    found = spectral.solve(matrices.reshape(5, 9)).objectives
    np.testing.assert_allclose(found, smallest, atol=1e-7)


def test_a_pickle_takes_the_problem_along(rng: np.random.Generator) -> None:
    x = cp.Variable(3)
    c, b = cp.Parameter(3), cp.Parameter(nonneg=True)
    oracle = from_cvxpy(cp.Problem(cp.Maximize(c @ x), [cp.norm(x) <= b]), {"c": c, "b": b})
    copied = pickle.loads(pickle.dumps(oracle))  # noqa: S301
    costs, radius = rng.normal(size=(4, 3)), rng.uniform(1, 2, size=4)
    expected = radius[:, None] * costs / np.linalg.norm(costs, axis=1, keepdims=True)
    for one in (oracle, copied):
        np.testing.assert_allclose(one.solve(costs, {"b": radius}).decisions, expected, atol=1e-6)


def test_infeasible_and_unbounded() -> None:
    x = cp.Variable(2)
    c, b = cp.Parameter(2), cp.Parameter()
    problem = cp.Problem(cp.Minimize(c @ x), [cp.norm(x) <= 1, x[0] >= b])
    with pytest.raises(InfeasibleError, match="instance 1"):
        from_cvxpy(problem, {"c": c, "b": b}).solve(np.ones((2, 2)), {"b": np.array([0.0, 2.0])})
    problem = cp.Problem(cp.Minimize(c @ x), [cp.norm(x) <= x[0] + 1])
    with pytest.raises(UnboundedError, match="instance 0"):
        from_cvxpy(problem, {"c": c}).solve(np.array([[-1.0, 0.0]]))


def test_what_is_not_supported_is_refused_by_name() -> None:
    x, k = cp.Variable(2), cp.Variable(2, integer=True)
    c, d, s = cp.Parameter(2), cp.Parameter(2), cp.Parameter(2, nonneg=True)
    S, whole = cp.Parameter((2, 2), symmetric=True), cp.Parameter(2, integer=True)
    free = [cp.norm(x) <= 1]
    for problem, predicted, match in (
        (cp.Problem(cp.Minimize((c @ d) * x[0]), free), {"c": c}, "not DPP"),
        (cp.Problem(cp.Minimize(c @ x), [x[0] >= c @ d]), {"c": c}, "not DPP"),
        (cp.Problem(cp.Maximize(c @ x + cp.norm(x)), free), {"c": c}, "not convex"),
        (cp.Problem(cp.Minimize(cp.sum_squares(x - c)), free), {"c": c}, "'c' must enter the obj"),
        (cp.Problem(cp.Minimize(c @ x), [x >= c]), {"c": c}, "'c' must enter the objective lin"),
        (cp.Problem(cp.Minimize(s @ x), free), {"s": s}, "'s' are declared nonneg"),
        (cp.Problem(cp.Minimize(whole @ x), free), {"c": whole}, "'c' are declared integer"),
        (cp.Problem(cp.Minimize(c @ k), [cp.norm(k) <= 2]), {"c": c}, "has integer variables"),
        (cp.Problem(cp.Minimize(c @ x), [S @ x >= 0]), {"c": c, "S": S}, "'S' is declared with"),
    ):
        with pytest.raises(UnsupportedError, match=match):
            from_cvxpy(problem, predicted)


def test_arguments_are_checked() -> None:
    x = cp.Variable(2)
    c, d, other = cp.Parameter(2), cp.Parameter(2), cp.Parameter(2)
    problem = cp.Problem(cp.Minimize(c @ x + d @ x), [x >= 0, x <= 1])
    for arguments, match in (
        ((x, {"c": c}), "expected cvxpy.Problem"),
        ((problem, {"c": x}), r"predicted\['c'\] of type Variable"),
        ((problem, {"o": other}), r"predicted\['o'\] is not in the problem"),
        ((problem, {"c": c, "d": d}), "c, d all are linear in the objective"),
        ((problem, {}), "none is linear"),
        ((problem, {"c": c}, "e"), "got costs='e', expected one of c"),
    ):
        with pytest.raises(InvalidInputError, match=match):
            from_cvxpy(*arguments)
    oracle = from_cvxpy(problem, {"c": c, "d": d}, costs="c")
    found = oracle.solve(np.array([[1.0, -2.0]]), {"d": np.array([[-3.0, 1.0]])})
    np.testing.assert_allclose(found.decisions, [[1.0, 1.0]])
    np.testing.assert_allclose(found.objectives, [-3.0])


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "cvxpy"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r"dfl-opt\[cvxpy\]"):
        from_cvxpy(object(), {})


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6, 1e12])
def test_large_costs_are_no_proof_of_anything(size: float) -> None:
    import cvxpy

    x, c = cvxpy.Variable(3), cvxpy.Parameter(3)
    known = cvxpy.sum_squares(x)
    problem = cvxpy.Problem(cvxpy.Minimize(c @ x + known), [x >= 0, cvxpy.sum(x) == 1])
    found = from_cvxpy(problem, {"c": c}).solve(np.array([[3.0, 1.0, 2.0]]) * size)
    # small costs leave the known part, which is smallest in the middle
    expected = {1e-6: [1 / 3, 1 / 3, 1 / 3], 1.0: [0.0, 0.75, 0.25]}.get(size, [0.0, 1.0, 0.0])
    np.testing.assert_allclose(found.decisions, [expected], atol=1e-5)


def test_linear_instances_share_one_model(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    built = []
    build = HighsModel.__init__

    def counted(self: HighsModel, *data: Any) -> None:
        built.append(self)
        build(self, *data)

    monkeypatch.setattr(HighsModel, "__init__", counted)
    n, k, m = 12, 6, 4
    A = rng.uniform(0, 1, (m, k))
    x, c, b, d = cp.Variable(k), cp.Parameter(k), cp.Parameter(m), cp.Parameter(k)
    problem = cp.Problem(cp.Minimize(c @ x + d @ x), [A @ x >= b, x >= 0, x <= 2])
    oracle: Any = from_cvxpy(problem, {"c": c, "b": b, "d": d}, costs="c")
    costs, known = rng.normal(size=(2, n, k))
    sides = rng.uniform(0.2, 1.0, (n, m))
    found = oracle.solve(costs, {"b": sides, "d": known})
    assert len(built) == 1
    for i in range(n):
        c.value, b.value, d.value = costs[i], sides[i], known[i]
        problem.solve(solver=cp.HIGHS)
        assert found.objectives[i] == pytest.approx(problem.value)
    evaluated = oracle.evaluate(costs, found.decisions, {"b": sides, "d": known})
    np.testing.assert_allclose(evaluated, found.objectives, atol=1e-7)
    oracle.solve(costs, {"b": sides, "d": known})
    assert len(built) == 1
