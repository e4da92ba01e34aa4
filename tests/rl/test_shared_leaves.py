"""What the policy methods share: sums of rewards, seeds, checkpoints, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget
from dfl.rl.envs import CartPole, Pendulum
from dfl.rl.fitting import check_trainable, checkpoint_at, part, spent, trained_as
from dfl.rl.returns import RunningReturns, check_rewards
from dfl.rl.seeds import drawn_seed, later_seed, seeded
from dfl.rl.simulators import check_actions, check_observations, shown_by


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 12), st.sampled_from([1.0, 0.9]))
def test_sums_of_rewards_are_those_of_each_episode_alone(
    seed: int, n: int, length: int, discount: float
) -> None:
    rng = np.random.default_rng(seed)
    rewards, over = rng.normal(size=(length, n)), rng.random((length, n)) < 0.3
    running = RunningReturns(discount)
    cut = length // 2  # sums go on from call to call
    halves = [(rewards[:cut], over[:cut]), (rewards[cut:], over[cut:])]
    added = [running.add(torch.tensor(r), torch.tensor(o)) for r, o in halves if len(r)]
    found = torch.cat(added)
    for i in range(n):
        begun = 0
        for t in range(length):
            known = sum(discount ** (t - s) * rewards[s, i] for s in range(begun, t + 1))
            assert found[t][i].item() == pytest.approx(known, abs=1e-12)
            begun = t + 1 if over[t, i] else begun
        assert running.sums[i].item() == (0.0 if over[-1, i] else found[-1][i].item())


def test_rewards_that_are_not_finite_are_refused_by_environment() -> None:
    rewards = torch.zeros(4, 3)
    check_rewards("", rewards)
    rewards[2, 1] = torch.inf
    rewards[0, 2] = torch.nan
    with pytest.raises(InvalidInputError, match=r"^got rewards .* first in environment 1$"):
        check_rewards("", rewards)
    with pytest.raises(InvalidInputError, match=r"^Cart: got rewards .* first in environment 2$"):
        check_rewards("Cart", rewards[0])


def test_nobody_is_judged_by_the_seed_of_the_fit() -> None:
    assert drawn_seed(3) == drawn_seed(np.random.default_rng(3)) != drawn_seed(4)
    assert later_seed(7, None) == 8
    assert later_seed(7, 3) == later_seed(8, 3) == drawn_seed(3)
    assert torch.equal(torch.rand(2, generator=seeded(1)), torch.rand(2, generator=seeded(1)))


def test_a_fingerprint_is_taken_only_where_a_state_is_kept(tmp_path: Path) -> None:
    def never() -> str:
        raise AssertionError

    assert checkpoint_at(None, never) is None
    kept = checkpoint_at(tmp_path / "state", lambda: "told")
    assert kept is not None
    assert (kept.path, kept.fingerprint) == (tmp_path / "state", "told")


def test_what_was_spent_and_parts_of_a_state_go_by_name() -> None:
    budget = Budget()
    budget.charge("env_steps", 3)
    assert spent(budget, ("env_steps", "model_steps")) == {"env_steps": 3.0, "model_steps": 0.0}
    assert part({"a.x": 1, "a.a.y": 2, "b.x": 3}, "a.") == {"x": 1, "a.y": 2}


def test_models_that_cannot_be_trained_are_refused() -> None:
    linear = nn.Linear(1, 1)
    assert trained_as("anything", linear, nn.Linear) is linear
    with pytest.raises(InvalidInputError, match=r"Budget: got a model of type Linear .* a Conv1d"):
        trained_as(Budget(), linear, nn.Conv1d)
    check_trainable("", "network", linear)
    with pytest.raises(InvalidInputError, match=r"^Tuner: got a network of type Flatten without"):
        check_trainable("Tuner", "network", nn.Flatten())


def test_environments_that_are_not_those_of_the_fit_are_refused() -> None:
    check_actions(Budget(), CartPole(), (2, None), (2, None))
    with pytest.raises(InvalidInputError, match=r"Budget: got a Pendulum .* expected 2 and None"):
        check_actions(Budget(), Pendulum(), (None, 1), (2, None))
    assert check_observations(np.zeros((5, 2, 3)), (2, 3)).shape == (5, 2, 3)
    with pytest.raises(InvalidInputError, match=r"shape \(5, 6\), expected \(n, 2, 3\)"):
        check_observations(torch.zeros(5, 6), (2, 3))


def test_a_simulator_is_told_by_what_it_does() -> None:
    _, first = shown_by(CartPole(), 0)
    assert all(map(torch.equal, first, shown_by(CartPole(), 0)[1]))
    assert not all(map(torch.equal, first, shown_by(CartPole(), 1)[1]))
    assert len(first) == 5  # before, after, rewards, and two kinds of ends
