"""What holds for every registered loss on every kind of oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dfl import Target, make_loss, metrics
from dfl.losses import available
from dfl_solvers import (
    Assignment,
    Ball,
    Box,
    GridShortestPath,
    Knapsack,
    LogBarrierSimplex,
    Maximize,
    MeanVariancePortfolio,
    Newsvendor,
    Oracle,
    Simplex,
    TopK,
    TravelingSalesman,
)

ORACLES: dict[str, Oracle] = {
    "assignment": Assignment(3),
    "ball": Ball(4),
    "box": Box(5),
    "grid": GridShortestPath(3, 3),
    "knapsack": Knapsack(np.array([[3.0, 4.0, 5.0, 6.0]]), np.array([9.0])),
    "log-barrier-simplex": LogBarrierSimplex(4),
    # these two have a part of the objective of their own
    "mean-variance": MeanVariancePortfolio(np.diag([1.0, 2.0, 3.0]), 2.0),
    "newsvendor": Newsvendor(np.random.default_rng(0).integers(0, 9, (5, 3)), 4.0, 1.0, 12.0),
    "simplex": Simplex(4),
    "top-k": TopK(5, 2),
    "traveling-salesman": TravelingSalesman(4),
}
# convex in the output, and an upper bound of regret; the others are tested for what they are
CONVEX = {"spo+", "squared", "perturbed-fenchel-young"}
BOUNDS_REGRET = {"spo+"}

every = pytest.mark.parametrize(
    ("name", "oracle"),
    [(name, oracle) for name in available() for oracle in ORACLES.values()],
    ids=[f"{name}-{key}" for name in available() for key in ORACLES],
)


def batch(oracle: Oracle, n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(2, n, oracle.n_costs))
    return torch.tensor(draws[0]), torch.tensor(draws[1])


def seeded(name: str, oracle: Oracle):
    loss = make_loss(name, oracle)
    if loss.generator is not None:
        loss.generator.manual_seed(3)
    return loss


@every
def test_one_number_a_sample_and_reductions_agree(name: str, oracle: Oracle) -> None:
    output, costs = batch(oracle)
    values = {
        how: seeded(name, oracle)(output, Target(costs=costs), reduction=how)
        for how in ("none", "mean", "sum")
    }
    assert values["none"].shape == (6,)
    assert values["mean"].item() == pytest.approx(values["none"].mean().item())
    assert values["sum"].item() == pytest.approx(values["none"].sum().item())
    assert (values["none"] >= -1e-9).all()


@every
def test_the_sign_is_applied_once(name: str, oracle: Oracle) -> None:
    output, costs = batch(oracle)
    minimized = seeded(name, oracle)(-output, Target(costs=-costs))
    maximized = seeded(name, Maximize(oracle))(output, Target(costs=costs))
    assert maximized.item() == pytest.approx(minimized.item(), abs=1e-12)


@every
def test_gradient_is_that_of_central_differences(name: str, oracle: Oracle) -> None:
    output, costs = batch(oracle, n=3)
    target = seeded(name, oracle).complete(Target(costs=costs))
    output.requires_grad_()
    seeded(name, oracle)(output, target, reduction="sum").backward()
    step, numeric = 1e-6, torch.zeros_like(output)
    for i, j in np.ndindex(*output.shape):
        shifted = output.detach().clone()
        sides = []
        for sign in (1, -1):
            shifted[i, j] = output[i, j].detach() + sign * step
            sides.append(seeded(name, oracle)(shifted, target, reduction="sum"))
        numeric[i, j] = (sides[0] - sides[1]) / (2 * step)
    np.testing.assert_allclose(output.grad, numeric, atol=1e-4)


@every
def test_convex_along_segments(name: str, oracle: Oracle) -> None:
    if name not in CONVEX:
        pytest.skip("not declared convex")
    output, costs = batch(oracle)
    target = seeded(name, oracle).complete(Target(costs=costs))
    other = output.flip(0)
    ends, middle = (
        seeded(name, oracle)(a, target, reduction="none") for a in (output, (output + other) / 2)
    )
    far = seeded(name, oracle)(other, target, reduction="none")
    assert (middle <= (ends + far) / 2 + 1e-9).all()


@every
def test_bounds_regret_and_is_zero_at_the_truth(name: str, oracle: Oracle) -> None:
    if name not in BOUNDS_REGRET:
        pytest.skip("no bound of regret")
    output, costs = batch(oracle, n=40)
    loss = seeded(name, oracle)
    values = loss(output, Target(costs=costs), reduction="none").numpy()
    regret = metrics.regret(oracle, output.numpy(), costs.numpy())
    assert (values >= regret - 1e-9).all()
    np.testing.assert_allclose(loss(costs, Target(costs=costs), reduction="none"), 0, atol=1e-9)


@every
def test_same_seed_same_value(name: str, oracle: Oracle) -> None:
    output, costs = batch(oracle)
    first, second = (seeded(name, oracle)(output, Target(costs=costs)) for _ in range(2))
    assert first.item() == second.item()
