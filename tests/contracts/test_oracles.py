"""What holds for every oracle: adding one is one line of ``ORACLES``."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import dfl_solvers
from dfl_solvers import (
    Assignment,
    Ball,
    Box,
    Cached,
    Counting,
    DiverseMatching,
    Ellipsoid,
    EnergyScheduling,
    EntropyBall,
    FromCallable,
    GridPerfectMatching,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    LogBarrierSimplex,
    Maximize,
    MeanVariancePortfolio,
    MinimumSpanningTree,
    MixedIntegerProgram,
    Newsvendor,
    NodeGridShortestPath,
    Oracle,
    Parallel,
    Pool,
    Portfolio,
    Program,
    Ranking,
    ShortestPath,
    Simplex,
    TopK,
    TravelingSalesman,
    WithBackend,
    check_oracle,
    minimizing,
)
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import set_threads

A = np.array([[1.0, 2.0, 0.0, 1.0], [0.0, 1.0, 3.0, 1.0]])
MAP = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 1.0]])
PLAIN = Program(A, [1, 1], [3, 4], np.zeros(4), np.full(4, 2.0))
MAPPED = Program(
    A, [1, 1], [3, 4], np.zeros(4), np.full(4, 2.0), [1, 1, 0, 0], [0.5, -0.2, 0.1, 0.3], MAP
)
FACTORS = np.random.default_rng(0).normal(size=(6, 2))
COVARIANCE = FACTORS @ FACTORS.T + np.eye(6)
DEMAND = np.random.default_rng(2).integers(0, 9, (7, 5))
DAG = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (0, 3), (0, 3)]
CYCLIC = [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 3), (1, 3), (3, 1)]
NETWORK = [(0, 1), (2, 1), (2, 3), (3, 0), (0, 2), (4, 2), (3, 4), (4, 3)]
SAME_FIELD = np.random.default_rng(3).random((4, 3)) < 0.4
JOBS = ([3, 2, 4], [0, 1, 0], [10, 24, 12], [2.0, 3.0, 1.0], [[2.0], [1.0], [2.0]], [[3.0], [2.0]])


def cheapest(costs: np.ndarray) -> np.ndarray:
    """Choose the cheapest of three; at module level, so that it pickles."""
    return np.eye(3)[costs.argmin()]


ORACLES: dict[str, Oracle] = {
    "assignment": Assignment(4),
    "assignment-one": Assignment(1),
    "ball": Ball(5, radius=2.0),
    "box": Box(5),
    "diverse-matching": DiverseMatching(SAME_FIELD, 0.4, 0.25),
    "ellipsoid": Ellipsoid(COVARIANCE, level=2.0),
    "energy": EnergyScheduling(*JOBS, slot_minutes=60),
    "energy-relaxed": EnergyScheduling(*JOBS, slot_minutes=60, relax=True),
    "entropy-ball": EntropyBall(6),
    "from-callable": FromCallable(cheapest, n_costs=3),
    "graph": ShortestPath(DAG, 0, 3),
    "graph-with-cycles": ShortestPath(CYCLIC, 0, 3),
    "grid": GridShortestPath(4, 5),
    "grid-row": GridShortestPath(1, 5),
    "grid-column": GridShortestPath(5, 1),
    "grid-matching": GridPerfectMatching(3, 4),
    "knapsack": Knapsack(np.array([[3.0, 4.0, 5.0, 6.0, 2.0]]), np.array([9.0])),
    "knapsack-equal": Knapsack(np.full((1, 16), 3.0), np.array([25.0])),
    "knapsack-half": Knapsack(np.random.default_rng(2).uniform(0, 1, (3, 20)), np.full(3, 5.0)),
    "knapsack-3": Knapsack(np.random.default_rng(1).integers(1, 9, (3, 8)), np.full(3, 14.0)),
    "linear-program": LinearProgram(PLAIN),
    "linear-program-grid": LinearProgram(GridShortestPath(4, 4).program()),
    "linear-program-highs": LinearProgram(PLAIN, backend="highs"),
    "linear-program-mapped": LinearProgram(MAPPED.relax()),
    "log-barrier-simplex": LogBarrierSimplex(6),
    "mean-variance": MeanVariancePortfolio(COVARIANCE, 2.0),
    "mean-variance-cash": MeanVariancePortfolio(COVARIANCE, 2.0, budget="at_most"),
    "newsvendor": Newsvendor(DEMAND, 4.0, 1.0),
    "newsvendor-capacity": Newsvendor(DEMAND, 4.0, 1.0, 12.0),
    "node-grid": NodeGridShortestPath(3, 4),
    "integer-program": MixedIntegerProgram(MAPPED),
    "portfolio": Portfolio(COVARIANCE, 2.25 * COVARIANCE.mean()),
    "portfolio-cash": Portfolio(COVARIANCE, 2.25 * COVARIANCE.mean(), budget="at_most"),
    "ranking": Ranking(5),
    "ranking-weights": Ranking(4, [0.5, 0.0, 1.0, 0.5]),
    "simplex": Simplex(4),
    "spanning-tree": MinimumSpanningTree(5, NETWORK),
    "top-k": TopK(6, 2),
    "traveling-salesman": TravelingSalesman(5),
    "maximize": Maximize(TopK(6, 2)),
    "cached": Cached(Maximize(TopK(6, 2))),
    "parallel": Parallel(Maximize(TopK(6, 2))),
    "pool": Pool(TopK(6, 2), solve_ratio=1.0),
    "counting": Counting(Maximize(GridShortestPath(3, 3))),
    "with-backend": WithBackend(Knapsack([[3.0, 4.0, 5.0, 6.0, 2.0]], [9.0])),
    "with-backend-relaxed": WithBackend(MixedIntegerProgram(MAPPED), relaxed=True),
}
# there a cost below zero can make a cycle of negative cost, and then no path is the shortest
NONNEGATIVE = {"graph-with-cycles", "node-grid"}
every = pytest.mark.parametrize("name", ORACLES)


def draw(name: str, n: int = 20, seed: int = 1) -> np.ndarray:
    costs = np.random.default_rng(seed).normal(size=(n, ORACLES[name].n_costs))
    return np.abs(costs) if name in NONNEGATIVE else costs


@every
def test_the_contract(name: str) -> None:
    check_oracle(ORACLES[name], draw(name, seed=0))


@every
def test_copies_and_pickles_answer_alike(name: str) -> None:
    oracle = ORACLES[name]
    costs = draw(name)
    found = oracle.solve(costs).decisions
    for other in (copy.deepcopy(oracle), pickle.loads(pickle.dumps(oracle))):  # noqa: S301
        np.testing.assert_array_equal(other.solve(costs).decisions, found)


@every
def test_repr_rebuilds(name: str) -> None:
    oracle = ORACLES[name]
    text = repr(oracle)
    if "Program(" in text or "cheapest" in text:
        pytest.skip("its parameter is an object of the user's")
    costs = draw(name)
    names = {name: getattr(dfl_solvers, name) for name in dir(dfl_solvers)}
    rebuilt = eval(text, names)  # noqa: S307
    np.testing.assert_array_equal(rebuilt.solve(costs).decisions, oracle.solve(costs).decisions)


@every
def test_any_number_of_threads_gives_the_same(name: str) -> None:
    oracle = ORACLES[name]
    general = MixedIntegerProgram | FromCallable | WithBackend
    if name == "linear-program-highs" or isinstance(oracle, general):
        pytest.skip("runs in the calling thread only")
    costs = draw(name, n=1100)
    try:
        set_threads(1)
        one = oracle.solve(costs).decisions
        set_threads(3)
        three = oracle.solve(costs).decisions
    finally:
        set_threads(None)
    np.testing.assert_array_equal(one, three)


@every
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_ties_of_integer_costs_are_solved(name: str, data: st.DataObject) -> None:
    oracle = ORACLES[name]
    held, sign = minimizing(oracle)
    if not hasattr(held, "program"):
        pytest.skip("no matrix form to compare with")
    least = 0 if name in NONNEGATIVE else -2
    numbers = st.integers(least, least + 4).map(float)
    costs = data.draw(arrays(float, (3, oracle.n_costs), elements=numbers))
    program = held.program()
    general = (
        MixedIntegerProgram(program)
        if program.integrality.any()
        else LinearProgram(program, backend="highs")
    )
    np.testing.assert_allclose(
        oracle.solve(costs).objectives, sign * general.solve(sign * costs).objectives, atol=1e-7
    )


@every
def test_the_sign_contract(name: str) -> None:
    oracle = ORACLES[name]
    if minimizing(oracle)[1] == -1:
        pytest.skip("maximizes already")
    values = -draw(name) if name in NONNEGATIVE else draw(name)
    up, down = Maximize(oracle).solve(values), oracle.solve(-values)
    np.testing.assert_array_equal(up.decisions, down.decisions)
    np.testing.assert_array_equal(up.objectives, -down.objectives)
    np.testing.assert_allclose(Maximize(oracle).evaluate(values, up.decisions), up.objectives)


SIZES = {
    "assignment": lambda size: Assignment(size),
    "ball": lambda size: Ball(size),
    "box": lambda size: Box(size),
    "energy": lambda size: EnergyScheduling(*JOBS, slot_minutes=size),
    "entropy-ball": lambda size: EntropyBall(size),
    "graph": lambda size: ShortestPath(DAG, 0, 3, size),
    "grid-rows": lambda size: GridShortestPath(size, 2),
    "grid-cols": lambda size: GridShortestPath(2, size),
    "grid-matching": lambda size: GridPerfectMatching(2, size),
    "log-barrier-simplex": lambda size: LogBarrierSimplex(size),
    "node-grid": lambda size: NodeGridShortestPath(size, 2),
    "ranking": lambda size: Ranking(size),
    "simplex": lambda size: Simplex(size),
    "spanning-tree": lambda size: MinimumSpanningTree(size, [(0, 1), (1, 2), (2, 3)]),
    "top-k": lambda size: TopK(size, 1),
    "top-k-chosen": lambda size: TopK(9, size),
    "traveling-salesman": lambda size: TravelingSalesman(size),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_whole_numbers(name: str) -> None:
    make = SIZES[name]
    make(4)
    make(np.int64(4))
    for size in (2.5, 4.0, np.float64(4.0), "4", True, -1):
        with pytest.raises(InvalidInputError, match=r"^\w+: got \w+=.*expected an integer of"):
            make(size)


def test_every_problem_has_a_line() -> None:
    held = {type(minimizing(oracle)[0]).__name__ for oracle in ORACLES.values()}
    for name, home in dfl_solvers._HOMES.items():
        assert name in held or not home.startswith("problems."), f"{name} has no line in ORACLES"
