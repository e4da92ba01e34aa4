"""The loss of predicted constraints: its value, its gradient, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dfl import Target, metrics
from dfl.exceptions import InfeasibleError, InvalidInputError
from dfl.losses import PostHocRegretLoss
from dfl_solvers import Discard, Knapsack, LinearProgram, Maximize, Program, Reoptimize

ORACLE = Maximize(Knapsack(np.ones((1, 5)), [4.0]))


def batch(n: int = 6) -> tuple[torch.Tensor, Target, dict]:
    rng = np.random.default_rng(0)
    predicted, truth, values = rng.uniform(0.5, 3, (3, n, 5))
    instance = {"weights": truth[:, None]}
    target = Target(costs=torch.tensor(values), instance=instance)
    return torch.tensor(predicted), target, {"truth": truth, "costs": values}


@pytest.mark.parametrize("recourse", [Reoptimize(0.3, 0.6), Discard(drop=0.4)])
def test_with_little_noise_it_is_the_metric(recourse) -> None:
    predicted, target, known = batch()
    expected = metrics.post_hoc_regret(
        ORACLE, 2 * predicted.numpy(), predicts="weights", recourse=recourse, **known
    )
    assert expected.max() > 0.5
    loss = PostHocRegretLoss(ORACLE, "weights", recourse, unit=2.0, sigma=1e-9)
    found = loss(predicted, target, "none")
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)
    # costs of a minimizing oracle are the same problem
    down = PostHocRegretLoss(ORACLE.minimizing, "weights", recourse, unit=2.0, sigma=1e-9)
    again = down(predicted, target.negated(), "none")
    np.testing.assert_allclose(again.numpy(), expected, atol=1e-9)
    value, decisions = loss(predicted, target, return_decisions=True)
    assert decisions.shape == (6, 10, 5)
    assert value == pytest.approx(expected.mean())


def test_its_gradient_is_that_of_the_expectation() -> None:
    # one item of weight 1 and value 2; the capacity is 1.5 in truth, and 0.9 is predicted: the item
    # is left behind unless the noise carries the capacity above 1
    oracle = Maximize(Knapsack([[1.0]], [1.5]))
    sigma, n = 0.2, 20_000
    loss = PostHocRegretLoss(oracle, "capacities", Discard(), sigma=sigma, n_samples=8)
    target = Target(
        costs=torch.full((n, 1), 2.0, dtype=torch.float64),
        instance={"capacities": np.full((n, 1), 1.5)},
    )
    output = torch.full((n, 1), 0.9, dtype=torch.float64, requires_grad=True)
    values = loss(output, target, "none")
    z = (1.0 - 0.9) / sigma
    left = 0.5 * math.erfc(-z / math.sqrt(2))
    error = values.detach().std() / math.sqrt(n)
    assert abs(values.mean().item() - 2 * left) < 4 * error
    values.sum().backward()
    slope = -2 * math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) / sigma
    error = output.grad.std() / math.sqrt(n)
    assert abs(output.grad.mean().item() - slope) < 4 * error
    assert error < 0.05 * abs(slope)


def test_same_seed_same_loss_and_single_precision_stays() -> None:
    predicted, target, _ = batch()
    loss = PostHocRegretLoss(ORACLE, "weights", Reoptimize(0.3, 0.6))
    found = []
    for _ in range(2):
        loss.generator.manual_seed(3)
        found.append(loss(predicted, target).item())
    assert found[0] == found[1] != loss(predicted, target).item()
    assert loss(predicted.float(), target.to(torch.float32)).dtype == torch.float32


def test_what_is_missing_is_named() -> None:
    predicted, target, known = batch()
    with pytest.raises(InvalidInputError, match="expected data that instances of Knapsack"):
        PostHocRegretLoss(ORACLE, "row_lower", Discard())
    with pytest.raises(InvalidInputError, match="unit=0"):
        PostHocRegretLoss(ORACLE, "weights", Discard(), unit=0)
    with pytest.raises(InvalidInputError, match="PostHocRegretLoss: got sigma=0"):
        PostHocRegretLoss(ORACLE, "weights", Discard(), sigma=0)
    with pytest.raises(InvalidInputError, match="PostHocRegretLoss: got sigma=inf"):
        PostHocRegretLoss(ORACLE, "weights", Discard(), sigma=math.inf)
    with pytest.raises(InvalidInputError, match="PostHocRegretLoss: got unit=inf"):
        PostHocRegretLoss(ORACLE, "weights", Discard(), unit=math.inf)
    with pytest.raises(InvalidInputError, match="PostHocRegretLoss: got recourse=None"):
        PostHocRegretLoss(ORACLE, "weights", None)
    loss = PostHocRegretLoss(ORACLE, "weights", Discard())
    with pytest.raises(InvalidInputError, match="holds no true weights"):
        loss(predicted, Target(costs=torch.tensor(known["costs"])))
    box = LinearProgram(Program([[1.0]], [0.5], [np.inf], [0.0], [1.0]))
    tight = PostHocRegretLoss(box, "row_lower", Reoptimize(0.5, 1.0), sigma=0.1, n_samples=4)
    one = Target(costs=torch.ones(1, 1).double(), instance={"row_lower": np.array([[0.9]])})
    with pytest.raises(
        InfeasibleError, match=r"4 draws an instance.*LinearProgram: instance 0.*slack at a price"
    ):
        tight(torch.tensor([[1.0]]).double(), one)
    with pytest.raises(InvalidInputError, match=r"got costs of shape \(5, 5\)"):
        loss(predicted, target.rows(slice(0, 5)))
