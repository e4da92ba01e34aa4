"""Baselines: they learn or plan what they should, and pay for every step."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from dfl.exceptions import BudgetError, InvalidInputError
from dfl.montecarlo import Budget
from dfl.rl.baselines import random_shooting, train_ppo
from dfl.rl.baselines.vec_env import vec_env
from dfl.rl.envs import (
    BatchedModel,
    CartPole,
    Pendulum,
    RubiksCube,
    SequentialAssignment,
    begin_anew,
    play,
    two_step_model,
)
from dfl.rl.envs.model import State
from dfl_solvers import Assignment


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def needs_ppo() -> None:
    pytest.importorskip("stable_baselines3")


# random shooting


def test_many_plans_as_long_as_the_episode_find_the_optimum() -> None:
    values = np.random.default_rng(0).normal(size=(20, 9))
    model, budget = SequentialAssignment(Assignment(3), values), Budget()
    first: list[State] = []

    def act(state: State, generator: torch.Generator) -> Tensor:
        first.append(state)
        return shooting(state, generator)

    shooting = random_shooting(model, n_plans=300, depth=3, budget=budget)
    earned = play(model, act, 50, 3, generator=seeded(), budget=budget)
    assert earned.tolist() == pytest.approx(model.optimal_returns(first[0]).tolist())
    assert budget.counts == {"train": {"env_steps": 150, "model_steps": 3 * 50 * 300 * 3}}


def test_one_plan_is_a_random_policy() -> None:
    act = random_shooting(two_step_model(), n_plans=1, depth=2)
    returns = play(two_step_model(), act, 4000, 2, generator=seeded())
    assert returns.mean().item() == pytest.approx(0.25, abs=0.03)
    many = play(two_step_model(), random_shooting(two_step_model()), 200, 2, generator=seeded())
    assert many.mean().item() == 1


class Trap:
    """Action 1 earns 2 and ends it, though the model would pay more after; 0 earns 1 each time."""

    n_actions, action_dim = 2, None

    def reset(self, n: int, generator: torch.Generator) -> State:
        return {"ended": torch.zeros(n, dtype=torch.bool)}

    def observe(self, state: State) -> Tensor:
        return state["ended"][:, None].float()

    def step(
        self, state: State, actions: Tensor, generator: torch.Generator
    ) -> tuple[State, Tensor, Tensor, Tensor]:
        ends = actions == 1
        rewards = torch.where(state["ended"], 100.0, 1.0 + ends)
        return {"ended": state["ended"] | ends}, rewards, ends, torch.zeros_like(ends)


def test_nothing_is_earned_after_an_episode_ends_and_discounts_count() -> None:
    state = Trap().reset(50, seeded())
    assert (random_shooting(Trap(), n_plans=200, depth=5)(state, seeded()) == 0).all()
    # 1 + 0.5 + 0.25 + ... and 2 at last stays below 2
    hasty = random_shooting(Trap(), n_plans=200, depth=3, discount=0.3)
    assert (hasty(state, seeded()) == 1).all()


def test_shooting_swings_a_pendulum_up_better_with_more_plans() -> None:
    earned = [
        play(
            Pendulum(60), random_shooting(Pendulum(60), n_plans=n, depth=15), 20, 60,
            generator=seeded(),
        ).mean()
        for n in (1, 10, 100)
    ]  # fmt: skip
    assert earned[0] + 50 < earned[1] < earned[2] - 20


def test_shooting_is_as_the_seed_says_and_refuses_what_is_out_of_range() -> None:
    act, state = random_shooting(Pendulum(), n_plans=5), Pendulum().reset(7, seeded())
    assert torch.equal(act(state, seeded()), act(state, seeded()))
    assert not torch.equal(act(state, seeded()), act(state, seeded(1)))
    for plans, depth, discount in ((0, 1, 1), (1, 0, 1), (1, 1, 0), (1, 1, 1.5)):
        with pytest.raises(InvalidInputError, match=f"n_plans={plans}, depth={depth}"):
            random_shooting(Pendulum(), n_plans=plans, depth=depth, discount=discount)
    broken = {"motion": torch.full((2, 2), torch.nan), "steps": torch.zeros(2)}
    with pytest.raises(InvalidInputError, match="not finite from state 0"):
        act(broken, seeded())
    paid = random_shooting(Pendulum(), n_plans=5, depth=2, budget=Budget({"model_steps": 69}))
    with pytest.raises(BudgetError, match="model_steps"):
        paid(state, seeded())


# what begins anew


class Clock:
    """Counts; episodes terminate after 2 or are truncated after 3 steps, by their kind."""

    n_actions, action_dim = 2, None

    def reset(self, n: int, generator: torch.Generator) -> State:
        return {"time": torch.zeros(n), "kind": torch.arange(n) % 2}

    def observe(self, state: State) -> Tensor:
        return torch.stack([state["time"], state["kind"].float()], 1)

    def step(
        self, state: State, actions: Tensor, generator: torch.Generator
    ) -> tuple[State, Tensor, Tensor, Tensor]:
        time, even = state["time"] + 1, state["kind"] == 0
        return {**state, "time": time}, time, even & (time >= 2), ~even & (time >= 3)


def test_only_what_has_ended_begins_anew() -> None:
    state: Mapping[str, Tensor] = {
        "stickers": torch.arange(4)[:, None].repeat(1, 54).to(torch.int8),
        "steps": torch.arange(4) + 5,
    }
    ended = torch.tensor([False, True, False, True])
    after = begin_anew(RubiksCube(), state, ended, seeded())
    fresh = RubiksCube().reset(2, seeded())
    assert torch.equal(after["stickers"][ended], fresh["stickers"])
    assert torch.equal(after["stickers"][~ended], state["stickers"][~ended])
    assert after["steps"].tolist() == [5, 0, 7, 0]
    assert state["steps"].tolist() == [5, 6, 7, 8]
    kept, generator = begin_anew(RubiksCube(), state, ended & ~ended, seeded()), seeded()
    assert kept is state
    assert torch.equal(generator.get_state(), seeded().get_state())


def test_the_agent_is_handed_last_observations_and_truncations() -> None:
    needs_ppo()
    budget = Budget()
    envs = vec_env(Clock(), 2, seeded(), budget)
    assert envs.reset().tolist() == [[0, 0], [0, 1]]
    shown, rewards, ended, infos = envs.step(np.zeros(2, dtype=np.int64))
    assert (rewards.tolist(), ended.tolist(), infos) == ([1, 1], [False, False], [{}, {}])
    shown, rewards, ended, infos = envs.step(np.zeros(2, dtype=np.int64))
    assert ended.tolist() == [True, False]
    assert rewards.tolist() == [2, 2]
    assert shown.tolist() == [[0, 0], [2, 1]]  # the first began anew
    assert infos[0]["terminal_observation"].tolist() == [2, 0]
    assert infos[0]["TimeLimit.truncated"] is False
    assert infos[1] == {}
    shown, rewards, ended, infos = envs.step(np.zeros(2, dtype=np.int64))
    assert (ended.tolist(), infos[0]) == ([False, True], {})
    assert infos[1]["terminal_observation"].tolist() == [3, 1]
    assert infos[1]["TimeLimit.truncated"] is True
    assert budget.counts == {"train": {"env_steps": 6}}
    for asked in (envs.set_attr, envs.env_method):
        with pytest.raises(AttributeError, match="a simulator has no x"):
            asked("x", 1)


# PPO


def test_what_follows_a_truncation_is_valued_and_what_follows_an_end_is_not() -> None:
    needs_ppo()

    class Brief(Clock):
        """Earns nothing; each episode ends, or is truncated, after one step, by its kind."""

        def step(
            self, state: State, actions: Tensor, generator: torch.Generator
        ) -> tuple[State, Tensor, Tensor, Tensor]:
            ends = state["kind"] == 0
            after = {**state, "time": state["time"] + 1}
            return after, torch.zeros(len(ends)), ends, ~ends

    class Second(Brief):
        def reset(self, n: int, generator: torch.Generator) -> State:
            return {"time": torch.zeros(n), "kind": torch.ones(n, dtype=torch.int64)}

    settings = {"n_envs": 1, "rollout": 4, "epochs": 1, "learning_rate": 1e-12}
    for model, last in ((Second(), [1.0, 1.0]), (Brief(), None)):
        agent = train_ppo(model, 4, discount=0.9, generator=seeded(), **settings).agent
        worth = 0.0
        if last is not None:
            worth = 0.9 * agent.policy.predict_values(torch.tensor([last])).item()
            assert abs(worth) > 1e-3
        assert agent.rollout_buffer.rewards.ravel().tolist() == pytest.approx([worth] * 4, abs=1e-6)


@pytest.mark.parametrize(
    ("model", "steps", "settings", "better"),
    [
        (CartPole(), 4_100, {"learning_rate": 3e-3, "epochs": 4}, 60.0),
        (RubiksCube(2, 1, max_steps=3), 3_100, {"learning_rate": 3e-3, "epochs": 4}, 0.4),
    ],
    ids=["cart", "cube"],
)
def test_the_agent_learns(model: BatchedModel, steps: int, settings: dict, better: float) -> None:
    needs_ppo()
    budget = Budget({"env_steps": steps})
    policy = train_ppo(model, steps, generator=seeded(), budget=budget, **settings)
    assert budget.spent("env_steps") == steps // 1024 * 1024
    assert budget.seconds["train"] > 0
    assert [each["env_steps"] for each in policy.history] == [
        1024.0 * (i + 1) for i in range(steps // 1024)
    ]
    # it gets better on the way, and no episode is lost
    assert policy.history[-1]["return"] > policy.history[0]["return"]
    if isinstance(model, CartPole):
        earned = sum(each["return"] * each["episodes"] for each in policy.history)
        assert steps - 1024 - 16 * 500 < earned <= steps
    blind = play(model, random_shooting(model, n_plans=1, depth=1), 200, 500, generator=seeded())
    for trained in (policy, replace(policy, deterministic=False)):
        earned = play(model, trained, 100, 500, generator=seeded())
        assert earned.mean() > blind.mean() + better


def test_training_is_as_the_seed_says_and_leaves_other_generators_alone() -> None:
    needs_ppo()

    def trained() -> Tensor:
        policy = train_ppo(Pendulum(), 200, n_envs=4, rollout=16, generator=seeded())
        drawn = replace(policy, deterministic=False)
        state = Pendulum().reset(20, seeded())
        assert policy(state, seeded()).shape == (20, 1)
        assert not torch.equal(policy(state, seeded()), drawn(state, seeded()))
        assert torch.equal(policy(state, seeded(1)), policy(state, seeded()))
        assert not torch.equal(drawn(state, seeded(1)), drawn(state, seeded()))
        assert drawn(state, seeded()).abs().max() <= 1
        return drawn(state, seeded())

    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    before = random.random(), np.random.random(), torch.rand(1).item()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    one = trained()
    assert (random.random(), np.random.random(), torch.rand(1).item()) == before
    assert torch.equal(one, trained())


def test_drawn_actions_have_the_chances_of_the_policy() -> None:
    needs_ppo()
    policy = replace(
        train_ppo(two_step_model(), 64, n_envs=4, rollout=16, generator=seeded()),
        deterministic=False,
    )
    state = two_step_model().reset(20_000, seeded())
    shown = two_step_model().observe(state)[:1].float()
    chance = policy.agent.policy.get_distribution(shown).distribution.probs[0, 1].item()
    assert policy(state, seeded()).double().mean().item() == pytest.approx(chance, abs=0.015)


def test_a_budget_and_too_few_steps_are_refused() -> None:
    needs_ppo()
    with pytest.raises(InvalidInputError, match="one rollout of 1024 steps"):
        train_ppo(Pendulum(), 1023, generator=seeded())
    for name in ("n_envs", "rollout", "batch_size", "epochs"):
        with pytest.raises(InvalidInputError, match=f"got {name}=0, expected at least"):
            train_ppo(Pendulum(), 64, generator=seeded(), **{name: 0})
    with pytest.raises(InvalidInputError, match=r"n_envs \* rollout=1, expected at least 2"):
        train_ppo(Pendulum(), 64, n_envs=1, rollout=1, generator=seeded())
    with pytest.raises(InvalidInputError, match="batch_size=1, expected at least 2"):
        train_ppo(Pendulum(), 1024, batch_size=1, generator=seeded())
    for name, number in (
        ("discount", 2.0), ("trace", -0.1), ("learning_rate", math.nan), ("clip", -1),
        ("entropy", -1),
    ):  # fmt: skip
        with pytest.raises(InvalidInputError, match=f"got {name}={number}, expected"):
            train_ppo(Pendulum(), 64, n_envs=4, rollout=16, generator=seeded(), **{name: number})
    with pytest.raises(BudgetError, match="env_steps"):
        train_ppo(
            Pendulum(), 64, n_envs=4, rollout=16, generator=seeded(),
            budget=Budget({"env_steps": 63}),
        )  # fmt: skip
