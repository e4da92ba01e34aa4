"""Adversaries: their contract over random inputs, and worst cases in closed form."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import Categorical, Normal

from dfl.adversary import (
    ExactAdversary,
    GradientAdversary,
    LearnedAdversary,
    RandomAdversary,
    Victim,
    divergence,
    make_adversary,
)
from dfl.exceptions import BudgetError, InvalidInputError
from dfl.montecarlo import Budget

KINDS = ("identity", "random", "kl", "value", "surrogate", "learned", "exact")
METHODS = ("sgld", "pgd", "signs")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(seed: int, n_outputs: int = 3) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, n_outputs))


def victim_of(model: nn.Module) -> Victim:
    return Victim(
        law=lambda x: Categorical(logits=model(x)),
        value=lambda x: model(x).sum(1),
        surrogate=lambda x: (model(x) ** 2).sum(1),
    )


def parameters_of(kind: str, method: str = "sgld") -> dict[str, object]:
    if kind == "learned":
        return {"network": network(9)}
    return {"method": method, "steps": 3} if kind in ("kl", "value", "surrogate") else {}


def linear_victim(weight: Tensor, sigma: float) -> Victim:
    return Victim(law=lambda x: Normal(x @ weight[:, None], sigma))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    epsilon=st.floats(0.0, 3.0),
    strength=st.floats(0.0, 1.0),
    method=st.sampled_from(METHODS),
)
def test_the_contract(kind: str, seed: int, epsilon: float, strength: float, method: str) -> None:
    model = network(seed)
    inputs = torch.randn(5, 3, generator=seeded(seed)).requires_grad_()
    adversary = make_adversary(kind, epsilon, parameters_of(kind, method))
    moved = adversary.perturb(inputs, victim_of(model), seeded(seed), strength=strength)
    assert (moved - inputs).abs().max() <= strength * epsilon + 1e-6
    assert not moved.requires_grad
    assert all(p.grad is None for p in [*model.parameters(), inputs])
    again = adversary.perturb(inputs, victim_of(model), seeded(seed), strength=strength)
    assert torch.equal(moved, again)
    for still in ({"strength": 0.0}, {}):
        unmoved = make_adversary(kind, 0.0 if still == {} else epsilon, parameters_of(kind))
        assert torch.equal(unmoved.perturb(inputs, victim_of(model), seeded(), **still), inputs)


@pytest.mark.parametrize("kind", ["kl", "value", "surrogate"])
def test_gradients_do_more_harm_than_noise(kind: str) -> None:
    model, inputs = network(0), torch.randn(200, 3, generator=seeded())
    victim = victim_of(model)
    harm = {
        "kl": lambda x: divergence(victim.law(inputs), victim.law(x)),
        "value": lambda x: -victim.value(x),
        "surrogate": victim.surrogate,
    }[kind]
    noisy = RandomAdversary(0.3).perturb(inputs, generator=seeded())
    corners = ExactAdversary(0.3, kind).perturb(inputs, victim)
    with torch.no_grad():
        for method in ("sgld", "pgd"):
            found = GradientAdversary(0.3, kind, method=method).perturb(inputs, victim, seeded())
            gain = harm(found).mean() - harm(inputs).mean()
            assert gain > 2 * (harm(noisy).mean() - harm(inputs).mean())
            # divergences have a summit on either side, and ascent finds one of them
            share = 0.6 if kind == "kl" else 0.9
            assert gain > share * (harm(corners).mean() - harm(inputs).mean())


def test_the_divergence_of_a_linear_policy_in_closed_form() -> None:
    # k = 2, epsilon = 0.1, sigma = 0.5: half of (2 * 0.1 / 0.5)^2
    victim = linear_victim(torch.tensor([2.0]), 0.5)
    inputs = torch.linspace(-1, 1, 50)[:, None]
    for method in ("sgld", "pgd"):
        adversary = GradientAdversary(0.1, "kl", method=method)
        moved = adversary.perturb(inputs, victim, seeded())
        torch.testing.assert_close((moved - inputs).abs(), torch.full((50, 1), 0.1))
        found = divergence(victim.law(inputs), victim.law(moved))
        torch.testing.assert_close(found, torch.full((50,), 0.08))
    assert len(set((moved - inputs).sign().flatten().tolist())) == 2  # either corner is as bad


def test_without_a_random_start_the_divergence_does_not_move() -> None:
    victim = linear_victim(torch.tensor([2.0]), 0.5)
    still = GradientAdversary(0.1, "kl", method="signs").perturb(torch.zeros(4, 1), victim)
    assert torch.equal(still, torch.zeros(4, 1))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_the_worst_of_a_linear_policy_is_a_corner(seed: int) -> None:
    weight = torch.randn(4, generator=seeded(seed), dtype=torch.float64)
    inputs = torch.randn(6, 4, generator=seeded(seed + 1), dtype=torch.float64)
    victim, epsilon, sigma = linear_victim(weight, 0.7), 0.2, 0.7
    moved = ExactAdversary(epsilon, "kl").perturb(inputs, victim)
    found = divergence(victim.law(inputs), victim.law(moved))
    expected = (epsilon * weight.abs().sum()) ** 2 / (2 * sigma**2)
    torch.testing.assert_close(found, expected.expand(6))
    signs = ((moved - inputs) / epsilon * weight.sign()).round()
    assert (signs.abs() == 1).all()
    assert (signs == signs[:, :1]).all()  # the sign of the weights, up to one for all


def test_one_step_attacks_in_closed_form() -> None:
    # reward -(a - a*)^2 of a = k (s + delta)
    k, best, epsilon = -1.5, 0.4, 0.2
    states = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None]

    def loss(x: Tensor) -> Tensor:
        return ((k * x - best) ** 2).flatten()

    worst = (k * states - best).abs().flatten() + abs(k) * epsilon
    victim = Victim(
        law=lambda x: Normal(k * x, 1.0), value=lambda x: -loss(x), surrogate=lambda x: loss(x)
    )
    for adversary in (GradientAdversary(epsilon, "value"), ExactAdversary(epsilon)):
        moved = adversary.perturb(states, victim, seeded())
        torch.testing.assert_close(loss(moved), worst**2)
    # from a drawn start, ascent may take the lower side of a ball that holds the best action
    moved = GradientAdversary(epsilon, "surrogate").perturb(states, victim, seeded())
    slope = (k * states - best).abs().flatten() > abs(k) * epsilon
    assert 30 < slope.sum() < 41
    torch.testing.assert_close(loss(moved)[slope], worst[slope] ** 2)
    # the largest difference of actions has no preferred side: on average it does less
    many = states[3].repeat(4000, 1)
    moved = GradientAdversary(epsilon, "kl").perturb(many, victim, seeded())
    expected = (k * states[3] - best) ** 2 + (k * epsilon) ** 2
    assert loss(moved).mean().item() == pytest.approx(expected.item(), rel=0.02)
    assert expected.item() < worst[3].item() ** 2


def test_a_closed_loop_under_attack_stays_within_its_bound() -> None:
    # s' = A s + b (s + delta) with c = A + b: the largest |s| is |b| epsilon / (1 - |c|) = 0.125
    a, b, epsilon = 0.7, -0.5, 0.2
    victim = Victim(value=lambda x: -((a * state + b * x) ** 2).flatten())
    state = torch.full((1, 1), 1e-3, dtype=torch.float64)
    adversary, largest = GradientAdversary(epsilon, "value"), 0.0
    for _ in range(200):
        state = a * state + b * adversary.perturb(state, victim, seeded())
        largest = max(largest, abs(state.item()))
    assert largest == pytest.approx(0.125, abs=1e-9)


def test_attacks_are_counted_and_paid_for() -> None:
    victim, inputs = victim_of(network(0)), torch.zeros(4, 3)
    budget = Budget(limits={"attack_gradients": 30})
    adversary = GradientAdversary(0.1, "value", steps=5)
    adversary.perturb(inputs, victim, seeded(), budget=budget)
    assert budget.counts == {"train": {"attack_gradients": 20}}
    adversary.perturb(inputs, victim, seeded(), strength=0.0, budget=budget)
    assert budget.spent("attack_gradients") == 20
    with pytest.raises(BudgetError, match="20 more attack_gradients"):
        adversary.perturb(inputs, victim, seeded(), budget=budget)
    ExactAdversary(0.1).perturb(inputs, victim, budget=budget)
    LearnedAdversary(0.1, network(1)).perturb(inputs, budget=budget)
    assert budget.spent("attack_evaluations") == 4 * 9 + 4


def test_a_model_without_a_slope_or_with_none_that_is_finite_is_not_moved_out_of_the_ball() -> None:
    flat = Victim(value=lambda x: torch.zeros(len(x)))
    broken = Victim(value=lambda x: x.sum(1) * float("nan"))
    inputs = torch.zeros(3, 2)
    for victim in (flat, broken):
        moved = GradientAdversary(0.1, "value", method="pgd").perturb(inputs, victim, seeded())
        assert (moved.abs() <= 0.1).all()
    lost = LearnedAdversary(0.1, nn.Sequential(_Nowhere())).perturb(inputs)
    assert torch.equal(lost, inputs)


class _Nowhere(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * float("nan")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomAdversary(-0.1), "epsilon=-0.1"),
        (lambda: GradientAdversary(0.1, "regret"), "harm='regret'"),
        (lambda: GradientAdversary(0.1, method="adam"), "method='adam'"),
        (lambda: GradientAdversary(0.1, steps=0), "steps=0"),
        (lambda: make_adversary("strongest", 0.1), "expected one of: identity"),
        (lambda: make_adversary("random", 0.1, {"steps": 2}), "got the parameters"),
        (lambda: RandomAdversary(0.1).perturb(torch.zeros(1, 2)), "generator=None"),
        (lambda: RandomAdversary(0.1).perturb(torch.zeros(1, 2), strength=2), "strength=2"),
        (lambda: ExactAdversary(0.1, "kl").perturb(torch.zeros(1, 2)), "needs a Victim with law"),
        (lambda: ExactAdversary(0.1).perturb(torch.zeros(1, 13)), "13 coordinates"),
        (
            lambda: LearnedAdversary(0.1, nn.Linear(2, 1)).perturb(torch.zeros(3, 2)),
            r"\(3, 1\), expected \(3, 2\)",
        ),
    ],
)
def test_what_cannot_be_is_refused(make: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()  # type: ignore[operator]
