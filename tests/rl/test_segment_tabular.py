"""A language model in a table: what is estimated against what is exact."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.rl.segment import (
    AdvantageEstimator,
    ChainAdvantages,
    GroupAdvantages,
    SegmentRollouts,
    TabularLanguageModel,
    TokenPolicy,
    TreeAdvantages,
    chain_advantages,
    mc_values,
    partition_cutpoints,
    partition_fixed,
    policy_loss,
)

RHO = 0.9


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def instance(seed: int) -> tuple[TabularLanguageModel, Tensor]:
    """Return a policy over four binary tokens that is sure of many, and random rewards."""
    model = TabularLanguageModel(2, 4, scale=3.0, random_state=seed)
    return model, torch.randint(2, (16,), generator=seeded(seed)).double()


def cosine(a: Tensor, b: Tensor) -> float:
    return torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0).item()


def test_values_and_gradients_are_those_of_enumeration() -> None:
    model, rewards = instance(3)
    log_probs = model.log_probs()
    assert log_probs.sum(1).exp().sum().item() == pytest.approx(1.0)
    values = model.values(rewards)
    chances = log_probs.sum(1).exp().detach()
    for i, completion in enumerate(model.completions):
        for t in range(5):
            same = (model.completions[:, :t] == completion[:t]).all(1)
            expected = (chances * rewards)[same].sum() / chances[same].sum()
            assert values[i, t].item() == pytest.approx(expected.item(), abs=1e-12)
    # the gradient by differences
    gradient, small = model.gradient(rewards), 1e-6
    for row, token in ((0, 0), (2, 1), (7, 0)):
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                model.logits[row, token] += sign * small
                ends.append((model.log_probs().sum(1).exp() @ rewards).item())
                model.logits[row, token] -= sign * small
        assert gradient[row, token].item() == pytest.approx(
            (ends[0] - ends[1]) / (2 * small), abs=1e-8
        )


def variants(model: TabularLanguageModel, rewards: Tensor) -> dict[str, Tensor]:
    """Return the mean gradient of each estimator with exact values."""
    old = model.log_probs().detach()
    everything = torch.ones_like(old, dtype=torch.bool)
    low = old < math.log(RHO)
    value = model.values(rewards)[0, 0]
    reward_only = (rewards - value)[:, None].expand_as(old)
    cut = {
        "fixed": partition_fixed(everything, 2),
        "int1": partition_cutpoints(old, everything, RHO, 1),
        "int2": partition_cutpoints(old, everything, RHO, 2),
    }
    advantages = {name: model.segment_advantages(rewards, places) for name, places in cut.items()}
    found = {
        "fixed": advantages["fixed"],
        "int1": advantages["int1"],
        "int2": advantages["int2"],
        "fixed + mask": advantages["fixed"] * low,
        "int1 + mask": advantages["int1"] * low,
        "rewards": reward_only,
        "rewards + mask": reward_only * low,
    }
    return {name: model.expected_gradient(each) for name, each in found.items()}


def test_fixed_segments_are_unbiased_and_the_practical_variants_nearly_so() -> None:
    cosines: dict[str, list[float]] = {}
    errors: dict[str, list[float]] = {}
    for seed in range(100):
        model, rewards = instance(seed)
        exact = model.gradient(rewards)
        if exact.norm() < 1e-12:
            continue
        for name, found in variants(model, rewards).items():
            cosines.setdefault(name, []).append(cosine(found, exact))
            errors.setdefault(name, []).append(((found - exact).norm() / exact.norm()).item())
    assert len(cosines["fixed"]) > 90
    for name in ("fixed", "rewards"):
        assert max(errors[name]) < 1e-10
    for name in ("int1", "int2", "fixed + mask", "int1 + mask", "rewards + mask"):
        assert torch.tensor(cosines[name]).quantile(0.1).item() > 0.97
        # and yet biased
        assert torch.tensor(errors[name]).quantile(0.9).item() > 0.03


def test_exact_advantages_are_those_of_chains() -> None:
    model, rewards = instance(8)
    old = model.log_probs().detach()
    values = model.values(rewards)
    for interval in (1, 2, math.inf):
        places = partition_cutpoints(old, old < 1, RHO, interval)
        found = model.segment_advantages(rewards, places)
        for i, own in enumerate(places):
            expected = chain_advantages(own, values[i, own + 1], rewards[i].item(), 4)
            torch.testing.assert_close(found[i], expected)


def test_the_mask_keeps_the_sign_and_a_share_of_the_gradient() -> None:
    model = TabularLanguageModel(2, 1)
    with torch.no_grad():
        model.logits[0] = torch.tensor([0.95, 0.05]).log()
    rewards = torch.tensor([1.0, 0.0], dtype=torch.float64)
    advantages = (rewards - 0.95)[:, None]
    low = model.log_probs() < math.log(RHO)
    whole = model.expected_gradient(advantages)[0, 0].item()
    masked = model.expected_gradient(advantages * low)[0, 0].item()
    assert whole == pytest.approx(0.0475)
    assert masked == pytest.approx(0.045125)
    assert whole == pytest.approx(model.gradient(rewards)[0, 0].item())


def judge_of(model: TabularLanguageModel, rewards: Tensor):
    powers = model.n_tokens ** torch.arange(model.length - 1, -1, -1)
    return lambda rows, completions: rewards[torch.stack(list(completions)) @ powers]


def mean_gradient(estimator: AdvantageEstimator, copies: int, **rules) -> tuple[Tensor, Tensor]:
    """Return the gradient of one large batch of production code, and the exact one."""
    model = TabularLanguageModel(2, 4, scale=1.0, random_state=1)
    rewards = torch.randint(2, (16,), generator=seeded(5)).double()
    source = SegmentRollouts(
        [model.prompt] * copies,
        judge_of(model, rewards),
        estimator,
        prompts_per_iteration=copies,
        max_completion_length=4,
        batch_size=10**6,
        loss_type="dr_grpo",
        **rules,
    )
    policy = TokenPolicy(model, ends=(), max_rows=10**6)
    ((batch, samples),) = source.batches(policy, seeded(0))
    value = policy_loss(0.2)(policy(batch), samples, reduction="sum")
    (slope,) = torch.autograd.grad(value, model.logits)
    return -4 * slope, model.gradient(rewards)


@pytest.mark.parametrize(
    ("estimator", "copies", "trained"),
    [
        (GroupAdvantages(4, "loo"), 2000, 8000),
        (GroupAdvantages(4, "none"), 2000, 8000 * 3 / 4),
        (ChainAdvantages(4, "fixed", segment_tokens=2, num_mc_rollouts=2), 1500, 6000),
        (ChainAdvantages(4, "fixed", segment_tokens=1, num_mc_rollouts=1), 1500, 6000),
        # the factor: how often a path is counted in the sum over its nodes
        (TreeAdvantages((3, 3), 2, "loo", "uniform"), 1200, 1200 * 6),
        (TreeAdvantages((3, 3), 2, "none", "uniform"), 1200, 1200 * 6 * 2 / 3),
    ],
    ids=["rloo", "centered", "chain 2", "chain 1", "tree", "tree centered"],
)
def test_what_is_drawn_has_the_exact_gradient_in_the_mean(estimator, copies, trained) -> None:
    found, exact = mean_gradient(estimator, copies)
    assert cosine(found, exact) > 0.97
    size = (found.flatten() @ exact.flatten() / exact.norm() ** 2).item() / trained
    assert size == pytest.approx(1.0, abs=0.12)


def test_counting_nodes_bends_the_gradient_of_trees() -> None:
    estimator = TreeAdvantages((4, 4), 2, "loo", "count")
    counted, exact = mean_gradient(estimator, 800)
    uniform, _ = mean_gradient(TreeAdvantages((4, 4), 2, "loo", "uniform"), 800)
    assert cosine(uniform, exact) > cosine(counted, exact) + 0.02


def test_values_are_means_of_rewards_and_equal_places_share_them() -> None:
    model, rewards = instance(4)
    policy, exact = TokenPolicy(model, ends=()), model.values(rewards)
    places = [model.completions[9][:t] for t in range(4)] + [model.completions[9][:2]]
    asked: list[int] = []

    def judge(rows, completions):
        asked.append(len(rows))
        return judge_of(model, rewards)(rows, completions)

    def estimate(n: int, **rules) -> Tensor:
        return mc_values(
            policy,
            [model.prompt] * 2,
            [0] * 5,
            places,
            n,
            judge,
            max_completion_length=4,
            generator=seeded(0),
            **rules,
        )

    found = estimate(4000)
    assert asked == [4 * 4000]
    assert found[4] == found[2]
    for t in range(4):
        assert found[t].item() == pytest.approx(exact[9, t].item(), abs=0.04)
    apart = estimate(500, dedupe=False)
    assert asked[-1] == 5 * 500
    assert apart[4] != apart[2]
    # the same beginning of another prompt is another place
    both = mc_values(
        policy,
        [model.prompt] * 2,
        [0, 1],
        [places[1]] * 2,
        10,
        judge,
        max_completion_length=4,
        generator=seeded(0),
    )
    assert asked[-1] == 20
    assert both.shape == (2,)
    with pytest.raises(InvalidInputError, match="n=0"):
        estimate(0)
    with pytest.raises(InvalidInputError, match="beginning of 4 tokens at 0"):
        mc_values(
            policy,
            [model.prompt],
            [0],
            [model.completions[0]],
            1,
            judge,
            max_completion_length=4,
            generator=seeded(0),
        )


def test_one_segment_is_the_reward_less_the_value_of_the_prompt() -> None:
    model = TabularLanguageModel(2, 3, scale=0.5, random_state=0)  # every token is a cutpoint
    rewards = torch.arange(8.0).double()
    whole = partition_cutpoints(model.log_probs().detach(), model.completions >= 0, RHO, math.inf)
    found = model.segment_advantages(rewards, whole)
    expected = rewards - model.values(rewards)[0, 0]
    torch.testing.assert_close(found, expected[:, None].expand(8, 3))
    with pytest.raises(InvalidInputError, match="n_tokens=1"):
        TabularLanguageModel(1, 2)


def test_segments_lower_the_variance_of_trained_trajectories() -> None:
    # independent tokens with shared parameters: 1[at least 9 ones of 12], 8 trajectories
    generator, n, repeats = seeded(0), 8, 1500
    p, length = torch.sigmoid(torch.tensor(0.5)).item(), 12
    tails = [
        [
            sum(
                math.comb(left, k) * p**k * (1 - p) ** (left - k)
                for k in range(max(need, 0), left + 1)
            )
            for need in range(-12, 13)
        ]
        for left in range(length + 1)
    ]
    table = torch.tensor(tails)  # value with so many left and so many needed, shifted by 12

    drawn = (torch.rand(repeats, n, length, generator=generator) < p).float()
    scores = drawn - p
    reward = (drawn.sum(2) >= 9).float()
    loo = (reward - reward.mean(1, keepdim=True)) * n / (n - 1)
    flat = (loo[:, :, None] * scores).mean(1)
    places = torch.tensor([0, 4, 8])
    ones = torch.stack([drawn[:, :, :t].sum(2) for t in places.tolist()], 2)
    exact = table[(length - places).expand_as(ones), (9 - ones).long() + 12]
    estimates = torch.binomial(torch.full_like(exact, 9.0), exact, generator=generator) / 9
    # the prompt's value is shared by the group
    estimates[:, :, 0] = estimates[:, :1, 0]
    gains = torch.cat([estimates, reward[:, :, None]], 2).diff(dim=2)
    chain = (gains.repeat_interleave(4, 2) * scores).mean(1)
    gradient = torch.stack(
        [torch.tensor(p * (1 - p) * (tails[11][8 + 12] - tails[11][9 + 12])).expand(length)]
    ).squeeze(0)
    for name, found, expected in (("rloo", flat, 2.64), ("chain", chain, 1.06)):
        error = ((found - gradient) ** 2).sum(1).mean() / (gradient**2).sum()
        assert error.item() == pytest.approx(expected, rel=0.15), name
