"""Newsvendor against HiGHS, enumeration and the critical quantile."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import set_threads
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.problems.newsvendor import Newsvendor
from dfl_solvers.testing import check_oracle


def objective(costs, w, demand, shortage, holding):
    """The objective as it is written."""
    short, left = np.maximum(demand - w, 0), np.maximum(w - demand, 0)
    return costs @ w + (short @ shortage + left @ holding).mean()


def draw(rng, K, n, whole=False):
    demand = rng.gamma(2.0, 5.0, size=(K, n))
    shortage, holding = rng.uniform(1, 6, n), rng.uniform(0, 2, n)
    if whole:
        demand, shortage, holding = np.round(demand), np.round(shortage), np.round(holding)
    return demand, shortage, holding


@pytest.mark.parametrize("share", [None, 2.0, 0.9, 0.5, 0.1, 0.001, 0.0])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("K", "n"), [(1, 1), (1, 5), (7, 1), (6, 4), (13, 9)])
def test_agrees_with_a_general_solver(K, n, whole, share):
    rng = np.random.default_rng(K + n)
    demand, shortage, holding = draw(rng, K, n, whole)
    capacity = None if share is None else share * demand.max(axis=0).sum()
    oracle = Newsvendor(demand, shortage, holding, capacity)
    costs = rng.normal(1, 2, size=(25, n))
    if whole:
        costs = np.round(costs)
    found = oracle.solve(costs)
    expected = LinearProgram(oracle.program()).solve(costs).objectives
    np.testing.assert_allclose(found.objectives, expected, atol=1e-7)
    assert (found.decisions >= 0).all()
    assert (found.decisions <= demand.max(axis=0)).all()
    if capacity is not None:
        assert found.decisions.sum(axis=1).max() <= capacity * (1 + 1e-14)
    direct = [
        objective(c, w, demand, shortage, holding)
        for c, w in zip(costs, found.decisions, strict=True)
    ]
    np.testing.assert_allclose(found.objectives, direct, rtol=1e-12, atol=1e-12)


def test_contract(rng):
    demand, shortage, holding = draw(rng, 8, 5)
    for capacity in (None, 40.0, 5.0):
        check_oracle(Newsvendor(demand, shortage, holding, capacity))


def test_the_critical_quantile(rng):
    K, n = 11, 6
    demand, shortage, holding = draw(rng, K, n)
    costs = rng.uniform(-1, 5, size=(200, n))
    found = Newsvendor(demand, shortage, holding).solve(costs).decisions
    ratio = np.clip((shortage - costs) / (shortage + holding), 0, 1)
    rank = np.ceil(K * ratio).astype(int)
    padded = np.vstack([np.zeros(n), np.sort(demand, axis=0)])
    np.testing.assert_array_equal(found, padded[rank, np.arange(n)])


def test_all_combinations_of_breakpoints(rng):
    """Without a capacity, or with whole demands, an optimum lies at breakpoints."""
    for trial in range(20):
        K, n = 4, 3
        demand = rng.integers(0, 5, size=(K, n)).astype(float)
        shortage, holding = rng.integers(0, 6, n).astype(float), rng.integers(0, 3, n).astype(float)
        capacity = None if trial % 4 == 0 else float(rng.integers(0, 9))
        oracle = Newsvendor(demand, shortage, holding, capacity)
        costs = rng.integers(-2, 6, size=(10, n)).astype(float)
        found = oracle.solve(costs)
        grids = [np.arange(top + 1) for top in demand.max(axis=0)]
        allowed = [
            np.array(w) for w in itertools.product(*grids) if capacity is None or sum(w) <= capacity
        ]
        for c, value, decision in zip(costs, found.objectives, found.decisions, strict=True):
            best = min(objective(c, w, demand, shortage, holding) for w in allowed)
            assert value == pytest.approx(best, abs=1e-12)
            assert (decision == np.round(decision)).all()


def test_by_hand():
    demand = [[10.0, 1.0], [20.0, 2.0], [30.0, 3.0], [40.0, 4.0], [50.0, 5.0]]
    # (4 - 1) / (4 + 1) is the third of five demands; at a tie the smaller order
    oracle = Newsvendor(demand, 4.0, 1.0)
    found = oracle.solve([[1.0, 3.5], [4.0, 3.0], [-1.0, -5.0], [0.0, 9.0]])
    np.testing.assert_array_equal(found.decisions, [[30, 1], [0, 1], [50, 5], [40, 0]])
    # order 30: on average 6 left, 6 short; order 1 of the other: 2 short
    assert found.objectives[0] == pytest.approx(30 + 6 + 24 + 3.5 + 8)
    # a capacity goes to the largest gain, and of equal gains to the first item
    tight = Newsvendor(demand, 4.0, 1.0, capacity=25)
    decisions = tight.solve([[1.0, 1.0], [1.0, 1.5], [1.5, 1.0]]).decisions
    np.testing.assert_array_equal(decisions, [[23, 2], [23, 2], [22, 3]])
    np.testing.assert_array_equal(
        Newsvendor(demand, 4.0, 1.0, capacity=0).solve([[1.0, 1.0]]).decisions, [[0, 0]]
    )


def test_ties_go_to_the_first_items():
    oracle = Newsvendor([[2.0] * 4, [4.0] * 4], 5.0, 1.0, capacity=9.0)
    np.testing.assert_array_equal(oracle.solve(np.ones((1, 4))).decisions, [[3, 2, 2, 2]])
    # neither shortage nor leftovers cost anything: what is paid for is ordered, free items are not
    free = Newsvendor([[2.0] * 4, [4.0] * 4], 0.0, 0.0, capacity=9.0)
    found = free.solve([[0.0, -1.0, -1.0, -1.0], [0.0, 0.0, 0.0, 0.0], [-1.0, -3.0, 1.0, -2.0]])
    np.testing.assert_array_equal(found.decisions, [[0, 4, 4, 1], [0, 0, 0, 0], [1, 4, 0, 4]])
    np.testing.assert_array_equal(found.objectives, [-9, 0, -21])


def test_salvage_values():
    # left over units are sold at 2, below the price of 3
    oracle = Newsvendor([[1.0], [2.0], [3.0], [4.0]], 6.0, -2.0)
    found = oracle.solve([[3.0]])
    assert found.decisions[0, 0] == 3.0  # (6 - 3) / (6 - 2) of the demands
    assert found.objectives[0] == pytest.approx(9 + (6 - 2 * 3) / 4)
    check_oracle(oracle)


def test_a_capacity_that_just_suffices_changes_nothing(rng):
    demand, shortage, holding = draw(rng, 9, 7)
    costs = rng.uniform(0, 3, size=(40, 7))
    plain = Newsvendor(demand, shortage, holding).solve(costs).decisions
    capacity = plain.sum(axis=1)
    for factor in (1.0, 1 + 1e-9, 2.0):
        found = Newsvendor(demand, shortage, holding).solve(costs, {"capacity": factor * capacity})
        np.testing.assert_allclose(found.decisions, plain, rtol=1e-12)
    less = Newsvendor(demand, shortage, holding).solve(costs, {"capacity": 0.99 * capacity})
    np.testing.assert_allclose(less.decisions.sum(axis=1), 0.99 * capacity, rtol=1e-12)


def test_gains_of_very_different_size(rng):
    n, K = 6, 12
    demand = rng.gamma(2.0, 5.0, size=(K, n))
    shortage = 10.0 ** np.array([-200.0, -9, 0, 0, 9, 200])
    holding = np.array([1e-200, 0, 1e-12, 1, 1e-3, 0])
    costs = -shortage * rng.uniform(0, 1, size=(8, n))
    oracle = Newsvendor(demand, shortage, holding, 0.5 * demand.max(axis=0).sum())
    found = oracle.solve(costs).decisions
    assert np.isfinite(found).all()
    assert (found.sum(axis=1) <= oracle.capacity * (1 + 1e-14)).all()
    # the item that is worth incomparably more is served in full
    np.testing.assert_array_equal(found[:, -1], demand[:, -1].max())
    np.testing.assert_array_equal(found[:, 0], 0)


def test_prices_beyond_all_reason():
    oracle = Newsvendor([[1.0, 2.0], [3.0, 4.0]], 2.0, 1.0, capacity=5.0)
    found = oracle.solve([[-1e300, -1e300], [1e300, -1e300], [-1e-300, 1e300]]).decisions
    np.testing.assert_array_equal(found, [[3, 2], [0, 4], [3, 0]])


def test_instance_data(rng):
    m, n = 12, 5
    demand, shortage, holding = draw(rng, 9, n)
    oracle = Newsvendor(demand, shortage, holding, 30.0)
    demands = rng.gamma(2.0, 5.0, size=(m, 4, n))  # of another number of scenarios
    capacities = rng.uniform(5, 60, m)
    costs = rng.uniform(-1, 4, size=(m, n))
    for instance in (
        {"demand": demands},
        {"capacity": capacities},
        {"demand": demands, "capacity": capacities},
    ):
        together = oracle.solve(costs, instance)
        again = oracle.evaluate(costs, together.decisions, instance)
        np.testing.assert_allclose(together.objectives, again, rtol=1e-12)
        for i in range(m):
            own = {name: values[i] for name, values in instance.items()}
            alone = Newsvendor(
                own.get("demand", demand), shortage, holding, float(own.get("capacity", 30.0))
            ).solve(costs[i : i + 1])
            np.testing.assert_array_equal(alone.decisions[0], together.decisions[i])
            general = LinearProgram(oracle.program(own)).solve(costs[i : i + 1])
            assert together.objectives[i] == pytest.approx(general.objectives[0], abs=1e-7)


def test_whole_likelihoods_are_repeated_scenarios(rng):
    """Weights of 0, 1, 2, ... agree with scenarios that are listed as often."""
    m, K, n = 20, 7, 4
    demand, shortage, holding = draw(rng, K, n)
    counts = rng.integers(0, 4, size=(m, K))
    counts[:, 0] += 1
    costs = rng.uniform(-0.5, 4, size=(m, n))
    for capacity in (None, 25.0):
        oracle = Newsvendor(demand, shortage, holding, capacity)
        found = oracle.solve(costs, {"likelihood": 0.3 * counts})
        again = oracle.evaluate(costs, found.decisions, {"likelihood": counts})
        np.testing.assert_allclose(found.objectives, again, rtol=1e-12)
        for i in range(m):
            # never more than the largest demand, which here may be an unlikely one
            if (costs[i] < -holding).any():
                continue
            repeated = Newsvendor(np.repeat(demand, counts[i], axis=0), shortage, holding, capacity)
            alone = repeated.solve(costs[i : i + 1])
            assert found.objectives[i] == pytest.approx(alone.objectives[0], rel=1e-9)
            np.testing.assert_allclose(found.decisions[i], alone.decisions[0], rtol=1e-9)


@pytest.mark.parametrize(("m", "n"), [(30, 5), (1, 1), (1, 4), (9, 1)])
@pytest.mark.parametrize("capacity", [None, 40.0, 12.0])
def test_likelihoods_agree_with_a_general_solver(capacity, m, n, rng):
    demand, shortage, holding = draw(rng, 3, n)
    oracle = Newsvendor(demand, shortage, holding, capacity)
    instance = {
        "demand": rng.gamma(2.0, 5.0, size=(m, 11, n)),
        "likelihood": rng.gamma(0.5, size=(m, 11)) * (rng.random((m, 11)) < 0.7) + 1e-3,
    }
    costs = rng.uniform(0, 4, size=(m, n))
    found = oracle.solve(costs, instance)
    for i in range(m):
        own = {name: values[i] for name, values in instance.items()}
        general = LinearProgram(oracle.program(own)).solve(costs[i : i + 1])
        assert found.objectives[i] == pytest.approx(general.objectives[0], abs=1e-7)
    # one demand for all instances, whose weights differ
    own = {"likelihood": instance["likelihood"][:, :3]}
    together = oracle.solve(costs, own).decisions
    for i in range(m):
        alone = oracle.solve(costs[[i]], {"likelihood": own["likelihood"][[i]]}).decisions
        np.testing.assert_array_equal(alone[0], together[i])
    equal = {"demand": instance["demand"], "likelihood": np.full((m, 11), 0.2)}
    plain = oracle.solve(costs, {"demand": instance["demand"]}).objectives
    np.testing.assert_allclose(oracle.solve(costs, equal).objectives, plain, rtol=1e-12)


def test_the_likelihoods_of_one_item_alone_count():
    oracle = Newsvendor([[1.0], [2.0], [3.0], [10.0]], [4.0], [1.0])
    likely = np.array([[0.97, 0.01, 0.01, 0.01]])
    for n in (1, 2):
        found = oracle.solve(np.zeros((n, 1)), {"likelihood": likely.repeat(n, axis=0)})
        np.testing.assert_array_equal(found.decisions, 1.0)


def test_evaluate_of_any_decision(rng):
    demand, shortage, holding = draw(rng, 9, 5)
    oracle = Newsvendor(demand, shortage, holding)
    costs, decisions = rng.normal(size=(30, 5)), rng.uniform(-5, 60, size=(30, 5))
    decisions[0], decisions[1], decisions[2] = 0, demand[3], demand.max(axis=0)
    expected = [
        objective(c, w, demand, shortage, holding) for c, w in zip(costs, decisions, strict=True)
    ]
    np.testing.assert_allclose(oracle.evaluate(costs, decisions), expected, rtol=1e-12)
    assert not oracle.linear_objective


def test_threads_agree(rng):
    demand, shortage, holding = draw(rng, 20, 6)
    oracle = Newsvendor(demand, shortage, holding, 40.0)
    costs = rng.uniform(0, 4, size=(1500, 6))
    try:
        set_threads(1)
        one = oracle.solve(costs)
        set_threads(3)
        three = oracle.solve(costs)
    finally:
        set_threads(None)
    np.testing.assert_array_equal(one.decisions, three.decisions)
    np.testing.assert_array_equal(one.objectives, three.objectives)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], 1.0, 1.0), r"demand of shape \(2,\), expected \(K, n\)"),
        ((np.zeros((0, 2)), 1.0, 1.0), r"demand of shape \(0, 2\)"),
        (([["a"]], 1.0, 1.0), "demand holds no numbers"),
        (([[np.inf]], 1.0, 1.0), "finite numbers as demand"),
        (([[1.0, 2.0], [3.0, -1.0]], 1.0, 1.0), r"demand is -1.0 at \(1, 1\)"),
        (([[1.0, 2.0]], [1.0, 2.0, 3.0], 1.0), r"shortage of shape \(3,\), .* each of 2 items"),
        (([[1.0, 2.0]], [1.0, -2.0], 1.0), "shortage -2.0 of item 1, expected >= 0"),
        (([[1.0, 2.0]], 1.0, [0.0, -1.5]), "holding -1.5 of item 1, expected at least -1.0"),
        (([[1.0]], 1.0, np.nan), "finite numbers as holding"),
        (([[1.0]], 1.0, 1.0, -1.0), "capacity=-1.0"),
        (([[1.0]], 1.0, 1.0, np.nan), "capacity=nan"),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        Newsvendor(*arguments)


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ({"capacity": np.ones((2, 1))}, r"'capacity' of shape \(2, 1\), expected \(2,\)"),
        ({"capacity": np.array([1.0, -1.0])}, "instance 1: got capacity -1"),
        ({"demand": np.ones((2, 3))}, r"'demand' of shape \(2, 3\), expected \(2, K, 2\)"),
        ({"demand": np.ones((2, 3, 4))}, r"'demand' of shape \(2, 3, 4\)"),
        ({"demand": -np.ones((2, 3, 2))}, r"'demand' is -1.0 at \(0, 0, 0\)"),
        ({"likelihood": np.ones((2, 4))}, r"'likelihood' of shape \(2, 4\), expected \(2, 3\)"),
        ({"likelihood": -np.ones((2, 3))}, "instance 0: expected likelihoods >= 0"),
        ({"likelihood": np.zeros((2, 3))}, "instance 0: expected likelihoods >= 0"),
        ({"prices": np.ones(2)}, "knows: capacity, demand"),
    ],
)
def test_bad_instance_data(instance, message):
    with pytest.raises(InvalidInputError, match=message):
        Newsvendor(np.ones((3, 2)), 1.0, 1.0).solve(np.ones((2, 2)), instance)


def test_repr_rebuilds():
    oracle = Newsvendor([[1.0, 2.0]], 3.0, [0.5, 1.0], 2.0)
    text = "Newsvendor(demand=[[1.0, 2.0]], shortage=[3.0, 3.0], holding=[0.5, 1.0], capacity=2.0)"
    assert repr(oracle) == text
    assert repr(eval(text)) == text  # noqa: S307
