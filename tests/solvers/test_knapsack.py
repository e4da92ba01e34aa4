"""Knapsacks of every kind against all subsets, a table by capacity, and HiGHS."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from dfl_solvers import check_oracle
from dfl_solvers.oracle import Status
from dfl_solvers.problems import knapsack
from dfl_solvers.problems.knapsack import Knapsack

KINDS = ["floats", "integers", "decimals", "correlated", "equal", "zeros"]


def draw(rng: np.random.Generator, kind: str, m: int, n: int, batch: int):
    """Return weights (m, n), capacities (m,) and costs (batch, n) of a kind of instance."""
    if kind == "floats":
        weights, costs = rng.uniform(0, 1, (m, n)), -rng.uniform(-0.2, 1, (batch, n))
    elif kind == "integers":
        weights = rng.integers(0, 10, (m, n)).astype(float)
        costs = -rng.integers(-2, 6, (batch, n)).astype(float)
    elif kind == "decimals":
        weights = rng.integers(1, 30, (m, n)) * 0.1
        costs = -rng.integers(1, 50, (batch, n)) * 0.01
    elif kind == "correlated":
        weights = rng.uniform(0.5, 1, (m, n))
        costs = -(weights.sum(0) + rng.uniform(0, 0.01, (batch, 1)))
    elif kind == "equal":
        kept = rng.integers(0, 3, n)
        weights = rng.uniform(1, 2, (m, 3))[:, kept]
        costs = -rng.uniform(1, 2, (batch, 3))[:, kept]
    else:
        weights = rng.integers(0, 2, (m, n)) * rng.uniform(0, 1, (m, n))
        costs = -rng.uniform(0, 1, (batch, n))
    capacities = weights.sum(1) * rng.uniform(0, 0.9)
    if kind in ("integers", "decimals"):  # sums that just fit, but for rounding
        capacities = weights @ (rng.random(n) < 0.5)
    if kind == "zeros":
        capacities[rng.integers(m)] = 0.0
    return weights, capacities, costs


@pytest.fixture(params=["as it is", "long way", "longest way"])
def limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the searches that settle small instances, so that the thorough ones get them."""
    if request.param != "as it is":
        monkeypatch.setattr(knapsack, "_NODES", 0)
    if request.param == "longest way":
        monkeypatch.setattr(knapsack, "_FEW", 0)


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_against_all_subsets(kind: str, m: int) -> None:
    rng = np.random.default_rng([m, KINDS.index(kind)])
    for n in (1, 2, 7, 12):
        subsets = np.array(list(itertools.product([0.0, 1.0], repeat=n)))
        for _ in range(6):
            weights, capacities, costs = draw(rng, kind, m, n, 10)
            fits = (subsets @ weights.T <= capacities * (1 + 1e-9)).all(1)
            best = (costs @ subsets[fits].T).min(1)
            found = Knapsack(weights, capacities).solve(costs)
            np.testing.assert_allclose(found.objectives, best, rtol=1e-12, atol=1e-12)
            assert (found.decisions @ weights.T <= capacities * (1 + 2e-9)).all()
            assert np.isin(found.decisions, (0.0, 1.0)).all()
            assert (found.status == Status.OPTIMAL).all()


def best_by_milp(weights: np.ndarray, capacities: np.ndarray, costs: np.ndarray) -> float:
    result = milp(
        costs,
        constraints=LinearConstraint(weights, ub=capacities),
        bounds=Bounds(0, 1),
        integrality=np.ones(len(costs)),
        options={"mip_rel_gap": 0.0},
    )
    return float(result.fun)


@pytest.mark.parametrize(
    ("m", "n", "batch", "values"),
    [(3, 32, 30, "floats"), (3, 32, 10, "integers"), (3, 32, 4, "correlated"), (8, 25, 4, "floats"),
     (1, 60, 10, "floats"), (1, 60, 10, "integers")],
)  # fmt: skip
def test_half_of_the_weight_against_highs(m: int, n: int, batch: int, values: str) -> None:
    rng = np.random.default_rng(n + m)
    weights = rng.integers(300, 800, (m, n)) / 100
    capacities = weights.sum(1) / 2
    costs = -rng.uniform(0.1, 1, (batch, n))
    if values == "integers":
        costs = -rng.integers(1, 100, (batch, n)).astype(float)
    if values == "correlated":
        costs = -(weights.mean(0) + rng.uniform(0, 2, (batch, n)))
    found = Knapsack(weights, capacities).solve(costs)
    best = [best_by_milp(weights, capacities, c) for c in costs]
    np.testing.assert_allclose(found.objectives, best, rtol=1e-9)
    assert (found.decisions @ weights.T <= capacities * (1 + 1e-9)).all()


def best_by_table(weights: np.ndarray, capacity: int, values: np.ndarray) -> float:
    """Return the best value for integer weights: the textbook table by capacity."""
    table = np.zeros(capacity + 1)
    for weight, value in zip(weights, values, strict=True):
        taken = table[: capacity + 1 - weight] + value
        table[weight:] = np.maximum(table[weight:], taken)
    return float(table[-1])


@pytest.mark.parametrize("first", [0, 300])
@pytest.mark.parametrize("scale", [1.0, 0.01])
@pytest.mark.parametrize("n", [40, 60])
def test_hard_families_of_one_capacity(
    n: int, scale: float, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knapsack, "_NODES", first)
    rng = np.random.default_rng(n)
    spread = rng.integers(1, 1000, n)
    few = rng.choice(rng.integers(50, 100, 4), n)
    noise = rng.integers(0, 50, n)
    for weights, values in [
        (spread, spread), (spread, spread + 100), (spread, spread + noise), (few, few + 13),
        (2 * spread, 2 * spread), (few, few), (spread, np.full(n, 7)),
        (spread, spread * rng.uniform(0.999, 1.001, n)),
    ]:  # fmt: skip
        capacity = int(weights.sum() // 2) | 1  # odd, so that even sums never meet it
        found = Knapsack(weights[None] * scale, [capacity * scale]).solve(
            -values[None].astype(float)
        )
        assert -found.objectives[0] == pytest.approx(
            best_by_table(weights, capacity, values), 1e-12
        )
        assert found.status[0] == Status.OPTIMAL


def test_lists_that_outgrow_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 1, (1, 16))
    capacity = weights.sum(1) / 2
    oracle = Knapsack(weights, capacity)
    sums = np.array(list(itertools.product([0.0, 1.0], repeat=16))) @ weights[0]
    best = sums[sums <= capacity * (1 + 1e-9)].max()
    monkeypatch.setattr(knapsack, "_NODES", 0)
    for most in (1 << 18, 300):  # one list of all items; two that meet
        monkeypatch.setattr(knapsack, "_STATES", most)
        exact = oracle.solve(-weights)
        assert exact.objectives[0] == pytest.approx(-best, rel=1e-12)
        assert exact.status[0] == Status.OPTIMAL
    monkeypatch.setattr(knapsack, "_STATES", 8)  # some states have to go
    rough = oracle.solve(-weights)
    assert rough.status[0] == Status.FEASIBLE
    assert -best <= rough.objectives[0] < -0.99 * best
    assert rough.decisions[0] @ weights[0] <= capacity[0] * (1 + 1e-9)


def test_a_gap_too_small_to_matter_counts_as_optimal() -> None:
    weights = np.random.default_rng(0).uniform(0.1, 1, (1, 60))
    capacity = weights.sum(1) / 2
    found = Knapsack(weights, capacity).solve(-weights)
    assert found.status[0] == Status.OPTIMAL
    assert found.objectives[0] == pytest.approx(-capacity[0], rel=2e-9)


@pytest.mark.parametrize("m", [1, 3])
def test_data_of_each_instance(m: int) -> None:
    rng = np.random.default_rng(m)
    weights = rng.uniform(0, 1, (30, m, 24))
    capacities = weights.sum(2) * rng.uniform(0.1, 0.9, (30, 1))
    mask, costs = rng.random((30, 24)) < 0.8, -rng.uniform(0, 1, (30, 24))
    oracle = Knapsack(weights[0], capacities[0])
    instance = {"weights": weights, "capacities": capacities, "mask": mask}
    found = oracle.solve(costs, instance)
    assert not found.decisions[~mask].any()
    for i in range(30):
        alone = Knapsack(weights[i], capacities[i]).solve(np.where(mask[i], costs[i], 0.0)[None])
        np.testing.assert_array_equal(found.decisions[i], alone.decisions[0])
        best = best_by_milp(weights[i][:, mask[i]], capacities[i], costs[i, mask[i]])
        assert found.objectives[i] == pytest.approx(best, rel=1e-7)


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1e9, 1e200])
@pytest.mark.parametrize("m", [1, 3])
def test_units_do_not_matter(m: int, scale: float) -> None:
    rng = np.random.default_rng(3)
    weights, costs = rng.uniform(0, 1, (m, 30)), -rng.uniform(0, 1, (20, 30))
    a = Knapsack(weights, weights.sum(1) / 2).solve(costs)
    b = Knapsack(weights * scale, weights.sum(1) / 2 * scale).solve(costs / scale**0.5)
    np.testing.assert_array_equal(a.decisions, b.decisions)


@pytest.mark.parametrize("m", [1, 2, 5])
def test_the_contract(m: int) -> None:
    weights = np.random.default_rng(m).uniform(0, 1, (m, 20))
    check_oracle(Knapsack(weights, weights.sum(1) / 2))
