"""The hot HiGHS objects: what stays alive, for whom, and beside other users of HiGHS."""

from __future__ import annotations

import os
import threading

import highspy
import numpy as np
import pytest
from scipy.optimize import linprog

from dfl_solvers.backends import highs as backend
from dfl_solvers.backends.highs import HotProgram
from dfl_solvers.oracle import Status
from dfl_solvers.program import Program


def simplex(k=5):
    return Program(np.ones((1, k)), [1.0], [1.0], np.zeros(k), np.ones(k))


@pytest.fixture
def built(monkeypatch):
    """Count the models passed to HiGHS."""
    calls = []
    build = backend._model

    def counted(*args, **options):
        calls.append(threading.get_ident())
        return build(*args, **options)

    monkeypatch.setattr(backend, "_model", counted)
    return calls


def test_one_model_a_thread_however_many_solves(built, rng):
    hot = HotProgram(simplex())

    def work():
        for _ in range(3):
            costs = rng.normal(size=(4, 5))
            np.testing.assert_allclose(hot.solve(costs).objectives, costs.min(axis=1))

    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(built) == 2
    assert len(set(built)) == 2


def test_the_basis_is_kept():
    hot = HotProgram(simplex(30))
    costs = np.linspace(1, 2, 30)[None]
    hot.solve(costs)
    highs = hot.model().highs
    before = highs.getInfo().simplex_iteration_count
    hot.solve(3 * costs)
    assert before > 0
    assert highs.getInfo().simplex_iteration_count == 0


def test_costs_are_scaled_exactly():
    seen = {}

    class Spy:
        def changeColsCost(self, k, index, costs):
            seen["costs"] = costs

    for costs in ([3e-9, -1e-9], [0.0, 0.0], [1e300, 1.0], [5e-324, 0.0]):
        backend._set_costs(Spy(), np.array(costs))
        assert np.isfinite(seen["costs"]).all()
        largest = np.abs(seen["costs"]).max()
        assert largest == 0 or 512 <= largest < 1024
    backend._set_costs(Spy(), np.array([0.3, 0.1 + 0.2]))
    assert seen["costs"][1] / seen["costs"][0] == (0.1 + 0.2) / 0.3


def test_numerical_trouble_is_tried_again_from_nothing(monkeypatch):
    run, outcomes = backend.run_highs, []

    def trouble(highs):
        outcomes.append(run(highs))
        return highspy.HighsModelStatus.kSolveError if len(outcomes) == 1 else outcomes[-1]

    monkeypatch.setattr(backend, "run_highs", trouble)
    solution = HotProgram(simplex(3)).solve(np.array([[2.0, 1.0, 3.0]]))
    assert len(outcomes) == 2
    np.testing.assert_allclose(solution.decisions, [[0, 1, 0]])

    monkeypatch.setattr(backend, "run_highs", lambda highs: highspy.HighsModelStatus.kSolveError)
    assert HotProgram(simplex(3)).solve(np.ones((1, 3))).status.tolist() == [Status.FAILED]


def test_beside_a_parallel_highs_of_the_same_thread():
    def work():
        other = highspy.Highs()
        other.setOptionValue("output_flag", False)
        other.setOptionValue("threads", 2)
        other.addVar(0.0, 1.0)
        statuses.append(other.run())
        statuses.append(hot.solve(np.array([[3.0, 1.0, 2.0]])).objectives[0])
        other.changeColCost(0, -1.0)
        statuses.append(other.run())

    hot, statuses = HotProgram(simplex(3)), []
    thread = threading.Thread(target=work)  # a scheduler belongs to its thread
    thread.start()
    thread.join()
    assert statuses == [highspy.HighsStatus.kOk, 1.0, highspy.HighsStatus.kOk]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_mixed_integer_after_fork(rng):
    program = Program(
        rng.uniform(1, 5, (2, 12)),
        [-np.inf] * 2,
        [15.0] * 2,
        np.zeros(12),
        np.ones(12),
        np.ones(12, dtype=bool),
    )
    hot = HotProgram(program)
    costs = rng.normal(size=(3, 12))
    expected = hot.solve(costs).objectives
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if np.allclose(hot.solve(costs).objectives, expected) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_the_primal_simplex_gives_up_on_goes_to_the_dual() -> None:
    # on this flow from node 0 to node 4 HiGHS 1.16 ends without an answer
    ends = [(0, 7), (), (1, 6), (6, 4), (), (2, 3), (4, 3), (2, 1), (5, 3), (), (), (7, 4), (),
            (5, 4), (1, 5), (6, 7), (1, 4), (2, 5), (4, 7), (6, 2), (7, 0), (0, 7), (7, 2), (1, 2),
            (0, 7), (5, 4), (1, 3), (1, 6), (3, 0), (0, 5)]  # fmt: skip
    closed = [1, 4, 5, 6, 8, 9, 10, 12, 18, 20, 26, 28]
    costs = [
        0.86,
        0.13,
        0.09,
        0.48,
        0.69,
        0.81,
        0.2,
        0.43,
        0.45,
        0.31,
        0.68,
        0.54,
        0.42,
        0.77,
        0.3,
        0.6,
        0.78,
        0.34,
        0.03,
        0.0,
        0.79,
        0.81,
        0.71,
        0.02,
        0.26,
        0.95,
        0.56,
        0.43,
        0.97,
        0.97,
    ]
    A = np.zeros((8, 30))
    for edge, pair in enumerate(ends):
        if pair:
            A[pair[0], edge], A[pair[1], edge] = 1.0, -1.0
    supply = np.array([1.0, 0, 0, 0, -1, 0, 0, 0])
    upper = np.ones(30)
    upper[closed] = 0.0
    program = Program(A, supply, supply, np.zeros(30), upper)
    found = HotProgram(program).solve(np.array([costs]))
    expected = linprog(
        costs, A_eq=A, b_eq=supply, bounds=list(zip(np.zeros(30), upper, strict=True))
    )
    assert found.status[0] == Status.OPTIMAL
    assert found.objectives[0] == pytest.approx(expected.fun)
