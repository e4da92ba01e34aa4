"""The losses that compare decisions of a pool: exact values, and what the pool holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dfl import DecisionFocusedRegressor, Target, make_loss
from dfl.datasets import make_shortest_path
from dfl.exceptions import InvalidInputError
from dfl.losses import AbstractPoolLoss
from dfl.losses.pool import contained, most_frequent
from dfl.training import Checkpoint, TableSource, train
from dfl_solvers import Box, GridShortestPath, Knapsack, MeanVariancePortfolio, Simplex

POOLED = ("contrastive-map", "nce", "ranking-listwise", "ranking-pairwise", "ranking-pointwise")
SIMPLEX = Simplex(3)
VERTICES = torch.eye(3, dtype=torch.float64)
TRUE = torch.tensor([[1.0, 2.0, 4.0]], dtype=torch.float64)
PREDICTED = torch.tensor([[3.0, 2.0, 1.0]], dtype=torch.float64)

every = pytest.mark.parametrize("name", POOLED)


def pool_loss(name: str, oracle: Any, parameters: dict[str, Any] | None = None) -> AbstractPoolLoss:
    loss = make_loss(name, oracle, parameters)
    assert isinstance(loss, AbstractPoolLoss)
    return loss


@pytest.mark.parametrize(
    ("name", "parameters", "value", "gradient"),
    [
        # 3 - (3 + 2 + 1) / 3
        ("nce", {}, 1.0, (2 / 3, -1 / 3, -1 / 3)),
        # 3 - 1
        ("contrastive-map", {}, 2.0, (1.0, 0.0, -1.0)),
        # (4 + 0 + 9) / 3
        ("ranking-pointwise", {}, 13 / 3, (4 / 3, 0.0, -2.0)),
        # ((3 - 2) + (3 - 1)) / 2
        ("ranking-pairwise", {}, 1.5, (1.0, -0.5, -0.5)),
        ("ranking-pairwise", {"margin": 0.5}, 2.0, (1.0, -0.5, -0.5)),
    ],
)
def test_values_by_hand(
    name: str, parameters: dict[str, Any], value: float, gradient: tuple[float, ...]
) -> None:
    loss = make_loss(name, SIMPLEX, parameters | {"solve_ratio": 0.0})
    output = PREDICTED.clone().requires_grad_()
    found = loss(output, Target(costs=TRUE, pool=VERTICES))
    found.backward()
    assert found.item() == pytest.approx(value, abs=1e-12)
    np.testing.assert_allclose(output.grad[0], gradient, atol=1e-12)


def test_the_most_frequent_decisions_stay_and_then_the_earliest() -> None:
    rows = torch.tensor([[2.0], [1.0], [0.0], [1.0], [-0.0], [3.0], [1.0]])
    assert most_frequent(rows, 10).flatten().tolist() == [1.0, 0.0, 2.0, 3.0]
    assert most_frequent(rows, 3).flatten().tolist() == [1.0, 0.0, 2.0]


def test_decisions_that_differ_by_rounding_are_the_same() -> None:
    pool = torch.tensor([[1e3, 0.0], [0.0, 1.0]])
    near = torch.tensor([[1e3 + 1e-4, 0.0], [0.0, 0.9]])
    assert contained(near, pool).tolist() == [True, False]


@every
def test_the_pool_is_that_of_the_table_and_bounded(name: str) -> None:
    rng = np.random.default_rng(0)
    costs = torch.tensor(rng.normal(size=(500, 12)))
    loss = pool_loss(name, GridShortestPath(3, 3), {"pool_size": 4})
    table = loss.complete(Target(costs=costs))
    keys, counts = np.unique(table.decisions.numpy(), axis=0, return_counts=True)
    assert len(keys) == 6
    kept = {tuple(row) for row in table.pool.tolist()}
    assert kept == {tuple(keys[i]) for i in np.argsort(-counts)[:4]}
    part = table.rows(torch.tensor([3, 1])).to(torch.float32)
    assert part.pool.dtype == torch.float32
    assert torch.equal(part.pool.double(), table.pool)
    # in a batch, what was solved for its predictions comes along, once
    output = -costs[:2].float()
    candidates = loss.candidates(output, part)
    assert 4 <= len(candidates.decisions) <= 6
    assert len(torch.unique(candidates.decisions, dim=0)) == len(candidates.decisions)
    solved = GridShortestPath(3, 3).solve(output.numpy()).decisions
    assert contained(torch.tensor(solved), candidates.decisions).all()


@every
def test_a_share_of_the_rows_is_solved(name: str) -> None:
    from dfl_solvers import Counting

    oracle = Counting(GridShortestPath(3, 3))
    draws = torch.randn(2, 2000, 12, generator=torch.Generator().manual_seed(0))
    loss = pool_loss(name, oracle, {"solve_ratio": 0.25})
    target = loss.complete(Target(costs=draws[0]))
    before = oracle.counts.instances
    values = [loss(draws[1], target)]
    assert oracle.counts.instances - before == pytest.approx(500, abs=4 * 375**0.5)
    loss.generator.manual_seed(0)
    values.append(loss(draws[1], target))
    assert values[0] == values[1]
    # the decisions on request are those of all rows
    _, decisions = loss(draws[1], target, return_decisions=True)
    assert decisions.shape == (2000, 12)


@every
def test_rows_share_decisions_only_where_their_instance_data_agree(name: str) -> None:
    # two capacities: what fits the large one does not fit the small one
    oracle = Knapsack(np.array([[1.0, 1.0, 1.0]]), np.array([1.0]))
    rng = np.random.default_rng(1)
    output, costs = (torch.tensor(-np.abs(draw)) for draw in rng.normal(size=(2, 6, 3)))
    capacities = np.array([[1.0], [2.0], [1.0], [2.0], [1.0], [2.0]])
    loss = pool_loss(name, oracle, {"solve_ratio": 0.0})
    target = loss.complete(Target(costs=costs, instance={"capacities": capacities}))
    assert target.pool is None
    candidates = loss.candidates(output, target)
    sizes = candidates.decisions.sum(1)
    for row, allowed in zip(capacities[:, 0], candidates.allowed, strict=True):
        assert allowed.any()
        assert set(sizes[allowed].tolist()) == {row}
        chosen = candidates.decisions[allowed]
        assert len(torch.unique(chosen, dim=0)) == len(chosen)
    # the same as one problem with the large capacity, alone
    rows = torch.tensor([1, 3, 5])
    alone = pool_loss(name, Knapsack(oracle.weights, np.array([2.0])), {"solve_ratio": 1.0})
    expected = alone(output[rows], Target(costs=costs[rows]), reduction="none")
    found = loss(output, target, reduction="none")[rows]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@every
def test_the_own_part_of_an_objective_ranks_too(name: str) -> None:
    # the same problem twice: a known part, and as one more cost that is predicted without error
    oracle = MeanVariancePortfolio(np.diag([1.0, 2.0, 3.0]), 2.0)
    rng = np.random.default_rng(2)
    output, costs = (torch.tensor(draw) for draw in rng.normal(size=(2, 8, 3)))
    loss = pool_loss(name, oracle, {"solve_ratio": 0.0})
    target = loss.complete(Target(costs=costs))
    own = torch.tensor(oracle.evaluate(np.zeros((8, 3)), target.decisions.numpy()))
    one = torch.ones(8, 1, dtype=torch.float64)
    wide = [torch.cat([part, one], 1) for part in (output, costs)]
    decisions = torch.cat([target.decisions, own[:, None]], 1)
    explicit = pool_loss(name, Box(4), {"solve_ratio": 0.0})
    expected = explicit(
        wide[0], Target(costs=wide[1], decisions=decisions, pool=decisions), reduction="none"
    )
    np.testing.assert_allclose(loss(output, target, reduction="none"), expected, atol=1e-9)


@every
def test_a_resumed_run_is_the_unbroken_one(name: str, tmp_path: Any) -> None:
    data = make_shortest_path(60, grid=(3, 3), degree=4, noise=0.5, random_state=0)
    inputs = torch.tensor(data.X, dtype=torch.float32)
    costs = torch.tensor(data.C, dtype=torch.float32)

    def run(max_iter: int, checkpoint: Checkpoint | None = None) -> torch.Tensor:
        model = torch.nn.Linear(5, 12)
        with torch.no_grad():
            model.weight.zero_()
            model.bias.fill_(1.0)
        loss = make_loss(name, data.oracle, {"solve_ratio": 0.5})
        target = loss.complete(Target(costs=costs))
        train(model, loss, TableSource(inputs, target), max_iter=max_iter, checkpoint=checkpoint)
        return model.weight.detach()

    class Stopped(Checkpoint):  # type: ignore[misc]
        def save(self, tensors, values):
            super().save(tensors, {**values, "finished": False})

    unbroken = run(6)
    run(3, Stopped(tmp_path / "state", "x"))
    assert torch.equal(run(6, Checkpoint(tmp_path / "state", "x")), unbroken)


@pytest.mark.parametrize("name", ["nce", "contrastive-map"])
def test_decisions_alone_are_enough(name: str) -> None:
    data = make_shortest_path(150, grid=(3, 3), degree=4, noise=0.0, random_state=0)
    decisions = data.oracle.solve(data.C).decisions
    untrained = DecisionFocusedRegressor(data.oracle, name, max_iter=1, learning_rate=1e-9)
    trained = DecisionFocusedRegressor(data.oracle, name, max_iter=30, random_state=0)
    scores = [
        model.fit(data.X[:100], decisions=decisions[:100]).score(data.X[100:], data.C[100:])
        for model in (untrained, trained)
    ]
    assert scores[1] > 0.9
    assert scores[1] > scores[0]


def test_parameters_are_checked() -> None:
    for parameters in ({"solve_ratio": 1.5}, {"pool_size": 0}):
        with pytest.raises(InvalidInputError, match=f"got {next(iter(parameters))}="):
            make_loss("nce", SIMPLEX, parameters)
    for parameters in ({"link": "probit"}, {"margin": -1.0}):
        with pytest.raises(InvalidInputError, match=f"got {next(iter(parameters))}="):
            make_loss("ranking-pairwise", SIMPLEX, parameters)
    with pytest.raises(InvalidInputError, match="got temperature=0"):
        make_loss("ranking-listwise", SIMPLEX, {"temperature": 0})
