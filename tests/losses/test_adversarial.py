"""Losses of features that an adversary moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dfl import DecisionFocusedRegressor, Target, make_loss
from dfl.adversary import (
    AbstractAdversary,
    AdaptiveStrength,
    ConstantStrength,
    ExactAdversary,
    GradientAdversary,
    IdentityAdversary,
    RandomAdversary,
    WindowStrength,
)
from dfl.datasets import make_knapsack, make_shortest_path
from dfl.exceptions import InvalidInputError
from dfl.losses import AdversarialLoss
from dfl.montecarlo import Budget
from dfl.training import TableSource, train
from dfl_solvers import Box, Maximize, Simplex


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def squared(adversary: AbstractAdversary, strength: float = 1.0) -> AdversarialLoss:
    return AdversarialLoss(make_loss("squared", Box(1)), adversary, ConstantStrength(strength))


def line(slope: float, intercept: float) -> nn.Linear:
    layer = nn.Linear(2, 1).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[slope, -slope]]))
        layer.bias.fill_(intercept)
    return layer


@pytest.mark.parametrize("adversary", [ExactAdversary(0.1), GradientAdversary(0.1, steps=20)])
def test_inputs_move_to_where_the_squared_error_is_largest(adversary: AbstractAdversary) -> None:
    # with residual r and weights w, the worst error is (|r| + epsilon |w|_1)^2
    x = torch.randn(20, 2, generator=seeded(), dtype=torch.float64)
    target = Target(costs=torch.full((20, 1), 9.0, dtype=torch.float64))
    model, loss = line(1.5, 0.5), squared(adversary)
    moved = loss.move_inputs(model, x, target, seeded())
    residual = (model(x) - target.costs).abs().flatten()
    inner = make_loss("squared", Box(1))
    torch.testing.assert_close(
        inner(model(moved), target, reduction="none") / inner(model(x), target, reduction="none"),
        (residual + 0.1 * 3.0) ** 2 / residual**2,
    )
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("name", ["spo+", "squared", "perturbed-fenchel-young"])
def test_training_without_strength_is_training_without_an_adversary(name: str) -> None:
    data = make_shortest_path(60, random_state=0)
    oracle = data.oracle
    adversary = GradientAdversary(0.5)
    losses = [
        make_loss(name, oracle),
        AdversarialLoss(make_loss(name, oracle), IdentityAdversary(0.5)),
        AdversarialLoss(make_loss(name, oracle), adversary, ConstantStrength(0.0)),
    ]
    found = []
    for loss in losses:
        model = nn.Sequential(nn.Linear(5, 40))  # not a linear layer itself: no compiled epochs
        with torch.no_grad():
            for p in model.parameters():
                p.fill_(0.1)
        x, costs = (torch.from_numpy(data[key]).float() for key in ("X", "C"))
        train(model, loss, TableSource(x, Target(costs=costs)), max_iter=2, seed=3)
        found.append([p.detach().clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found[1:], strict=True))
    for plain, other in zip(*found[:2], strict=True):  # closed forms round in another way
        torch.testing.assert_close(plain, other)


def test_called_by_itself_it_is_the_loss() -> None:
    output, costs = torch.randn(2, 4, 3, generator=seeded())
    for oracle in (Simplex(3), Maximize(Simplex(3))):
        inner = make_loss("spo+", oracle)
        loss = AdversarialLoss(make_loss("spo+", oracle), RandomAdversary(0.1))
        for target in (
            Target(costs=costs),
            Target(costs=costs, decisions=torch.eye(3)[[0, 1, 2, 0]]),
        ):
            assert torch.equal(loss(output, target), inner(output, target))


def test_values_are_attacked_in_their_own_sense() -> None:
    data = make_knapsack(30, random_state=0)
    assert isinstance(data.oracle, Maximize)
    x, values = torch.from_numpy(data.X), torch.from_numpy(data.C)
    model = nn.Linear(x.shape[1], values.shape[1]).double()
    loss = AdversarialLoss(make_loss("spo+", data.oracle), GradientAdversary(0.3))
    moved = loss.move_inputs(model, x, Target(costs=values), seeded())
    with torch.no_grad():
        assert loss(model(moved), Target(costs=values)) > loss(model(x), Target(costs=values))


def test_the_model_is_judged_as_it_predicts() -> None:
    class Remembers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(2)
            self.layer = nn.Linear(2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.norm(x))  # type: ignore[no-any-return]

    model, before = Remembers().train(), Remembers().state_dict()["norm.running_mean"]
    x, target = torch.ones(8, 2), Target(costs=torch.ones(8, 1))
    squared(GradientAdversary(0.1)).move_inputs(model, x, target, seeded())
    assert model.training
    assert torch.equal(model.norm.running_mean, before)


def test_strength_follows_training_and_attacks_are_counted() -> None:
    x = torch.randn(10, 2, generator=seeded(), dtype=torch.float64)
    budget = Budget()
    loss = AdversarialLoss(
        make_loss("squared", Box(1)),
        GradientAdversary(0.1, steps=4),
        WindowStrength(0.5, 0.9),
        budget,
    )
    source = TableSource(x, Target(costs=x[:, :1]), batch_size=5)
    train(line(1.0, 0.0), loss, source, max_iter=10)
    # at progress 0.6 to 0.9: four epochs of ten inputs and four gradients
    assert budget.spent("attack_gradients") == 4 * 10 * 4


def test_an_estimator_counts_what_attacks_solve_and_gives_the_same_again() -> None:
    data = make_shortest_path(64, degree=4, noise=0.5, random_state=0)

    def fitted(adversary: AbstractAdversary) -> DecisionFocusedRegressor:
        loss = AdversarialLoss(make_loss("spo+", data.oracle), adversary)
        model = DecisionFocusedRegressor(
            data.oracle, loss, max_iter=3, early_stopping=False, random_state=0
        )
        return model.fit(data.X, data.C)

    plain = fitted(IdentityAdversary())
    attacked = [fitted(GradientAdversary(0.5, steps=4)) for _ in range(2)]
    np.testing.assert_array_equal(attacked[0].coef_, attacked[1].coef_)
    assert np.abs(attacked[0].coef_ - plain.coef_).max() > 1e-3
    extra = attacked[0].budget_.instances - plain.budget_.instances
    assert extra >= 3 * 64 * 4  # epochs, instances, gradients


def test_worst_features_hurt_less_after_training_on_them() -> None:
    """Under the loss that both train on, at equal epochs."""
    data = make_shortest_path(300, degree=4, noise=0.5, random_state=1)
    train_rows, test_rows = slice(0, 100), slice(100, 300)
    adversary = GradientAdversary(0.5, steps=4)
    oracle = data.oracle
    found = {}
    for name, used in (("plain", IdentityAdversary()), ("robust", adversary)):
        loss = AdversarialLoss(make_loss("spo+", oracle), used)
        model = DecisionFocusedRegressor(
            oracle, loss, max_iter=8, early_stopping=False, random_state=0
        ).fit(data.X[train_rows], data.C[train_rows])
        judge = AdversarialLoss(make_loss("spo+", oracle), adversary)
        x = torch.from_numpy(model._scaling.features(data.X[test_rows]))
        target = Target(costs=torch.from_numpy(data.C[test_rows] / model._scaling.cost))
        moved = judge.move_inputs(model.predictor_, x, target, seeded())
        with torch.no_grad():
            found[name] = judge(model.predictor_(moved), target).item()
    assert found["robust"] < 0.97 * found["plain"]


def test_what_has_no_loss_to_attack_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="the loss of a policy"):
        AdversarialLoss(make_loss("preference", None), RandomAdversary(0.1))
    with pytest.raises(InvalidInputError, match="'kl', expected one of 'surrogate'"):
        AdversarialLoss(make_loss("spo+", Box(2)), GradientAdversary(0.1, "kl"))
    with pytest.raises(InvalidInputError, match="asks for scores"):
        AdversarialLoss(make_loss("spo+", Box(2)), RandomAdversary(0.1), AdaptiveStrength())
