"""Policies that learn without looking ahead: exact steps, and what they learn."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from dfl.exceptions import BudgetError, InvalidInputError
from dfl.montecarlo import Budget, WeightedSamples
from dfl.rl.baselines import NetworkPolicy, train_mpo, train_vmpo
from dfl.rl.baselines.mpo import ActionValueNetwork, by_action_values
from dfl.rl.baselines.unsearched import act_as_policy
from dfl.rl.baselines.vmpo import best_half
from dfl.rl.envs import CartPole, Pendulum, play, random_actions, random_model
from dfl.rl.smc import Learner, expectation_step, uniform_network
from dfl.rl.smc.law import law_of
from dfl.rl.smc.targets import Replayed

LEARNERS = [train_mpo, train_vmpo]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Exact(nn.Module):
    """A policy of a small model, with its exact values."""

    def __init__(self, policy: Tensor, values: Tensor, worth: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(policy.log())
        self.values, self.worth = values, worth

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        return observations @ self.logits, observations @ self.values

    def action_values(self, observations: Tensor, raw: Tensor) -> Tensor:
        return (observations @ self.worth).gather(1, raw)


@pytest.fixture
def exact() -> tuple[Learner, Replayed, Tensor, Tensor]:
    """A learner that knows all of a random model, and a step in each of its states."""
    model = random_model(5, 3, generator=seeded(1))
    policy = torch.rand(5, 3, dtype=torch.float64, generator=seeded(2)) + 0.2
    policy = policy / policy.sum(1, keepdim=True)
    values = model.policy_values(policy, 0.9)
    worth = model.action_values(values, 0.9)
    learner = Learner(
        Exact(policy, values, worth),
        law_of(model),
        temperature=0.3,
        divergence=0.1,
        policy_divergence=(0.01,),
        target_rate=0.1,
    )
    observations = torch.eye(5, dtype=torch.float64)
    samples = WeightedSamples(torch.zeros(5, 1, dtype=torch.int64), torch.ones(5, 1))
    returns = values + torch.tensor([0.5, -1.0, 0.2, 0.1, -0.3], dtype=torch.float64)
    seen = Replayed(observations, policy.log(), values, returns, samples, torch.zeros(5, 1))
    return learner, seen, policy, worth - values[:, None]


def test_actions_weighed_by_their_values_make_the_exact_expectation_step(exact) -> None:
    learner, seen, policy, advantages = exact
    steps, samples = by_action_values(learner, seen, seeded(), n_samples=100_000)
    found = torch.zeros_like(policy).scatter_add_(1, samples.actions, samples.weights)
    expected = expectation_step(policy, advantages, temperature=0.3)
    assert (found - expected).abs().max() < 0.01
    assert (expected - policy).abs().max() > 0.05  # so that something was to be found
    assert torch.equal(steps.taken, seen.samples.actions)
    assert torch.allclose(steps.advantages, advantages.gather(1, samples.actions))


def test_the_better_half_weighs_by_its_advantages(exact) -> None:
    learner, seen, _, _ = exact
    steps, samples = best_half(learner, seen, seeded())
    e = math.exp((0.5 - 0.2) / 0.3)
    expected = torch.tensor([[5 * e / (e + 1)], [0], [5 / (e + 1)], [0], [0]], dtype=torch.float64)
    assert torch.allclose(samples.weights, expected)
    assert torch.equal(samples.actions, seen.samples.actions)
    # the temperature's slope is what the weights of the half differ from equal ones too little
    output = learner(steps)
    slope = torch.autograd.grad(output[:, -1].mean(), learner.log_temperature)[0]
    share = e / (e + 1)
    apart = share * math.log(share) + (1 - share) * math.log(1 - share) + math.log(2)
    assert float(slope) == pytest.approx(0.3 * (0.1 - apart))


def test_acting_as_the_policy_takes_no_step_of_the_model() -> None:
    model, budget = random_model(5, 3, generator=seeded(1)), Budget()
    state = model.reset(4000, seeded())
    found = act_as_policy(
        model, uniform_network(model), state, temperature=1.0, generator=seeded(), budget=budget
    )
    assert budget.counts == {}
    assert torch.equal(found.actions, found.samples.actions.squeeze(1))
    counts = torch.bincount(found.actions, minlength=3)
    assert (counts - 4000 / 3).abs().max() < 5 * math.sqrt(4000 / 3)


def test_the_critic_of_actions_knows_discrete_and_continuous_ones() -> None:
    for model in (CartPole(), Pendulum()):
        law, shown = law_of(model), model.observe(model.reset(6, seeded()))
        network = ActionValueNetwork(shown.shape[1], law, model.n_actions, (8,), seeded())
        raw = law.draw(network(shown)[0].detach(), 5, seeded())
        worth = network.action_values(shown, raw)
        assert worth.shape == (6, 5)
        one = network.action_values(shown[2:3], raw[2:3, 3:4])
        assert worth[2, 3].item() == pytest.approx(one.item(), abs=1e-6)
        # what the values of states learn is left to them
        worth.sum().backward()
        assert all(p.grad is None for p in network.policy.parameters())


@pytest.mark.parametrize("learn", LEARNERS)
def test_a_small_model_is_learned(learn) -> None:
    model = random_model(6, 3, generator=seeded(3), deterministic=True)
    policy = learn(
        model, 3840, n_environments=16, rollout_length=8, hidden=(32,), discount=0.9,
        learning_rate=1e-2, max_episode_steps=20, temperature=0.3, generator=seeded(),
    )  # fmt: skip
    logits, _ = policy.network(torch.eye(6, dtype=torch.float64))
    learned = model.policy_values(logits.detach().double().softmax(1), 0.9)
    first = model.policy_values(torch.full((6, 3), 1 / 3, dtype=torch.float64), 0.9)
    gap = float(model.initial @ (model.optimal_values(0.9) - first))
    assert float(model.initial @ (learned - first)) > 0.7 * gap


@pytest.mark.parametrize("learn", LEARNERS)
def test_a_pole_is_balanced_longer_than_at_random(learn) -> None:
    cart = CartPole()
    budget = Budget()
    policy = learn(
        cart, 15_360, hidden=(64,), max_episode_steps=200, discount=0.95, learning_rate=3e-3,
        generator=seeded(), budget=budget,
    )  # fmt: skip
    assert budget.counts["train"]["env_steps"] == 15_360
    assert budget.seconds["train"] > 0
    assert policy.history[-1]["env_steps"] == 15_360
    drawn = NetworkPolicy(cart, policy.network, deterministic=False)
    blind = play(
        cart, lambda state, g: random_actions(cart, len(state["steps"]), g), 64, 200,
        generator=seeded(1),
    ).mean()  # fmt: skip
    assert play(cart, drawn.on(CartPole()), 64, 200, generator=seeded(1)).mean() > 2 * blind


@pytest.mark.parametrize("learn", LEARNERS)
def test_training_is_as_the_seed_says_and_continuous_actions_are_learned_too(learn) -> None:
    learned = [
        learn(
            Pendulum(20), 256, n_environments=8, rollout_length=16, n_updates=2, hidden=(8,),
            generator=seeded(seed),
        )
        for seed in (0, 0, 1)
    ]  # fmt: skip
    weights = [[p.detach() for p in policy.network.parameters()] for policy in learned]
    assert all(torch.equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))
    actions = learned[0](Pendulum(20).reset(5, seeded()), seeded())
    assert actions.shape == (5, 1)
    assert actions.abs().max() <= 1


@pytest.mark.parametrize("learn", LEARNERS)
def test_what_is_wrong_is_refused(learn) -> None:
    cart = CartPole()
    with pytest.raises(InvalidInputError, match="at least one rollout of 1024 steps"):
        learn(cart, 1023, generator=seeded())
    for name in ("temperature", "divergence", "learning_rate"):
        with pytest.raises(InvalidInputError, match=f"got {name}=-1"):
            learn(cart, 1024, generator=seeded(), **{name: -1})
    for name, rate in (("target_rate", 1.5), ("target_rate", 0.0), ("temperature", math.inf)):
        with pytest.raises(InvalidInputError, match=f"got {name}={rate}"):
            learn(cart, 1024, generator=seeded(), **{name: rate})
    with pytest.raises(InvalidInputError, match="n_updates=0"):
        learn(cart, 1024, n_updates=0, generator=seeded())
    with pytest.raises(BudgetError):
        learn(cart, 1024, generator=seeded(), budget=Budget({"env_steps": 1000}))


def test_weights_of_few_actions_cannot_differ_much() -> None:
    with pytest.raises(InvalidInputError, match=r"n_samples=2 and divergence=0\.7"):
        train_mpo(CartPole(), 1024, n_samples=2, divergence=0.7, generator=seeded())
    with pytest.raises(InvalidInputError, match="below the logarithm of 2, the better half"):
        train_vmpo(
            CartPole(), 1024, batch_size=1, rollout_length=4, divergence=0.7, generator=seeded()
        )
