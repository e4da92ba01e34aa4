"""Back-ends side by side: linear, mixed-integer and quadratic programs, and six forms of a grid.

Each cell is the processor time of a solve in a batch whose costs differ, in this process and on one
thread: waiting for other programs does not count. Back-ends take turns, round by round, so that a
change of the machine's speed meets all of them. All answers are checked against each other.

Run ``python experiments/benchmarks/backends.py [--write docs/_generated/backends.md]``; it needs
the extras gurobi, ortools, cvxpy and pyepo.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import highspy  # noqa: F401  (before CVXPY and PyEPO, which load ortools)
import numpy as np
import scipy.sparse as sp
from _common import quietly, report

from dfl_solvers import (
    GridShortestPath,
    Knapsack,
    MeanVariancePortfolio,
    Oracle,
    Program,
    WithBackend,
)
from dfl_solvers.imports import from_cvxpy, from_file, from_gurobi, from_pyepo
from dfl_solvers.kernels import set_threads
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.problems.mixed_integer_program import MixedIntegerProgram

ROUNDS = 5
BACKENDS = ("simplex", "highs", "clarabel", "gurobi", "ortools")
INF = np.inf

Solve = Callable[[np.ndarray], np.ndarray]


def dense(rng: np.random.Generator, m: int, k: int) -> Program:
    """Return a dense linear program with m rows and k variables."""
    return Program(
        rng.uniform(0, 1, (m, k)), np.full(m, -INF), np.full(m, k / 4), np.zeros(k), np.ones(k)
    )


def facilities(rng: np.random.Generator, sites: int = 8, customers: int = 20) -> Program:
    """Return a facility location: predicted are the costs of service, known those of opening."""
    service = sites * customers
    k = service + sites
    served = np.zeros((customers, k))
    opened = np.zeros((service, k))
    for i in range(sites):
        for j in range(customers):
            served[j, i * customers + j] = 1
            opened[i * customers + j, [i * customers + j, service + i]] = 1, -1
    return Program(
        sp.csr_array(np.vstack([served, opened])),
        np.concatenate([np.ones(customers), np.full(service, -INF)]),
        np.concatenate([np.ones(customers), np.zeros(service)]),
        np.zeros(k),
        np.ones(k),
        np.arange(k) >= service,
        np.concatenate([np.zeros(service), rng.uniform(2, 4, sites)]),
        sp.csr_array(np.eye(service, k)),
    )


def portfolio(rng: np.random.Generator, n: int) -> tuple[dict[str, Solve], int]:
    """Return a mean-variance portfolio of n assets: ours, and as models for Clarabel and Gurobi."""
    import cvxpy as cp
    import gurobipy as gp

    factors = rng.normal(size=(n, n))
    covariance = factors @ factors.T / n + 0.1 * np.eye(n)
    w, c = cp.Variable(n), cp.Parameter(n)
    risk = cp.quad_form(w, cp.psd_wrap(covariance)) / 2
    problem = cp.Problem(cp.Minimize(c @ w + risk), [cp.sum(w) == 1, w >= 0])
    model = gp.Model(env=gp.Env(params={"OutputFlag": 0, "Threads": 1}))
    weights = model.addMVar(n)
    model.addConstr(weights.sum() == 1)
    model.setObjective(weights @ (covariance / 2) @ weights)
    oracles: dict[str, Oracle] = {
        "clarabel": from_cvxpy(problem, {"c": c}),
        "gurobi": from_gurobi(model, weights),
        "compiled": MeanVariancePortfolio(covariance, 1.0),
    }
    return {name: answers(oracle) for name, oracle in oracles.items()}, n


def answers(oracle: Oracle) -> Solve:
    """Return the function from costs to objectives."""
    return lambda costs: oracle.solve(costs).objectives


def measured(ways: dict[str, Solve], costs: np.ndarray, tolerance: float) -> dict[str, float]:
    """Return the microseconds of a solve of each way, after checking that all agree."""
    expected = None
    for solve in ways.values():  # models are built, code is compiled
        found = solve(costs)
        expected = found if expected is None else expected
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, solve in ways.items():
            times, begun = 0, time.process_time()
            while not times or time.process_time() - begun < 0.05:
                solve(costs)
                times += 1
            seconds[name].append((time.process_time() - begun) / times / len(costs))
    return {name: 1e6 * statistics.median(taken) for name, taken in seconds.items()}


def families() -> str:
    """Measure the back-ends on families of programs, and return the table."""
    rng = np.random.default_rng(0)
    weights = rng.uniform(3, 8, (3, 30))
    linear = {
        "LP, dense, 30 x 50": (dense(rng, 30, 50), 64),
        "LP, dense, 100 x 200": (dense(rng, 100, 200), 32),
        "LP, grid 20 x 20, 400 x 760": (GridShortestPath(20, 20).program(), 16),
    }
    mixed = {
        "MIP, knapsack, 30 items x 3": (Knapsack(weights, weights.sum(axis=1) / 2).program(), 8),
        "MIP, facilities, 8 sites x 20": (facilities(rng), 8),
    }
    header = (*BACKENDS, "compiled")
    lines = [f"| | {' | '.join(header)} |", "|---" * (len(header) + 1) + "|"]
    for name, (program, n) in (linear | mixed).items():
        whole = bool(program.integrality.any())
        general = (MixedIntegerProgram if whole else LinearProgram)(program)
        ways = {
            backend: answers(WithBackend(general, backend))
            for backend in BACKENDS
            if not whole or backend in ("highs", "gurobi", "ortools")
        }
        if "grid" in name:
            ways["compiled"] = answers(GridShortestPath(20, 20))
        if "knapsack" in name:
            ways["compiled"] = answers(Knapsack(weights, weights.sum(axis=1) / 2))
        positive = "grid" in name or "facilities" in name
        costs = rng.uniform(0.5, 2, (n, program.n_costs))
        lines.append(line(name, header, measured(ways, costs if positive else -costs, 1e-5)))
    for n in (20, 50):
        ways, d = portfolio(rng, n)
        taken = measured(ways, rng.normal(size=(32, d)), 1e-5)
        lines.append(line(f"QP, portfolio, {n} assets", header, taken))
    return "\n".join(lines)


def line(name: str, header: tuple[str, ...], taken: dict[str, float]) -> str:
    """Return a row of the table; back-ends that do not take the program have a dash."""
    cells = (number(taken[way]) if way in taken else "-" for way in header)
    return f"| {name} | {' | '.join(cells)} |"


def number(value: float) -> str:
    """Return a number with three digits or, if it is large, without decimals."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def grid_oracles(folder: Path) -> dict[str, Oracle]:
    """Return the 5 x 5 grid in every form in which a user may hold it."""
    import cvxpy as cp
    import gurobipy as gp
    import pyepo

    grid = GridShortestPath(5, 5)
    program, edges = grid.program(), grid.edges()
    supply = np.zeros(25)
    supply[[0, -1]] = 1, -1
    model = gp.Model(env=gp.Env(params={"OutputFlag": 0, "Threads": 1}))
    flow = model.addVars(map(tuple, edges), ub=1.0, name="flow")
    model.addConstrs(flow.sum(i, "*") - flow.sum("*", i) == supply[i] for i in range(25))
    model.write(str(folder / "grid.mps"))
    x, c = cp.Variable(40, bounds=[0, 1]), cp.Parameter(40)
    problem = cp.Problem(cp.Minimize(c @ x), [program.A @ x == program.row_upper])
    gp.setParam("OutputFlag", 0)
    theirs = pyepo.model.grb.shortestPathModel((5, 5))
    return {
        "`GridShortestPath(5, 5)`": grid,
        "`LinearProgram(program)`": LinearProgram(program),
        "an MPS file, `from_file`": from_file(folder / "grid.mps", costs=list(names(edges))),
        "a CVXPY problem, `from_cvxpy`": from_cvxpy(problem, {"c": c}),
        "a gurobipy model, `from_gurobi`": from_gurobi(model, flow),
        "a PyEPO model, `from_pyepo`": from_pyepo(theirs),
        "a PyEPO model, `from_pyepo(native=False)`": from_pyepo(theirs, native=False),
    }


def names(edges: np.ndarray) -> list[str]:
    """Return the names of the variables in the model file."""
    return [f"flow[{i},{j}]" for i, j in edges]


def forms() -> str:
    """Measure the forms of the grid, and return the table."""
    with tempfile.TemporaryDirectory() as folder, quietly():
        ways = {name: answers(oracle) for name, oracle in grid_oracles(Path(folder)).items()}
        costs = np.random.default_rng(0).uniform(0.5, 2, (256, 40))
        taken = measured(ways, costs, 1e-9)
    rows = [f"| {name} | {number(value)} |" for name, value in taken.items()]
    return "\n".join(["| the 5 x 5 grid as | µs a solve |", "|---|---|", *rows])


def table() -> str:
    """Measure, and return the result as two tables in Markdown."""
    set_threads(1)
    return (
        f"Microseconds of processor time a solve, one thread; medians of {ROUNDS} interleaved "
        'rounds. "compiled" is the oracle of the problem itself. A dash: the back-end does not '
        f"take it, or there is no such oracle.\n\n{families()}\n\n{forms()}"
    )


if __name__ == "__main__":
    report(__doc__, table)
