"""The pool: feasible answers, the best it knows, bounded, drawn for each instance."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfl_solvers import (
    Ball,
    Box,
    Counting,
    GridShortestPath,
    Knapsack,
    LinearProgram,
    Maximize,
    MixedIntegerProgram,
    Oracle,
    Program,
    Simplex,
    TopK,
    _pool_memory,
    check_oracle,
    minimizing,
)
from dfl_solvers.cached import Cached
from dfl_solvers.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.oracle import Solution, Status
from dfl_solvers.pool import Pool, PoolCounts
from dfl_solvers.problems.mean_variance import MeanVariancePortfolio
from dfl_solvers.problems.newsvendor import Newsvendor

WEIGHTS = np.random.default_rng(1).integers(1, 9, (3, 8))
PROGRAM = Program(
    [[1.0, 2.0, 0.0, 1.0]], [1], [3], np.zeros(4), np.full(4, 2.0), [1, 1, 0, 0], [0.5, 0, 0, 0.3]
)
FACTORS = np.random.default_rng(0).normal(size=(6, 2))
ORACLES: dict[str, Oracle] = {
    "ball": Ball(5, radius=2.0),
    "grid": GridShortestPath(4, 5),
    "knapsack": Knapsack(WEIGHTS, np.full(3, 14.0)),
    "linear-program": LinearProgram(PROGRAM.relax()),
    "integer-program": MixedIntegerProgram(PROGRAM),
    "mean-variance": MeanVariancePortfolio(FACTORS @ FACTORS.T + np.eye(6), 2.0),
    "newsvendor": Newsvendor(np.random.default_rng(2).uniform(1, 9, (7, 4)), 3.0, 1.0, 12.0),
    "maximize": Maximize(TopK(6, 2)),
    "counting": Counting(Maximize(GridShortestPath(3, 3))),
}
every = pytest.mark.parametrize("name", ORACLES)


def draw(oracle: Oracle, n: int = 20, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, oracle.n_costs))


@every
def test_the_contract(name: str) -> None:
    """With a ratio of one it is the oracle."""
    check_oracle(Pool(ORACLES[name], 1.0))


@every
@pytest.mark.parametrize("ratio", [0.0, 0.4])
def test_an_answer_is_the_best_decision_known(name: str, ratio: float) -> None:
    oracle = ORACLES[name]
    _, sign = minimizing(oracle)
    pool = Pool(oracle, ratio, size=10_000, random_state=3)
    known = pool.solve(draw(oracle)).decisions
    np.testing.assert_array_equal(known, oracle.solve(draw(oracle)).decisions)
    for seed in range(2, 8):
        costs = draw(oracle, 15, seed)
        found = pool.solve(costs)
        best = oracle.solve(costs)
        np.testing.assert_allclose(
            found.objectives, oracle.evaluate(costs, found.decisions), rtol=1e-7, atol=1e-9
        )
        answered = found.status == Status.FEASIBLE
        solved = found.decisions[~answered]
        np.testing.assert_allclose(
            found.objectives[~answered], best.objectives[~answered], rtol=1e-9
        )
        known = np.concatenate([known, solved])
        for i in np.flatnonzero(answered):
            values = oracle.evaluate(np.broadcast_to(costs[i], known.shape), known)
            assert sign * found.objectives[i] <= (sign * values).min() + 1e-7
            assert (known == found.decisions[i]).all(1).any()
        assert (sign * found.objectives >= sign * best.objectives - 1e-7).all()
        assert answered.all() if ratio == 0 else 0 < answered.sum() < 15


def test_counts_and_statuses() -> None:
    inner = Counting(TopK(4, 2))
    pool = Pool(inner, 0.3, random_state=1)
    assert pool.counts == PoolCounts(0, 0, 0)
    found = pool.solve(draw(inner, 50))
    assert (found.status == Status.OPTIMAL).all()
    assert pool.counts == PoolCounts(50, 0, 6)
    found = pool.solve(draw(inner, 1000, seed=2))
    solved = int((found.status == Status.OPTIMAL).sum())
    assert (found.status[found.status != Status.OPTIMAL] == Status.FEASIBLE).all()
    assert 240 < solved < 360  # more than four standard deviations
    assert pool.counts == PoolCounts(50 + solved, 1000 - solved, 6)
    # within a batch, some are solved and some are answered
    assert (inner.counts.calls, inner.counts.instances) == (2, 50 + solved)


def test_the_draws_are_one_an_instance_and_reproducible() -> None:
    costs = [draw(TopK(6, 3), n, seed) for seed, n in enumerate([5, 1, 30, 30, 7, 0, 100])]

    def statuses(seed: int) -> list[list[int]]:
        pool = Pool(TopK(6, 3), 0.5, random_state=seed)
        return [pool.solve(batch).status.tolist() for batch in costs]

    assert statuses(0) == statuses(0)
    assert statuses(0) != statuses(1)
    alone = Pool(TopK(6, 3), 0.5)
    alone.solve(costs[0])
    one_by_one = [int(alone.solve(c[None]).status[0]) for batch in costs[1:] for c in batch]
    assert one_by_one == [s for batch in statuses(0)[1:] for s in batch]


def test_minimizing_shares_pool_and_draws() -> None:
    oracle = Maximize(TopK(6, 2))
    pool = Pool(oracle, 0.2)
    values = draw(oracle, 30)
    pool.solve(values)
    held, sign = minimizing(pool)
    assert sign == -1
    assert isinstance(held, Pool)
    assert held.sign == 1
    assert held.minimizing is held
    found = held.solve(-draw(oracle, 30, 2))
    assert (found.status == Status.FEASIBLE).any()
    assert pool.counts == held.counts
    assert pool.counts.solved + pool.counts.answered == 60
    assert pool.solve(values).objectives.min() > 0


# --- bounded -------------------------------------------------------------------------------------


def test_the_least_recently_useful_decision_leaves() -> None:
    """Costs of Simplex(5) name the decision that is best."""
    inner = Counting(Simplex(5))
    costs = 1.0 - np.eye(5)
    pool = Pool(inner, 0.0, size=3)
    memory = pool._memory

    def held() -> set[int]:
        return {int(np.frombuffer(key).argmax()) for key in memory._slots}

    def add(*names: int) -> None:
        decisions = np.eye(5)[list(names)]
        memory.add(decisions, np.zeros(len(decisions)))

    def ask(name: int) -> None:
        found = pool.solve(costs[name : name + 1])
        assert found.decisions[0, name] == 1

    pool.solve(costs[:1])
    add(1)
    add(2)
    assert held() == {0, 1, 2}
    ask(0)  # order of use is now 1, 2, 0
    add(3)
    assert held() == {0, 2, 3}
    add(2)  # found again, which counts as use: 0, 3, 2
    add(4)
    assert held() == {2, 3, 4}
    ask(3)  # 2, 4, 3
    add(0, 1)
    assert held() == {0, 1, 3}
    add(0, 1, 2, 3, 4)  # those known first, then the last that fit
    assert len(held()) == 3
    assert {2, 4} < held()
    ask(4)
    assert inner.counts.instances == 1


@settings(deadline=None)
@given(
    batches=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=12), max_size=12),
    size=st.integers(1, 8),
)
def test_property_the_pool_is_bounded_distinct_and_consistent(batches: list, size: int) -> None:
    pool = Pool(Box(4), 0.5, size)
    table = np.random.default_rng(0).normal(size=(10, 4))
    for rows in batches:
        found = pool.solve(table[rows])
        memory = pool._memory
        assert pool.counts.size == len(memory._slots) <= size
        for key, slot in memory._slots.items():
            assert memory._decisions[slot].tobytes() == key
        assert sorted(memory._slots.values()) == list(range(len(memory._slots)))
        best = Box(4).solve(table[rows]).objectives
        assert (found.objectives >= best).all()
        solved = found.status == Status.OPTIMAL
        np.testing.assert_array_equal(found.objectives[solved], best[solved])


def test_the_last_of_a_large_first_batch_are_kept() -> None:
    pool = Pool(Ball(3), 0.0, size=4)
    costs = draw(Ball(3), 50)
    first = pool.solve(costs)
    np.testing.assert_array_equal(pool.solve(costs[-4:]).decisions, first.decisions[-4:])
    assert pool.counts == PoolCounts(50, 4, 4)


def test_both_zeros_are_one_decision() -> None:
    class Signed:
        n_costs = 2

        def solve(self, costs: np.ndarray, instance: object = None) -> Solution:
            return Solution(0.0 * costs, np.zeros(len(costs)), np.zeros(len(costs), dtype=np.int8))

        def evaluate(self, costs: np.ndarray, decisions: np.ndarray, instance: object) -> None:
            raise AssertionError

    pool = Pool(Signed(), 0.0)
    pool.solve(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    assert pool.counts.size == 1


def test_blocks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = draw(GridShortestPath(5, 5), 300)
    asked = draw(GridShortestPath(5, 5), 200, 2)

    def answers() -> np.ndarray:
        pool = Pool(GridShortestPath(5, 5), 0.0)
        pool.solve(costs)
        return pool.solve(asked).decisions

    whole = answers()
    for block in (1, 1000):
        monkeypatch.setattr(_pool_memory, "_BLOCK", block)
        np.testing.assert_array_equal(answers(), whole)


@pytest.mark.parametrize("scale", [5e-324, 1e-308, 1e-150, 1.0, 1e150, 8e307])
@pytest.mark.parametrize("name", ["simplex", "newsvendor"])
def test_costs_of_any_size(name: str, scale: float) -> None:
    oracle: Oracle = {"simplex": Simplex(4), "newsvendor": ORACLES["newsvendor"]}[name]
    if name == "newsvendor" and scale > 1e150:
        pytest.skip("its objectives exceed all numbers")
    pool = Pool(oracle, 0.0)
    known = pool.solve(np.concatenate([np.eye(4), -np.eye(4)])).decisions
    costs = scale * (1.0 - 2 * np.eye(4))
    found = pool.solve(costs).decisions
    for c, decision in zip(costs, found, strict=True):
        values = oracle.evaluate(np.broadcast_to(c, known.shape), known)
        assert oracle.evaluate(c[None], decision[None]) == values.min()


def test_dtypes_are_those_of_the_oracle() -> None:
    costs = draw(TopK(4, 2), 30)
    for oracle, kinds in (
        (TopK(4, 2), {"f4": "f4", "f8": "f8", "i8": "f8"}),
        (Knapsack(WEIGHTS[:, :4], np.full(3, 14.0)), {"f4": "f8", "f8": "f8", "i8": "f8"}),
    ):
        for kind, expected in kinds.items():
            pool = Pool(oracle, 0.5)
            first = pool.solve(costs.astype(kind))
            for _ in range(3):
                found = pool.solve(costs.astype(kind))
                assert found.decisions.dtype == np.dtype(expected)
                assert found.objectives.dtype == first.objectives.dtype
            alone = Pool(oracle, 0.0)
            alone.solve(costs.astype(kind))
            found = alone.solve(costs.astype(kind))
            assert (found.decisions.dtype, found.objectives.dtype) == (
                first.decisions.dtype,
                first.objectives.dtype,
            )


# --- errors --------------------------------------------------------------------------------------


def test_instance_data_are_refused() -> None:
    pool = Pool(TopK(3, 1), 0.5)
    costs = np.eye(3)
    pool.solve(costs, None)
    pool.solve(costs, {})
    with pytest.raises(UnsupportedError, match=r"got mask.*change the feasible set"):
        pool.solve(costs, {"mask": np.ones((3, 3), bool)})
    assert pool.instance_fields == frozenset()


def test_parameters_are_checked() -> None:
    for ratio in (-0.1, 1.1, np.nan):
        with pytest.raises(InvalidInputError, match=f"got solve_ratio={ratio}"):
            Pool(Box(2), ratio)
    for size in (0, 2.5):
        with pytest.raises(InvalidInputError, match=f"got size={size}"):
            Pool(Box(2), 0.5, size)  # type: ignore[arg-type]
    for seed in (-1, None, 1.0):
        with pytest.raises(InvalidInputError, match=f"got random_state={seed}"):
            Pool(Box(2), 0.5, random_state=seed)  # type: ignore[arg-type]


def test_wrong_costs_are_for_the_oracle_to_refuse() -> None:
    pool = Pool(TopK(3, 1), 0.3)
    for _ in range(2):  # with an empty pool and with one that could answer
        for costs, message in (
            (np.zeros(3), r"costs of shape \(3,\)"),
            (np.zeros((2, 4)), "4 costs per instance, expected 3"),
            ([["a", "b", "c"]], "cannot be read as an array of numbers"),
            (np.array([[0, 1, 2], [0, 1, np.inf]]), "instance 1, coordinate 2"),
        ):
            with pytest.raises(InvalidInputError, match=message):
                pool.solve(costs)
        pool.solve(np.eye(3))
    assert pool.counts.solved + pool.counts.answered == 6


def test_costs_of_another_length_are_solved_where_any_length_is_accepted() -> None:
    pool = Pool(Box(), 0.0)
    pool.solve(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    found = pool.solve(np.array([[-1.0, 1.0, -1.0]]))
    np.testing.assert_array_equal(found.decisions, [[1.0, 0.0, 1.0]])
    assert pool.counts == PoolCounts(3, 0, 2)


# --- copies and threads --------------------------------------------------------------------------


def test_copies_and_pickles_carry_the_state_and_part_ways() -> None:
    oracle = TopK(6, 3)
    pool = Pool(oracle, 0.5, size=15)
    pool.solve(draw(oracle, 10))
    others = [copy.deepcopy(pool), pickle.loads(pickle.dumps(pool))]  # noqa: S301
    before = pool.counts
    batches = [draw(oracle, 20, seed) for seed in range(2, 6)]
    expected = [pool.solve(batch) for batch in batches]
    for other in others:
        assert other.counts == before
        for batch, solution in zip(batches, expected, strict=True):
            found = other.solve(batch)
            np.testing.assert_array_equal(found.decisions, solution.decisions)
            np.testing.assert_array_equal(found.status, solution.status)
        assert other.counts == pool.counts


def test_it_can_do_what_the_oracle_can() -> None:
    pool = Pool(Counting(TopK(3, 1)), 0.5, 7, 2)
    assert pool.program().n_variables == 3
    assert repr(pool) == (
        "Pool(oracle=Counting(oracle=TopK(n=3, k=1)), solve_ratio=0.5, size=7, random_state=2)"
    )
    assert pool.parameters() == {
        "oracle": pool.oracle, "solve_ratio": 0.5, "size": 7, "random_state": 2,
    }  # fmt: skip
    with pytest.raises(AttributeError, match="nothing"):
        _ = pool.nothing


def test_around_a_cache() -> None:
    inner = Counting(TopK(6, 3))
    cached = Cached(inner)
    pool = Pool(cached, 0.5)
    costs = draw(inner, 40)
    pool.solve(costs)
    for _ in range(3):
        pool.solve(costs)
    assert inner.counts.instances == 40
    assert cached.statistics.hits == pool.counts.solved - 40


def test_four_threads() -> None:
    oracle = Knapsack(WEIGHTS, np.full(3, 14.0))
    pool = Pool(oracle, 0.3, size=12)
    costs = draw(oracle, 60)
    best = oracle.solve(costs).objectives
    wrong: list[object] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            for _ in range(150):
                rows = rng.integers(0, len(costs), 12)
                found = pool.solve(costs[rows])
                feasible = (found.decisions @ WEIGHTS.T <= 14).all()
                solved = found.status == Status.OPTIMAL
                if not feasible or (found.objectives < best[rows] - 1e-12).any():
                    wrong.append(rows)
                if not np.array_equal(found.objectives[solved], best[rows][solved]):
                    wrong.append(rows)
                copy.deepcopy(pool)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert pool.counts.solved + pool.counts.answered == 4 * 150 * 12
    assert pool.counts.size == 12
