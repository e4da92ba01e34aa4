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
    Ball,
    Box,
    Counting,
    EnergyScheduling,
    FromCallable,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    Maximize,
    MixedIntegerProgram,
    Oracle,
    Portfolio,
    Program,
    Simplex,
    TopK,
    check_oracle,
    minimizing,
)
from dfl_solvers.kernels import set_threads

A = np.array([[1.0, 2.0, 0.0, 1.0], [0.0, 1.0, 3.0, 1.0]])
MAP = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 1.0]])
PLAIN = Program(A, [1, 1], [3, 4], np.zeros(4), np.full(4, 2.0))
MAPPED = Program(
    A, [1, 1], [3, 4], np.zeros(4), np.full(4, 2.0), [1, 1, 0, 0], [0.5, -0.2, 0.1, 0.3], MAP
)
FACTORS = np.random.default_rng(0).normal(size=(6, 2))
COVARIANCE = FACTORS @ FACTORS.T + np.eye(6)
JOBS = ([3, 2, 4], [0, 1, 0], [10, 24, 12], [2.0, 3.0, 1.0], [[2.0], [1.0], [2.0]], [[3.0], [2.0]])


def cheapest(costs: np.ndarray) -> np.ndarray:
    """Choose the cheapest of three; at module level, so that it pickles."""
    return np.eye(3)[costs.argmin()]


ORACLES: dict[str, Oracle] = {
    "ball": Ball(5, radius=2.0),
    "box": Box(5),
    "energy": EnergyScheduling(*JOBS, slot_minutes=60),
    "energy-relaxed": EnergyScheduling(*JOBS, slot_minutes=60, relax=True),
    "from-callable": FromCallable(cheapest, n_costs=3),
    "grid": GridShortestPath(4, 5),
    "grid-row": GridShortestPath(1, 5),
    "grid-column": GridShortestPath(5, 1),
    "knapsack": Knapsack(np.array([[3.0, 4.0, 5.0, 6.0, 2.0]]), np.array([9.0])),
    "knapsack-3": Knapsack(np.random.default_rng(1).integers(1, 9, (3, 8)), np.full(3, 14.0)),
    "linear-program": LinearProgram(PLAIN),
    "linear-program-mapped": LinearProgram(MAPPED.relax()),
    "integer-program": MixedIntegerProgram(MAPPED),
    "portfolio": Portfolio(COVARIANCE, 2.25 * COVARIANCE.mean()),
    "portfolio-cash": Portfolio(COVARIANCE, 2.25 * COVARIANCE.mean(), budget="at_most"),
    "simplex": Simplex(4),
    "top-k": TopK(6, 2),
    "maximize": Maximize(TopK(6, 2)),
    "counting": Counting(Maximize(GridShortestPath(3, 3))),
}
every = pytest.mark.parametrize("name", ORACLES)


def draw(oracle: Oracle, n: int = 20, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, oracle.n_costs))


@every
def test_the_contract(name: str) -> None:
    check_oracle(ORACLES[name])


@every
def test_copies_and_pickles_answer_alike(name: str) -> None:
    oracle = ORACLES[name]
    costs = draw(oracle)
    found = oracle.solve(costs).decisions
    for other in (copy.deepcopy(oracle), pickle.loads(pickle.dumps(oracle))):  # noqa: S301
        np.testing.assert_array_equal(other.solve(costs).decisions, found)


@every
def test_repr_rebuilds(name: str) -> None:
    oracle = ORACLES[name]
    text = repr(oracle)
    if "Program(" in text or "cheapest" in text:
        pytest.skip("its parameter is an object of the user's")
    costs = draw(oracle)
    names = {name: getattr(dfl_solvers, name) for name in dir(dfl_solvers)}
    rebuilt = eval(text, names)  # noqa: S307
    np.testing.assert_array_equal(rebuilt.solve(costs).decisions, oracle.solve(costs).decisions)


@every
def test_any_number_of_threads_gives_the_same(name: str) -> None:
    oracle = ORACLES[name]
    if isinstance(minimizing(oracle)[0], (LinearProgram, MixedIntegerProgram, FromCallable)):
        pytest.skip("runs in the calling thread only")
    costs = draw(oracle, n=1100)
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
    costs = data.draw(arrays(float, (3, oracle.n_costs), elements=st.integers(-2, 2).map(float)))
    program = held.program()
    general = MixedIntegerProgram(program) if program.integrality.any() else LinearProgram(program)
    np.testing.assert_allclose(
        oracle.solve(costs).objectives, sign * general.solve(sign * costs).objectives, atol=1e-7
    )


@every
def test_the_sign_contract(name: str) -> None:
    oracle = ORACLES[name]
    if minimizing(oracle)[1] == -1:
        pytest.skip("maximizes already")
    values = draw(oracle)
    up, down = Maximize(oracle).solve(values), oracle.solve(-values)
    np.testing.assert_array_equal(up.decisions, down.decisions)
    np.testing.assert_array_equal(up.objectives, -down.objectives)
    np.testing.assert_allclose(Maximize(oracle).evaluate(values, up.decisions), up.objectives)
