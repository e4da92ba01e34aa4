"""Policies under attack: what is learned, what adversaries may do, and what is judged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dfl.adversary import (
    AdaptiveStrength,
    ConstantStrength,
    GradientAdversary,
    IdentityAdversary,
    make_adversary,
)
from dfl.exceptions import InvalidInputError, TrainingError
from dfl.montecarlo import Budget
from dfl.rl.envs import CartPole, Pendulum, play
from dfl.rl.robust import (
    ActionDifferenceAttack,
    AttackedRollouts,
    CriticAttack,
    LearnedAttack,
    RandomAttack,
    RobustAgent,
    RobustPolicyOptimizer,
    RunningScale,
    Seen,
    ValueAttack,
    evaluate,
    make_attack,
)
from dfl.rl.robust.agent import robust_law
from dfl.rl.robust.attack import AbstractAttack
from dfl.rl.robust.collect import ModelCollector, episode_returns
from dfl.rl.robust.configurations import CONFIGURATIONS, configuration_by_name
from dfl.rl.robust.normal import DiagonalNormal


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quick(configuration: str = "ppo", **rules) -> RobustPolicyOptimizer:
    sizes = {"max_iter": 3, "n_environments": 4, "rollout_length": 16, "n_epochs": 2}
    sizes |= {"batch_size": 32, "hidden": (16,), "attack_steps": 2, "random_state": 0}
    return RobustPolicyOptimizer(**{**CONFIGURATIONS[configuration], **sizes, **rules})


def agent(n_actions: int | None = None, action_dim: int | None = 1, n_inputs: int = 3):
    made = RobustAgent(
        n_inputs, robust_law(n_actions, action_dim), hidden=(8,), generator=seeded(1)
    )
    with torch.no_grad():  # so that the policy depends on what it sees
        made.policy[-1].weight.mul_(100)
    return made


def weights_of(policy: RobustPolicyOptimizer) -> list[Tensor]:
    return list(policy.agent_.state_dict().values())


@pytest.fixture(scope="module")
def cart() -> RobustPolicyOptimizer:
    """Return a policy that keeps a pole up for a while."""
    sizes = {"max_iter": 8, "n_environments": 16, "rollout_length": 64, "n_epochs": 8}
    sizes |= {"batch_size": 256, "learning_rate": 5e-3, "hidden": (32,)}
    return RobustPolicyOptimizer("identity", epsilon=0.4, **sizes, random_state=0).fit(CartPole())


# what is learned


def test_ppo_learns_to_balance_and_the_scale_is_that_of_what_was_seen(
    cart: RobustPolicyOptimizer,
) -> None:
    assert cart.score(n_episodes=64) > 120  # at random: some 20
    assert cart.budget_["env_steps"] == 8 * 16 * 64
    assert cart.budget_["optimizer_steps"] == 8 * 8 * 4
    assert cart.budget_["attack_gradients"] == 0
    assert float(cart.agent_.scale.count) == 8 * 16 * 64
    assert 0 < cart.history_[1]["clipped"] < 0.5


class Aim:
    """A number is shown; the action that equals half of it earns most. One step each."""

    n_actions = None
    action_dim = 1

    def reset(self, n: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        return {"place": 2 * torch.rand(n, generator=generator) - 1}

    def observe(self, state: Mapping[str, Tensor]) -> Tensor:
        return state["place"][:, None]

    def step(
        self, state: Mapping[str, Tensor], actions: Tensor, generator: torch.Generator
    ) -> tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor]:
        rewards = -((actions[:, 0] - 0.5 * state["place"]) ** 2)
        over = torch.ones(len(rewards), dtype=torch.bool)
        return state, rewards, over, torch.zeros_like(over)


def aiming(name: str, **rules) -> RobustPolicyOptimizer:
    sizes = {"max_iter": 10, "n_environments": 64, "rollout_length": 4, "n_epochs": 5}
    sizes |= {"batch_size": 128, "hidden": (16,), "attack_steps": 2, "deviation": 0.5}
    sizes |= {"learning_rate": 2e-2, "epsilon": 0.1, "random_state": 0}
    return RobustPolicyOptimizer(**{**CONFIGURATIONS[name], **sizes, **rules}).fit(Aim())


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_configuration_learns_to_aim(name: str) -> None:
    policy = aiming(name)
    # always zero, which the first policy nearly is, earns -E[place^2] / 4
    assert policy.score(n_episodes=500) > -0.01 > -1 / 12
    assert (policy.budget_["attack_gradients"] > 0) == (name != "ppo")


def test_worst_case_training_gives_up_what_an_adversary_would_use() -> None:
    """Where every place may be shown as any other, it is best not to look."""
    place = torch.linspace(-1, 1, 41)
    worst = {}
    for name in ("ppo", "arpo"):
        policy = aiming(name, epsilon=2.0, max_iter=20)
        # all that may be shown, for every place
        shown = torch.linspace(-3, 3, 61)
        actions = policy.decide(shown[:, None])[:, 0]
        loss = (actions[None] - 0.5 * place[:, None]) ** 2
        reach = 2.0 * policy.agent_.scale.deviation
        loss[(shown[None] - place[:, None]).abs() > reach] = 0
        worst[name] = loss.amax(1).mean().item()
    assert worst["arpo"] < 0.5 * worst["ppo"]


# the limits


def test_without_strength_it_is_ppo_bit_for_bit() -> None:
    plain = quick("ppo").fit(CartPole())
    for rules in ({"strength": 0.0}, {"epsilon": 0.0}, {"radius": 0.0}, {"kappa": 2.0}):
        silenced = {"strength": 0.0, **rules} if "kappa" in rules else rules
        for name in ("arpo", "barpo+guidance"):
            other = quick(name, **silenced).fit(CartPole())
            assert all(map(torch.equal, weights_of(plain), weights_of(other))), (name, rules)
            assert other.budget_["attack_gradients"] == 0
    assert not all(map(torch.equal, weights_of(plain), weights_of(quick("barpo").fit(CartPole()))))


def gradient_of(made: RobustAgent, seen: Seen, weights: Tensor, old: Tensor) -> Tensor:
    from dfl.montecarlo import WeightedSamples

    made.zero_grad()
    actions = torch.stack([seen.actions] * weights.shape[1], 1)
    made.loss(0.2)(made(seen), WeightedSamples(actions, weights, old)).backward()
    return torch.cat([p.grad.flatten() for p in made.policy.parameters()])


def test_more_guidance_turns_the_gradient_to_the_standard_one() -> None:
    made, g = agent(), seeded()
    true, raw, gained = (torch.randn(64, k, generator=g) for k in (3, 1, 1))
    shown = true + 0.3 * torch.randn(64, 3, generator=g)
    seen = Seen(true, shown, 1.0, raw, gained[:, 0])
    old = made.log_probs(seen).detach()
    standard = gradient_of(made, Seen(true, None, 0.0, raw, gained[:, 0]), gained, old[:, 1:])
    angles = []
    for kappa in (0.0, 1.0, 1e4):
        both = gradient_of(made, seen, torch.cat([gained, kappa * gained], 1), old)
        angles.append(torch.cosine_similarity(both, standard, 0).item())
    assert angles[0] < angles[1] < angles[2]
    assert angles[2] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("n_actions", "action_dim"), [(3, None), (None, 2)])
def test_a_mixture_is_between_its_policies(n_actions: int | None, action_dim: int | None) -> None:
    made, g = agent(n_actions, action_dim), seeded()
    true, shown = torch.randn(2, 9, 3, generator=g)
    raw = torch.randint(3, (9,), generator=g) if n_actions else torch.randn(9, 2, generator=g)
    ends = [
        made.log_probs(Seen(true, other, 1.0, raw, torch.zeros(9)))[:, 0].exp()
        for other in (true, shown)
    ]
    mixed = made.log_probs(Seen(true, shown, 0.25, raw, torch.zeros(9)))
    assert torch.allclose(mixed[:, 0].exp(), 0.75 * ends[0] + 0.25 * ends[1], atol=1e-6)
    assert torch.allclose(mixed[:, 1].exp(), ends[0])


def test_the_law_of_continuous_actions_is_the_normal_one() -> None:
    law, g = DiagonalNormal(2), seeded()
    old, new = torch.randn(2, 6, 4, generator=g)
    raw = torch.randn(6, 5, 2, generator=g)
    first, second = (
        torch.distributions.Normal(p[:, None, :2], p[:, None, 2:].exp()) for p in (old, new)
    )
    assert torch.allclose(law.log_prob(new, new, raw), second.log_prob(raw).sum(2), atol=1e-5)
    apart = torch.distributions.kl_divergence(first, second).sum((1, 2))
    assert torch.allclose(law.divergences(old, new)[:, 0], apart, rtol=1e-4)
    drawn = law.draw(new[:1], 50_000, g)[0]
    assert torch.allclose(drawn.mean(0), new[0, :2], atol=0.1)
    assert torch.allclose(drawn.std(0), new[0, 2:].exp(), rtol=0.05)
    assert law.wrong(torch.tensor([[0.0, torch.nan]])).item()


def test_penalties_and_the_worst_of_a_batch_enter_as_they_are_defined() -> None:
    made, g = agent(), seeded()
    true, shown = torch.randn(2, 8, 3, generator=g)
    raw = torch.randn(8, 1, generator=g)
    seen = Seen(true, shown, 1.0, raw, torch.zeros(8))
    plain = made(seen)[:, 2]
    made.penalty = 0.7
    laws = [
        torch.distributions.Normal(*p.chunk(2, 1)[:1], made.log_deviation.exp())
        for p in (made.parameters_of(true), made.parameters_of(shown))
    ]
    apart = torch.distributions.kl_divergence(*laws)[:, 0]
    assert torch.allclose(made(seen)[:, 2] - plain, 0.7 * apart, atol=1e-5)
    made.penalty, made.entropy = 0.0, 0.1
    assert torch.allclose(plain - made(seen)[:, 2], 0.1 * laws[0].entropy()[:, 0], atol=1e-5)

    source = AttackedRollouts(
        Pendulum(),
        make_adversary("surrogate", 0.5),
        objective="weighted",
        kappa=0.3,
        softness=1e-3,
        n_environments=2,
        rollout_length=8,
        n_epochs=1,
        batch_size=16,
    )
    made.entropy = 0.0
    ((seen, samples),) = source.batches(made, g)
    terms = made.loss(0.2).per_sample(made(seen), samples) - made(seen)[:, 2]
    clean = made(Seen(seen.observations, None, 0.0, seen.actions, seen.returns))[:, 1]
    gained, old = samples.weights[:, 1], samples.log_prob_old
    ratio = (clean - old[:, 1]).exp()
    standard = torch.maximum(-gained * ratio, -gained * ratio.clamp(0.8, 1.2))
    harm = made.surrogate(seen.actions, gained, old[:, 0], 0.2)(seen.shown)
    # so sharp a maximum is the worst step of the batch
    assert terms.mean().item() == pytest.approx(
        (standard.mean() + 0.3 * harm.max()).item(), rel=1e-4
    )


def test_scales_are_those_of_all_rows_together() -> None:
    rows = 3 + 2 * torch.randn(1000, 2, generator=seeded())
    scale = RunningScale((2,))
    for part in rows.split([1, 99, 900]):
        scale.update(part)
    assert torch.allclose(scale.mean, rows.mean(0), atol=1e-4)
    assert torch.allclose(scale.variance, rows.var(0, correction=0), rtol=1e-3)
    found = scale(torch.tensor([[1e9, 3.0]]))
    assert found[0, 0] == 10


# the adversary in training


def test_steps_are_taken_and_learned_from_under_the_adversary() -> None:
    made, budget = agent(2, None, 4), Budget()
    source = AttackedRollouts(
        CartPole(),
        GradientAdversary(0.5, "kl", 3),
        n_environments=4,
        rollout_length=8,
        n_epochs=2,
        batch_size=16,
        budget=budget,
    )
    batches = list(source.batches(made, seeded()))
    assert len(batches) == 4
    for seen, samples in batches:
        moved = (seen.shown - seen.observations).abs()
        assert 0 < moved.max() <= 0.5 + 1e-6
        assert samples.weights.shape == samples.log_prob_old.shape == (16, 2)
        assert (samples.weights[:, 1] == 0).all()
        assert not seen.shown.requires_grad
        # what was done is judged on what was seen: the policy did not change, nor do its chances
        assert torch.allclose(made.log_probs(seen), samples.log_prob_old, atol=1e-6)
    assert budget.spent("attack_gradients") == 3 * 32
    assert budget.spent("env_steps") == 32
    assert all(p.grad is None for p in made.parameters())
    gained = torch.cat([s.weights[:, 0] for _, s in batches[:2]])
    assert gained.mean().item() == pytest.approx(0, abs=1e-5)
    assert gained.std(correction=0).item() == pytest.approx(1, abs=1e-4)


def test_a_truncated_episode_keeps_the_value_of_its_last_state() -> None:
    ends = {}
    for limit in (3, None):
        made = agent(2, None, 4)
        source = AttackedRollouts(
            CartPole(max_steps=limit),
            IdentityAdversary(),
            n_environments=1,
            rollout_length=3,
            n_epochs=1,
            batch_size=3,
            trace=1.0,
            discount=0.9,
        )
        with torch.no_grad():
            made.reward_scale.variance.fill_(1.0)
            made.reward_scale.count.fill_(1e9)
        ((seen, _),) = source.batches(made, seeded())
        ends[limit] = seen.returns.sort().values
    assert torch.allclose(ends[3], ends[None], atol=1e-5)


# attacks


ALL = ("random", "critic", "action-difference", "value", "learned")


def little(name: str) -> AbstractAttack:
    if name == "learned":
        return LearnedAttack(env_steps=64 * 32, settings=((1e-2, 0.0),), n_episodes=4)
    return make_attack(name)


@pytest.mark.parametrize("name", ALL)
def test_attacks_stay_in_the_ball_and_leave_no_gradient(
    name: str, cart: RobustPolicyOptimizer
) -> None:
    attack = little(name)
    assert attack.name == name
    true, g = 2 * torch.randn(40, 4, generator=seeded()), seeded(1)
    before = [w.clone() for w in weights_of(cart)]
    show = attack.against(cart, CartPole(), 0.25, g, Budget())
    shown = show(true, g)
    assert 0 < (shown - true).abs().max() <= 0.25 + 1e-6
    assert not shown.requires_grad
    nothing = attack.against(cart, CartPole(), 0.0, g, Budget())
    assert torch.equal(nothing(true, g), true)
    assert all(p.grad is None for p in cart.agent_.parameters())
    assert all(map(torch.equal, before, weights_of(cart)))  # scales stay as they are


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-3, 3.0), st.integers(0, 10**6), st.sampled_from(ALL[:4]))
def test_no_attack_leaves_a_ball_of_any_size(epsilon: float, seed: int, name: str) -> None:
    policy = RobustPolicyOptimizer(max_episode_steps=5)
    policy.agent_ = agent(None, 2, 5)
    g = seeded(seed)
    true = 5 * torch.randn(7, 5, generator=g)
    shown = make_attack(name).against(policy, None, epsilon, g, Budget())(true, g)
    assert ((shown - true).abs() <= epsilon * (1 + 1e-5) + 1e-6).all()


def test_the_worst_is_at_most_every_attack_and_attacks_hurt(cart: RobustPolicyOptimizer) -> None:
    attacks = [little(name) for name in ALL]
    report = evaluate(cart, attacks=attacks, n_episodes=24)
    assert list(report.attacked) == list(ALL)
    means = {name: values.mean() for name, values in report.attacked.items()}
    assert report.worst == min(report.natural.mean(), *means.values())
    assert means["action-difference"] < report.natural.mean()
    assert means["action-difference"] < means["random"]
    assert report.ratio == pytest.approx(report.worst / report.natural.mean() - 1)
    assert "| worst |" in report.table()
    counts = report.budget.counts
    assert counts["select"]["env_steps"] > 64 * 32
    # what was played, natural and under five attacks
    played = report.natural.sum() + sum(values.sum() for values in report.attacked.values())
    assert counts["evaluate"]["env_steps"] == played
    # 10 gradients a step, of three of the attacks
    climbing = sum(report.attacked[name].sum() for name in ALL[1:4])
    assert counts["evaluate"]["attack_gradients"] == 10 * climbing
    again = evaluate(cart, attacks=attacks, n_episodes=24)
    assert all((again.attacked[name] == report.attacked[name]).all() for name in ALL)


def test_scores_are_those_of_the_report(cart: RobustPolicyOptimizer) -> None:
    report = evaluate(cart, attacks=["random"], n_episodes=8)
    assert cart.score(n_episodes=8) == report.natural.mean()
    assert cart.score(n_episodes=8, attack="random") == report.attacked["random"].mean()
    assert cart.score(n_episodes=8, attack=RandomAttack()) == report.attacked["random"].mean()


def linear(weight: float, place: float, epsilon: float) -> tuple[RobustPolicyOptimizer, Tensor]:
    """Return a policy with mean ``weight * place``, and values that know a one-step task."""
    policy = RobustPolicyOptimizer(epsilon=epsilon)
    made = RobustAgent(1, DiagonalNormal(1), hidden=(), deviation=0.5)
    with torch.no_grad():
        made.policy[0].weight.fill_(weight)
    policy.agent_ = made
    return policy, torch.tensor([[place]])


def test_the_worst_observation_of_a_linear_policy_is_the_known_one(monkeypatch) -> None:
    policy, true = linear(2.0, 0.4, 0.1)
    made = policy.agent_
    # one step that earns -(a - 0.3)^2: the worst observation moves the action away from 0.3
    monkeypatch.setattr(
        RobustAgent, "action_values", lambda self, s, a: -((a[:, 0].clamp(-1, 1) - 0.3) ** 2)
    )
    g = seeded()
    shown = ValueAttack().against(policy, None, 0.1, g, Budget())(true, g)
    assert shown.item() == pytest.approx(0.5)
    worst = -made.action_values(true, made.parameters_of(shown)[:, :1]).item()
    assert worst == pytest.approx((abs(2 * 0.4 - 0.3) + 2 * 0.1) ** 2)
    # the divergence of either end is k^2 delta^2 / (2 sigma^2) = 0.08, by the formula
    both = {
        round(ActionDifferenceAttack().against(policy, None, 0.1, h, Budget())(true, h).item(), 6)
        for h in map(seeded, range(8))
    }
    assert both == {0.3, 0.5}
    for end in both:
        apart = made.law.divergences(
            made.parameters_of(true), made.parameters_of(torch.tensor([[end]]))
        )
        assert apart.item() == pytest.approx(0.08, rel=1e-4)


def test_a_critic_is_descended(cart: RobustPolicyOptimizer) -> None:
    true, g = torch.randn(20, 4, generator=seeded()), seeded()
    shown = CriticAttack().against(cart, None, 0.1, g, Budget())(true, g)
    with torch.no_grad():
        assert (cart.agent_.values(shown) < cart.agent_.values(true)).all()


def test_a_learned_adversary_finds_what_there_is_to_gain() -> None:
    """The policy follows what it is shown: the adversary learns to mislead it as far as it can."""
    policy, _ = linear(0.5, 0.0, 0.6)
    policy.n_actions_, policy.action_dim_, policy.observation_shape_ = None, 1, (1,)
    policy.env_, policy._seed = Aim(), 3
    policy.history_ = []
    attack = LearnedAttack(env_steps=16_384, settings=((5e-3, 0.0),))
    report = evaluate(policy, attacks=[attack, "random"], n_episodes=200)
    # it can move the action by 0.3, which costs 0.09; noise costs a third
    assert report.natural.mean() == pytest.approx(0, abs=1e-6)
    assert report.attacked["learned"].mean() < -0.06
    assert report.attacked["random"].mean() == pytest.approx(-0.03, abs=0.01)


# environments of Gymnasium


def test_vector_environments_of_gymnasium_are_learned_in_and_judged() -> None:
    gymnasium = pytest.importorskip("gymnasium")
    envs = gymnasium.make_vec("CartPole-v1", num_envs=4, vectorization_mode="sync")
    policy = quick("barpo", rollout_length=32).fit(envs)
    # where an episode ended there is no step, and none is counted
    assert 3 * 4 * 24 < policy.budget_["env_steps"] < 3 * 4 * 32
    report = evaluate(
        policy,
        attacks=["random", LearnedAttack(256, ((1e-3, 0.0),), 4)],
        n_episodes=6,
        random_state=1,
    )
    assert report.natural.shape == report.attacked["learned"].shape == (6,)
    assert (report.natural >= 8).all()
    # the same policy in our own simulator of the same cart
    ours = evaluate(policy, CartPole(), attacks=[], n_episodes=200).natural
    theirs = evaluate(policy, attacks=[], n_episodes=40).natural
    assert ours.mean() == pytest.approx(theirs.mean(), rel=0.35)


def test_episodes_of_vector_environments_are_counted_whole() -> None:
    gymnasium = pytest.importorskip("gymnasium")
    envs = gymnasium.make_vec("CartPole-v1", num_envs=3, vectorization_mode="sync")

    def right(observations: Tensor, generator: torch.Generator) -> Tensor:
        return torch.ones(len(observations), dtype=torch.int64)

    returns = episode_returns(envs, right, 7, 500, generator=seeded())
    assert returns.shape == (7,)
    # pushed one way only, a pole falls within 8 to 11 steps
    assert ((returns >= 7) & (returns <= 11)).all()


# resume, files, refusals


def test_a_cut_off_fit_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    import sys

    path = tmp_path / "state"
    whole = quick("arpo", max_iter=4).fit(CartPole())

    class Cut(Exception):
        pass

    def cut(entry: dict[str, float]) -> None:
        if entry["epoch"] == 3:
            raise Cut

    with pytest.MonkeyPatch.context() as patch:
        module = sys.modules["dfl.training.train"]
        patch.setattr(module, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        with pytest.raises(Cut):
            quick("arpo", max_iter=4, checkpoint=path).fit(CartPole(), callbacks=[cut])
    seen: list[float] = []
    resumed = quick("arpo", max_iter=4, checkpoint=path).fit(
        CartPole(), callbacks=[lambda entry: seen.append(entry["epoch"])]
    )
    assert seen == [3, 4]
    assert all(map(torch.equal, weights_of(whole), weights_of(resumed)))
    assert whole.history_[-1]["attack_gradients"] == resumed.history_[-1]["attack_gradients"]
    for changed, env in (({"epsilon": 0.2}, CartPole()), ({}, CartPole(max_steps=1))):
        with pytest.raises(TrainingError, match="another training run"):
            quick("arpo", max_iter=4, checkpoint=path, **changed).fit(env)


def test_what_was_saved_decides_the_same(tmp_path: Path, cart: RobustPolicyOptimizer) -> None:
    cart.save(tmp_path / "policy")
    again = RobustPolicyOptimizer.load(tmp_path / "policy", model=CartPole())
    shown = torch.randn(50, 4, generator=seeded())
    assert torch.equal(again.decide(shown), cart.decide(shown))
    assert all(map(torch.equal, weights_of(again), weights_of(cart)))
    assert again.score(n_episodes=5) == cart.score(n_episodes=5)
    without = RobustPolicyOptimizer.load(tmp_path / "policy")
    found = without.decide(shown.numpy())
    assert isinstance(found, np.ndarray)
    assert (found == cart.decide(shown).numpy()).all()
    with pytest.raises(InvalidInputError, match=r"load\(path, model="):
        without.score()


def test_collectors_go_on_and_cut_long_episodes() -> None:
    collector = ModelCollector(Pendulum(), 2, max_episode_steps=5)
    act = lambda state, generator: torch.zeros(2, 1)  # noqa: E731
    first = collector.collect(act, 7, generator=seeded())
    assert first.truncated[4].all()
    assert first.truncated.sum() == 2
    assert first.valid.all()
    assert torch.equal(first.next_observations[3], first.observations[4])
    assert not torch.equal(first.next_observations[4], first.observations[5])
    second = collector.collect(act, 3, generator=seeded())
    assert torch.equal(second.observations[0], first.next_observations[-1])
    assert second.truncated[2].all()


def test_what_is_wrong_is_refused_by_name(cart: RobustPolicyOptimizer) -> None:
    wrong: list[tuple[dict, str]] = [
        ({"adversary": "learned"}, "adversary='learned'"),
        ({"adversary": "kl", "epsilon": -1.0}, "epsilon=-1.0"),
        ({"adversary": "kl", "attack_steps": 0}, "steps=0"),
        ({"adversary": "surrogate", "attacked_rollouts": True}, "attacked_rollouts=False"),
        ({"objective": "other"}, "objective='other'"),
        ({"kappa": -1.0}, "kappa=-1.0"),
        ({"softness": 0.0}, r"softness=0\.0"),
        ({"strength": 2.0}, "value=2.0"),
        ({"strength": (0.5, 0.2)}, "start below"),
        ({"radius": (0.5,)}, r"radius=\(0.5,\)"),
        ({"learning_rate": 0.0}, "learning_rate=0.0"),
        ({"deviation": 0.0}, "deviation=0.0"),
        ({"entropy": -0.1}, "entropy=-0.1"),
        ({"clip": 1.0}, "clip=1.0"),
        ({"discount": 1.1}, "discount=1.1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"max_iter": 0}, "n_passes=0"),
    ]
    for rules, message in wrong:
        with pytest.raises(InvalidInputError, match=message):
            quick(**rules).fit(CartPole())
    with pytest.raises(InvalidInputError, match="of type ndarray"):
        quick().fit(np.zeros(3))
    with pytest.raises(InvalidInputError, match=r"shape \(3, 2\), expected \(n, 4\)"):
        cart.decide(torch.zeros(3, 2))
    with pytest.raises(InvalidInputError, match="n_actions=None"):
        cart.score(Pendulum())
    with pytest.raises(InvalidInputError, match="attack='fog'"):
        cart.score(attack="fog")
    with pytest.raises(InvalidInputError, match=r"configuration 'spo'.*ppo, arpo"):
        configuration_by_name("spo")
    with pytest.raises(InvalidInputError, match="epsilon=-1"):
        evaluate(cart, epsilon=-1.0)
    with pytest.raises(InvalidInputError, match="expected a RobustAgent"):
        next(
            AttackedRollouts(CartPole(), IdentityAdversary()).batches(torch.nn.Identity(), seeded())
        )


def test_a_strength_between_mixes_what_is_shown() -> None:
    made = agent(2, None, 4)
    source = AttackedRollouts(
        CartPole(),
        GradientAdversary(0.5, "kl", 1),
        strength=ConstantStrength(0.3),
        n_environments=4,
        rollout_length=4,
        n_epochs=1,
        batch_size=16,
    )
    ((seen, samples),) = source.batches(made, seeded())
    assert seen.strength == source.summary["strength"] == 0.3
    mixed = made.log_probs(seen)[:, 0].exp()
    ends = [
        made.log_probs(Seen(seen.observations, x, 1.0, seen.actions, seen.returns))[:, 0].exp()
        for x in (seen.observations, seen.shown)
    ]
    assert torch.allclose(mixed, 0.7 * ends[0] + 0.3 * ends[1], atol=1e-6)
    assert samples.weights.shape == (16, 2)


def test_playing_is_that_of_the_models(cart: RobustPolicyOptimizer) -> None:
    returns = play(
        CartPole(), lambda s, g: cart.decide(s), 16, 1000, generator=seeded(cart._seed + 1)
    )
    assert returns.mean().item() == cart.score(n_episodes=16)


# what silence would hide


def test_no_attack_is_lost_from_the_worst(cart: RobustPolicyOptimizer) -> None:
    with pytest.raises(InvalidInputError, match="two attacks of the name 'value'"):
        evaluate(cart, attacks=[ValueAttack(10), ValueAttack(1)], n_episodes=2)
    with pytest.raises(InvalidInputError, match="type int at place 1"):
        evaluate(cart, attacks=["random", 3], n_episodes=2)  # type: ignore[list-item]
    assert list(evaluate(cart, attacks="random", n_episodes=2).attacked) == ["random"]


@pytest.mark.parametrize(("n_actions", "action_dim"), [(2, None), (None, 2)])
def test_an_agent_in_other_units_acts_alike(n_actions: int | None, action_dim: int | None) -> None:
    made, units, g = agent(n_actions, action_dim), RunningScale((3,)), seeded()
    made.scale.update(2 + 3 * torch.randn(50, 3, generator=g))
    units.update(1 + torch.tensor([0.5, 2.0, 9.0]) * torch.randn(50, 3, generator=g))
    before = [w.clone() for w in made.state_dict().values()]
    other = made.rescaled(units)
    shown = 2 + torch.randn(20, 3, generator=g)
    raw = torch.randint(2, (20,), generator=g) if n_actions else torch.randn(20, 2, generator=g)
    pairs = [
        (
            each.parameters_of(each.scaled(shown)),
            each.values(each.scaled(shown)),
            each.action_values(each.scaled(shown), raw),
        )
        for each in (made, other)
    ]
    for one, two in zip(*pairs, strict=True):
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-4)
    assert torch.equal(other.scaled(shown), units(shown))
    assert all(map(torch.equal, before, made.state_dict().values()))
    with pytest.raises(InvalidInputError, match=r"units of shape \(2,\), expected \(3,\)"):
        made.rescaled(RunningScale((2,)))


def test_balls_of_policies_that_are_compared_can_be_equal(cart: RobustPolicyOptimizer) -> None:
    """Two sets of units, one a hundredth of the other: a hundred times the radius is the same."""
    small = RunningScale((4,))
    small.load_state_dict(cart.agent_.scale.state_dict())
    # small enough that nothing is cut off at ten deviations of the larger units
    small.variance.mul_(4.0)
    own = evaluate(cart, attacks=["action-difference"], epsilon=0.4, n_episodes=16)
    same = evaluate(cart, attacks=["action-difference"], epsilon=0.2, units=small, n_episodes=16)
    twice = evaluate(cart, attacks=["action-difference"], epsilon=0.4, units=small, n_episodes=16)
    assert (same.natural == own.natural).all()
    means = [each.attacked["action-difference"].mean() for each in (own, same, twice)]
    assert means[1] == pytest.approx(means[0], rel=0.1)
    assert means[2] < 0.9 * means[0]


def test_units_that_are_given_are_those_of_training_and_of_judging(tmp_path: Path) -> None:
    units = (0.5, 2.0, 0.1, 3.0)
    policy = quick("barpo", units=units, attacked_rollouts=True).fit(CartPole())
    shown = torch.tensor([[0.5, 2.0, 0.1, 3.0], [-1.0, 0.0, 0.0, 0.3]])
    expected = torch.tensor([[1.0, 1.0, 1.0, 1.0], [-2.0, 0.0, 0.0, 0.1]])
    for each in (policy, policy.save(tmp_path / "policy") or policy.load(tmp_path / "policy")):
        assert torch.allclose(each.agent_.scaled(shown), expected, atol=1e-5)
    # what a policy was shown in training does not matter: to another it is as it is to itself
    other = quick("ppo", units=units, random_state=1).fit(CartPole())
    attacks = ["action-difference"]
    own = evaluate(other, attacks=attacks, epsilon=0.5, n_episodes=8)
    same = evaluate(other, attacks=attacks, epsilon=0.5, units=policy.agent_.scale, n_episodes=8)
    assert (own.attacked["action-difference"] == same.attacked["action-difference"]).all()
    for wrong in ((1.0,) * 3, (1.0, 1.0, 0.0, 1.0), (1.0, 1.0, 1.0, float("inf"))):
        with pytest.raises(InvalidInputError, match="expected 4 positive numbers"):
            quick(units=wrong).fit(CartPole())


def test_input_that_is_wrong_is_not_acted_on(cart: RobustPolicyOptimizer) -> None:
    shown = torch.zeros(3, 4)
    shown[1, 2] = torch.nan
    with pytest.raises(InvalidInputError, match="not finite in row 1"):
        cart.decide(shown)
    with pytest.raises(InvalidInputError, match=r"epsilon=-1\.0"):
        quick("ppo", epsilon=-1.0).fit(CartPole())
    for name in ("sa-ppo", "car-ppo"):
        with pytest.raises(InvalidInputError, match="attacked_rollouts=False"):
            quick(name, attacked_rollouts=True).fit(CartPole())
    for wrong in ({"settings": ()}, {"env_steps": -5}, {"n_episodes": 0}):
        with pytest.raises(InvalidInputError, match="LearnedAttack: got"):
            LearnedAttack(**wrong)
    adaptive = AdaptiveStrength()
    for wrong in ({"radius": adaptive, "attacked": False}, {"strength": adaptive}):
        with pytest.raises(InvalidInputError, match="asks for scores"):
            AttackedRollouts(CartPole(), GradientAdversary(0.1, "kl"), **wrong)
    AttackedRollouts(CartPole(), GradientAdversary(0.1, "kl"), strength=adaptive, attacked=False)


def test_sums_of_episodes_that_were_given_up_are_not_carried_on() -> None:
    gymnasium = pytest.importorskip("gymnasium")

    def source() -> AttackedRollouts:
        envs = gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync")
        return AttackedRollouts(envs, IdentityAdversary(), rollout_length=4, n_epochs=1)

    first, second = source(), source()
    list(first.batches(agent(2, None, 4), seeded()))
    second.load_state_dict(first.state_dict())
    list(second.batches(agent(2, None, 4), seeded()))
    # no episode of a cart ends within four steps: each has earned four since it began
    assert (second.state_dict()["returns"] == 4).all()
