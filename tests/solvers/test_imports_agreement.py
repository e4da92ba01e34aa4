"""One problem, six ways to hold it: the same decisions and the same training."""

from __future__ import annotations

import highspy  # noqa: F401  (before CVXPY and PyEPO, which load ortools)
import numpy as np
import pytest

from dfl_solvers.imports import from_cvxpy, from_file, from_gurobi, from_pyepo, to_pyepo
from dfl_solvers.oracle import Oracle
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.problems.shortest_path import GridShortestPath

cp = pytest.importorskip("cvxpy")
gp = pytest.importorskip("gurobipy")
pyepo = pytest.importorskip("pyepo")

GRID = GridShortestPath(5, 5)
WAYS = ["file", "gurobi", "cvxpy", "pyepo", "native pyepo", "there and back", "matrix form"]


@pytest.fixture(scope="module")
def oracles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Oracle]:
    """The 5 x 5 grid in every form in which a user may hold it."""
    edges, supply = GRID.edges(), np.zeros(25)
    supply[[0, -1]] = 1, -1
    model = gp.Model(env=gp.Env(params={"OutputFlag": 0}))
    flow = model.addVars(map(tuple, edges), ub=1.0, name="flow")
    model.addConstrs(flow.sum(i, "*") - flow.sum("*", i) == supply[i] for i in range(25))
    path = tmp_path_factory.mktemp("grid") / "grid.mps"
    model.write(str(path))
    x, c = cp.Variable(40, bounds=[0, 1]), cp.Parameter(40)
    incidence = np.zeros((25, 40))
    incidence[edges[:, 0], np.arange(40)] = 1
    incidence[edges[:, 1], np.arange(40)] = -1
    problem = cp.Problem(cp.Minimize(c @ x), [incidence @ x == supply])
    gp.setParam("OutputFlag", 0)
    theirs = pyepo.model.grb.shortestPathModel((5, 5))
    return {
        "file": from_file(path, costs=[f"flow[{i},{j}]" for i, j in edges]),
        "gurobi": from_gurobi(model, flow),
        "cvxpy": from_cvxpy(problem, predicted={"c": c}),
        "pyepo": from_pyepo(theirs, native=False),
        "native pyepo": from_pyepo(theirs),
        "there and back": from_pyepo(to_pyepo(GRID)),
        "matrix form": LinearProgram(GRID.program()),
    }


def training_curve(oracle: Oracle, X: np.ndarray, C: np.ndarray) -> np.ndarray:
    """Return the SPO+ loss of a linear predictor, epoch by epoch, in batches of 16."""
    W = np.zeros((X.shape[1], C.shape[1]))
    best = oracle.solve(C).decisions
    losses = []
    for _ in range(4):
        total = 0.0
        for rows in np.split(np.arange(len(X)), len(X) // 16):
            shifted = 2 * X[rows] @ W - C[rows]
            difference = best[rows] - oracle.solve(shifted).decisions
            total += np.vecdot(shifted, difference).sum()
            W -= 0.02 * X[rows].T @ (2 * difference) / 16
        losses.append(total / len(X))
    return np.array(losses)


@pytest.mark.parametrize("way", WAYS)
def test_decisions_are_those_of_the_grid(way: str, oracles: dict[str, Oracle]) -> None:
    costs = np.random.default_rng(0).normal(size=(100, 40))
    found, expected = oracles[way].solve(costs), GRID.solve(costs)
    np.testing.assert_allclose(found.decisions, expected.decisions, atol=1e-9)
    np.testing.assert_allclose(found.objectives, expected.objectives, atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_training_curves_are_those_of_the_grid(way: str, oracles: dict[str, Oracle]) -> None:
    rng = np.random.default_rng(1)
    X = np.hstack([rng.normal(size=(64, 4)), np.ones((64, 1))])
    C = np.abs(X @ rng.normal(size=(5, 40))) + rng.uniform(0.5, 1.5, size=(64, 40))
    expected = training_curve(GRID, X, C)
    np.testing.assert_allclose(training_curve(oracles[way], X, C), expected, rtol=1e-6)
    assert expected[-1] < 0.8 * expected[0]
