"""The cart and the pendulum move as those of Gymnasium do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dfl.rl.envs import CartPole, Pendulum, play, random_actions
from dfl.rl.envs.model import State


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_cart_moves_by_the_published_equations() -> None:
    x, v, a, w = 0.1, -0.2, 0.05, 0.3
    push = (10.0 + 0.05 * w**2 * math.sin(a)) / 1.1
    bend = (9.8 * math.sin(a) - math.cos(a) * push) / (0.5 * (4 / 3 - 0.1 * math.cos(a) ** 2 / 1.1))
    drive = push - 0.05 * bend * math.cos(a) / 1.1
    state = {"motion": torch.tensor([[x, v, a, w]]).double(), "steps": torch.tensor([0])}
    after, rewards, terminated, _ = CartPole().step(state, torch.tensor([1]), seeded())
    expected = [x + 0.02 * v, v + 0.02 * drive, a + 0.02 * w, w + 0.02 * bend]
    assert after["motion"][0].tolist() == pytest.approx(expected, abs=1e-7)
    assert (rewards.item(), terminated.item()) == (1.0, False)


def test_a_cart_falls_at_the_published_bounds() -> None:
    motion = torch.tensor([[2.39, 1.0, 0, 0], [2.39, 0.1, 0, 0], [0, 0, 0.209, 1], [0, 0, -0.2, 0]])
    state = {"motion": motion.double(), "steps": torch.zeros(4, dtype=torch.int64)}
    terminated = CartPole().step(state, torch.zeros(4, dtype=torch.int64), seeded())[2]
    assert terminated.tolist() == [True, False, True, False]


def test_carts_move_as_those_of_gymnasium() -> None:
    gymnasium = pytest.importorskip("gymnasium")
    theirs, ours, actions = gymnasium.make("CartPole-v1"), CartPole(), seeded()
    ended = 0
    for episode in range(20):
        theirs.reset(seed=episode)
        start = torch.from_numpy(np.array(theirs.unwrapped.state))[None]
        state: State = {"motion": start, "steps": torch.zeros(1, dtype=torch.int64)}
        while True:
            # leaning the right way makes some episodes long
            action = random_actions(ours, 1, actions)
            if episode % 2:
                action = (state["motion"][:, 2:].sum(1) > 0).long()
            shown, reward, over, late, _ = theirs.step(int(action))
            state, rewards, terminated, truncated = ours.step(state, action, actions)
            assert state["motion"][0].numpy() == pytest.approx(theirs.unwrapped.state, abs=1e-9)
            assert ours.observe(state)[0].numpy() == pytest.approx(shown, abs=1e-6)
            assert (rewards.item(), terminated.item()) == (reward, over)
            assert truncated.item() == (late and not over)
            if over or late:
                ended += 1
                break
    assert ended == 20


def test_pendulums_move_as_those_of_gymnasium() -> None:
    gymnasium = pytest.importorskip("gymnasium")
    theirs, ours, actions = gymnasium.make("Pendulum-v1"), Pendulum(), seeded()
    for episode in range(10):
        theirs.reset(seed=episode)
        start = torch.from_numpy(np.array(theirs.unwrapped.state))[None]
        state: State = {"motion": start, "steps": torch.zeros(1, dtype=torch.int64)}
        for i in range(200):
            action = 1.5 * random_actions(ours, 1, actions)  # beyond the bounds too
            shown, reward, over, late, _ = theirs.step(2 * action[0].double().numpy())
            state, rewards, terminated, truncated = ours.step(state, action, actions)
            assert state["motion"][0].numpy() == pytest.approx(theirs.unwrapped.state, abs=1e-8)
            assert ours.observe(state)[0].numpy() == pytest.approx(shown, abs=1e-6)
            assert rewards.item() == pytest.approx(reward, abs=1e-8)
            assert (terminated.item(), truncated.item()) == (over, late)
            assert truncated.item() == (i == 199)


def test_first_states_are_as_those_of_gymnasium() -> None:
    motion = CartPole().reset(20_000, seeded())["motion"]
    assert motion.abs().max() <= 0.05
    assert motion.mean(0).tolist() == pytest.approx([0] * 4, abs=0.001)
    assert motion.std(0).tolist() == pytest.approx([0.05 / 3**0.5] * 4, rel=0.02)
    motion = Pendulum().reset(20_000, seeded())["motion"]
    assert motion.std(0).tolist() == pytest.approx([math.pi / 3**0.5, 1 / 3**0.5], rel=0.02)


def test_a_pendulum_that_hangs_earns_what_hanging_costs() -> None:
    def hang(state: State, generator: torch.Generator) -> torch.Tensor:
        return torch.zeros(len(state["steps"]), 1)

    class Hanging:
        n_actions, action_dim = None, 1
        observe, step = Pendulum(max_steps=7).observe, Pendulum(max_steps=7).step

        def reset(self, n: int, generator: torch.Generator) -> State:
            motion = torch.tensor([[math.pi, 0.0]], dtype=torch.float64).repeat(n, 1)
            return {"motion": motion, "steps": torch.zeros(n, dtype=torch.int64)}

    returns = play(Hanging(), hang, 3, 100, generator=seeded())
    assert returns.tolist() == pytest.approx([-7 * math.pi**2] * 3, abs=1e-6)
