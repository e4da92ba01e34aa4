"""The exact steps of learning: each improves the policy, as the theory says."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.losses import WeightedLikelihoodLoss
from dfl.montecarlo import WeightedSamples
from dfl.rl.envs import random_model, two_step_model
from dfl.rl.smc import expectation_step, maximization_step, search_limit, softmax_temperature

DISCOUNT = 0.95


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_policy(n_states: int, n_actions: int, seed: int) -> Tensor:
    weights = torch.empty(n_states, n_actions, dtype=torch.float64)
    weights.exponential_(generator=seeded(seed))
    return weights / weights.sum(1, keepdim=True)


def divergence(q: Tensor, p: Tensor) -> Tensor:
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(1)


def test_the_expectation_step_on_a_bandit() -> None:
    policy = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
    advantages = torch.tensor([[1.0, 0.0, -1.0]], dtype=torch.float64)
    target = expectation_step(policy, advantages, 1.0)
    assert target[0].tolist() == pytest.approx([0.784399, 0.173139, 0.042463], abs=1e-6)
    assert divergence(target, policy).item() == pytest.approx(0.192245, abs=1e-6)
    shifted = expectation_step(policy, advantages + 7, 1.0)
    assert shifted[0].tolist() == pytest.approx(target[0].tolist(), abs=1e-12)


def test_both_steps_raise_the_objective_at_every_iteration_on_200_random_models() -> None:
    closed = []
    for seed in range(200):
        generator = seeded(seed)
        multiplier = 0.5 * (seed % 3)
        model = random_model(6, 3, generator=generator, deterministic=seed % 2 == 0)
        temperature = float(10 ** torch.empty(()).uniform_(-1, 0.7, generator=generator))
        policy = random_policy(6, 3, seed)
        optimal = model.optimal_values(DISCOUNT)
        values = first = model.policy_values(policy, DISCOUNT)
        for _ in range(10):
            advantages = model.action_values(values, DISCOUNT) - values[:, None]
            target = expectation_step(policy, advantages, temperature)
            # in every state: the target earns more than its divergence costs ...
            paid = temperature * divergence(target, policy)
            regularized = model.policy_values(target, DISCOUNT, paid)
            assert (regularized >= values - 1e-9).all()
            # ... and the policy that imitates it pays nothing
            policy = maximization_step(target, policy, multiplier)
            assert policy.sum(1).tolist() == pytest.approx([1.0] * 6)
            better = model.policy_values(policy, DISCOUNT)
            assert (better >= values - 1e-9).all()
            assert (better <= optimal + 1e-9).all()
            if (optimal - values).max() > 1e-6:
                assert model.initial @ better > model.initial @ values
            values = better
        gap = float(model.initial @ (optimal - first))
        closed.append(1 - float(model.initial @ (optimal - values)) / gap)
    assert sum(closed) / len(closed) > 0.5
    assert min(closed) > 0


def test_a_temperature_from_the_dual_spends_the_budget_and_no_other_target_gains_more() -> None:
    model = random_model(9, 4, generator=seeded(3))
    uniform = torch.full((9, 4), 0.25, dtype=torch.float64)
    values = model.policy_values(uniform, DISCOUNT)
    advantages = model.action_values(values, DISCOUNT) - values[:, None]
    budget = 0.2
    temperature = softmax_temperature(advantages, budget)
    target = expectation_step(uniform, advantages, temperature)
    assert divergence(target, uniform).mean().item() == pytest.approx(budget, abs=1e-9)
    gained = (target * advantages).sum(1).mean()
    tried = 0
    for seed in range(300):
        other = 0.7 * target + 0.3 * random_policy(9, 4, seed)
        spent = divergence(other, uniform).mean()
        # what spends more is brought back to the budget: the divergence is convex
        share = min(1.0, budget / float(spent))
        other = share * other + (1 - share) * uniform
        assert divergence(other, uniform).mean() <= budget + 1e-12
        assert (other * advantages).sum(1).mean() < gained
        tried += 1
    assert tried == 300


def test_the_maximization_step_is_where_the_shared_loss_is_flat() -> None:
    policy, target = random_policy(5, 4, 0), random_policy(5, 4, 1)
    for multiplier in (0.0, 0.5, 3.0):

        def penalty(log_prob: Tensor, samples: WeightedSamples, m: float = multiplier) -> Tensor:
            return m * (policy * (policy.log() - log_prob)).sum(1)

        loss = WeightedLikelihoodLoss(kl=penalty)
        samples = WeightedSamples(torch.arange(4).expand(5, 4), target)

        def at(distribution: Tensor) -> tuple[float, float]:
            logits = distribution.log().requires_grad_()
            value = loss.per_sample(logits.log_softmax(1), samples).sum()  # noqa: B023
            (gradient,) = torch.autograd.grad(value, logits)
            return value.item(), gradient.abs().max().item()

        best, slope = at(maximization_step(target, policy, multiplier))
        assert slope < 1e-12
        for seed in range(20):
            assert at(random_policy(5, 4, seed + 9))[0] > best
    with pytest.raises(InvalidInputError, match="multiplier=-1"):
        maximization_step(target, policy, -1)


def test_the_limit_of_search_is_the_sum_over_all_paths() -> None:
    model = random_model(4, 3, generator=seeded(5))
    policy, values = random_policy(4, 3, 0), torch.tensor([0.4, -0.3, 1.0, 9.0]).double()
    temperature = 0.7
    for start, depth in itertools.product(range(3), (1, 2, 3)):
        weights = torch.zeros(3, dtype=torch.float64)
        for actions in itertools.product(range(3), repeat=depth):
            for places in itertools.product(range(4), repeat=depth):
                chance, earned, place, over = 1.0, 0.0, start, False
                for action, after in zip(actions, places, strict=True):
                    if over:  # the rest of the path is made up: count each once
                        chance *= float(action == 0 and after == 3)
                        continue
                    chance *= float(policy[place, action] * model.transitions[place, action, after])
                    earned += float(model.rewards[place, action])
                    place, over = after, bool(model.terminal[after])
                worth = 0.0 if over else float(values[place])
                weights[actions[0]] += chance * torch.tensor((earned + worth) / temperature).exp()
        exact = weights / weights.sum()
        limit = search_limit(model, policy, values, depth, temperature)
        assert limit[start].tolist() == pytest.approx(exact.tolist(), abs=1e-7)


def test_the_limit_of_search_is_the_expectation_step_for_one_deterministic_step_only() -> None:
    model = random_model(6, 3, generator=seeded(2), deterministic=True)
    policy = random_policy(6, 3, 1)
    values = model.policy_values(policy, 1.0)
    advantages = model.action_values(values, 1.0) - values[:, None]
    target = expectation_step(policy, advantages, 0.8)
    one = search_limit(model, policy, values, 1, 0.8)
    assert torch.allclose(one, target, atol=1e-12)
    assert (search_limit(model, policy, values, 2, 0.8)[:5] - target[:5]).abs().max() > 0.01


@pytest.mark.parametrize(
    ("temperature", "searched", "advantage"), [(0.5, 0.807490, 0.731059), (1.0, 0.650245, 0.622459)]
)
def test_two_steps_have_their_known_limits(
    temperature: float, searched: float, advantage: float
) -> None:
    model, uniform = two_step_model(), torch.full((4, 2), 0.5, dtype=torch.float64)
    exact = model.policy_values(uniform, 1.0)
    two = search_limit(model, uniform, torch.tensor([0.3, 0.1, 0.6, 0.0]).double(), 2, temperature)
    assert two[0, 1].item() == pytest.approx(searched, abs=1e-6)
    one = search_limit(model, uniform, exact, 1, temperature)
    assert one[0, 1].item() == pytest.approx(advantage, abs=1e-6)
    assert two[3].tolist() == [0.5, 0.5]


def test_wrong_arguments_are_refused() -> None:
    model, uniform = two_step_model(), torch.full((4, 2), 0.5, dtype=torch.float64)
    with pytest.raises(InvalidInputError, match="depth=0"):
        search_limit(model, uniform, torch.zeros(4).double(), 0, 1.0)
    for temperature in (0.0, -1.0, float("nan")):
        with pytest.raises(InvalidInputError, match="temperature"):
            search_limit(model, uniform, torch.zeros(4).double(), 1, temperature)
        with pytest.raises(InvalidInputError, match="temperature"):
            expectation_step(uniform, uniform, temperature)
