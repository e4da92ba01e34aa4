"""Environments of Gymnasium: copies that are true, and steps that are not mixed up."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dfl.exceptions import BudgetError, InvalidInputError, UnsupportedError
from dfl.montecarlo import Budget
from dfl.rl.envs import (
    CartPole,
    GymnasiumCollector,
    GymnasiumModel,
    gather_rows,
    play,
    random_actions,
    repeat_rows,
    where_rows,
)
from dfl.rl.smc import SMCPolicyOptimizer, smc_search, uniform_network

gymnasium = pytest.importorskip("gymnasium")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Line(gymnasium.Env):
    """Walk right to 4; ends after 6 steps. Shows place, and number of the episode."""

    observation_space = gymnasium.spaces.Box(-100, 100, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2, start=5)

    def __init__(self) -> None:
        self.episode = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.place, self.steps, self.episode = 0.0, 0, self.episode + 1
        return self.shown(), {}

    def shown(self) -> np.ndarray:
        return np.array([self.place, self.episode], np.float32)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert action in (5, 6)
        self.place, self.steps = self.place + action - 5, self.steps + 1
        return self.shown(), float(self.place), self.place >= 4, self.steps >= 6, {}


class Strict(Line):
    """Fails if it is stepped after its end, as some do."""

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert self.place < 4
        assert self.steps < 6
        return super().step(action)


class Forgetful(Line, gymnasium.utils.EzPickle):
    """Copies of it are built anew, as those of many environments are."""

    def __init__(self) -> None:
        Line.__init__(self)
        gymnasium.utils.EzPickle.__init__(self)
        self.reset()


class Aliasing(Line):
    """Copies of it share their place."""

    def __deepcopy__(self, memo: dict) -> Aliasing:
        return self


class Once(Line):
    """A copy of it is one, but a copy of the copy is the same."""

    copied = False

    def __deepcopy__(self, memo: dict) -> Once:
        if self.copied:
            return self
        other = copy.copy(self)
        other.copied = True
        return other


class Elsewhere(Line):
    """Its randomness comes from a generator of its own."""

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        shown, reward, *rest = super().step(action)
        return (shown, reward + ELSEWHERE.normal(), *rest)


ELSEWHERE = np.random.default_rng(0)


class Fated(Line):
    """Its copies take along a generator of its own, and have the same luck."""

    def __init__(self, own: Any) -> None:
        super().__init__()
        self.own = own

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        shown, reward, *rest = super().step(action)
        return (shown, reward + self.own.uniform(0, 1), *rest)


class Uncopiable(Line):
    def __deepcopy__(self, memo: dict) -> None:
        raise TypeError("cannot pickle what is not of Python")


def test_copies_that_lose_share_or_invent_state_are_refused() -> None:
    for make in (Forgetful, Aliasing, Once, Elsewhere):
        with pytest.raises(UnsupportedError, match=r"of .* does not go on as it does"):
            GymnasiumModel(make)
    for own in (np.random.default_rng, np.random.RandomState, random.Random):
        with pytest.raises(UnsupportedError, match="a generator of its own"):
            GymnasiumModel(lambda own=own: Fated(own(0)))
    with pytest.raises(UnsupportedError, match=r"cannot be copied \(cannot pickle"):
        GymnasiumModel(Uncopiable)
    with pytest.raises(InvalidInputError, match="expected both"):
        GymnasiumModel(Line, save=lambda env: env.place)


def test_saved_states_stand_in_for_copies_if_they_are_whole() -> None:
    def save(env: Any) -> tuple[float, int, int]:
        return env.place, env.steps, env.episode

    def restore(env: Any, saved: np.ndarray) -> None:
        env.place, env.steps, env.episode = saved.tolist()

    model = GymnasiumModel(Uncopiable, save, restore)
    state = model.reset(3, seeded())
    one = model.step(state, torch.tensor([0, 1, 1]), seeded())[0]
    two = model.step(one, torch.tensor([1, 1, 0]), seeded())[0]
    assert model.observe(two)[:, 0].tolist() == [1, 2, 1]
    assert model.observe(one)[:, 0].tolist() == [0, 1, 1]
    assert two["saved"].tolist() == [[1, 2, 2], [2, 2, 3], [1, 2, 4]]

    def forget(env: Any, saved: np.ndarray) -> None:
        env.place, _, env.episode = saved.tolist()  # the counter of steps goes on counting

    with pytest.raises(UnsupportedError, match="does not go on"):
        GymnasiumModel(Line, save, forget)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "Blackjack-v1"])
def test_models_of_environments_are_pure_functions(name: str) -> None:
    model, n = GymnasiumModel(lambda: gymnasium.make(name)), 4
    first, again = model.reset(n, seeded()), model.reset(n, seeded())
    assert torch.equal(model.observe(first), model.observe(again))
    state = first
    for i in range(5):
        actions = random_actions(model, n, seeded(i))
        one = model.step(state, actions, seeded(i))
        two = model.step(state, actions, seeded(i))
        assert torch.equal(model.observe(one[0]), model.observe(two[0]))
        assert all(torch.equal(a, b) for a, b in zip(one[1:], two[1:], strict=True))
        assert model.observe(one[0]).dtype == torch.float32
        assert one[2].dtype == one[3].dtype == torch.bool
        going_on = ~(one[2] | one[3])
        state = where_rows(going_on, one[0], first)


def test_a_cart_with_its_counter_is_saved_whole() -> None:
    def save(env: Any) -> list[float]:
        return [*env.unwrapped.state, env.get_wrapper_attr("_elapsed_steps")]

    def restore(env: Any, saved: np.ndarray) -> None:
        env.unwrapped.state = saved[:4]
        env.set_wrapper_attr("_elapsed_steps", int(saved[4]))
        env.unwrapped.steps_beyond_terminated = None

    def make() -> Any:
        return gymnasium.make("CartPole-v1", max_episode_steps=7)

    copied, restored = GymnasiumModel(make), GymnasiumModel(make, save, restore)
    one, two = copied.reset(5, seeded()), restored.reset(5, seeded())
    for i in range(7):
        actions = random_actions(copied, 5, seeded(i))
        one, *rest = copied.step(one, actions, seeded())
        two, *same = restored.step(two, actions, seeded())
        assert torch.equal(copied.observe(one), restored.observe(two))
        assert all(torch.equal(a, b) for a, b in zip(rest, same, strict=True))
    assert rest[2].all()


def test_a_forgotten_counter_is_found_though_its_limit_is_far() -> None:
    # carts fall long before step 500; a counter that goes on would truncate a search for ever
    def save(env: Any) -> list[float]:
        return list(env.unwrapped.state)

    def restore(env: Any, saved: np.ndarray) -> None:
        env.unwrapped.state = saved
        env.unwrapped.steps_beyond_terminated = None

    with pytest.raises(UnsupportedError, match="differ 1 steps after"):
        GymnasiumModel(lambda: gymnasium.make("CartPole-v1"), save, restore)


def test_what_needs_tensors_says_what_to_give(tmp_path: Path) -> None:
    model = GymnasiumModel(Line)
    state = model.reset(2, seeded())
    with pytest.raises(UnsupportedError, match="have no stack: give save and restore"):
        torch.stack([state["saved"], state["saved"]])
    for checkpoint in (None, tmp_path / "state"):
        learner = SMCPolicyOptimizer(n_environments=2, rollout_length=1, checkpoint=checkpoint)
        with pytest.raises(UnsupportedError, match="have no stack: give save and restore"):
            learner.fit(model)


def test_what_is_no_maker_or_no_vector_environment_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"got <.*Line.*>, expected a function"):
        GymnasiumModel(Line())  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="expected a vector environment"):
        GymnasiumCollector(Line())


def test_copies_of_a_state_have_luck_of_their_own_as_the_generator_says() -> None:
    model = GymnasiumModel(lambda: gymnasium.make("FrozenLake-v1", is_slippery=True))
    state = repeat_rows(model.reset(1, seeded()), 60)
    right = torch.full((60,), 2)
    places = model.observe(model.step(state, right, seeded())[0])
    # of right, down and up, the last leads nowhere from the first place
    assert places.mean(0)[[0, 1, 4]].tolist() == pytest.approx([1 / 3] * 3, abs=0.2)
    assert torch.equal(places, model.observe(model.step(state, right, seeded())[0]))
    assert not torch.equal(places, model.observe(model.step(state, right, seeded(1))[0]))


def test_rows_of_environments_are_repeated_gathered_and_chosen() -> None:
    model = GymnasiumModel(Line)
    state = model.reset(3, seeded())
    after = model.step(state, torch.tensor([1, 0, 1]), seeded())[0]
    mixed = where_rows(torch.tensor([True, True, False]), after, state)
    for _ in range(2):
        mixed = model.step(repeat_rows(mixed, 2), torch.ones(6).long(), seeded())[0]
        mixed = gather_rows(mixed, torch.tensor([True, False, True, False, True, False]))
    assert model.observe(mixed)[:, 0].tolist() == [3, 2, 2]
    picked = gather_rows(mixed, torch.tensor([2, 0]))
    assert model.observe(model.step(picked, torch.ones(2).long(), seeded())[0])[:, 0].tolist() == [
        3,
        4,
    ]


def test_an_environment_that_has_ended_is_left_as_it_is() -> None:
    model = GymnasiumModel(Strict)
    state, earned = model.reset(2, seeded()), []
    for _ in range(8):
        state, rewards, terminated, truncated = model.step(state, torch.tensor([1, 0]), seeded())
        earned.append(rewards.tolist())
        assert not (terminated & truncated).any()
    assert earned == [[1, 0], [2, 0], [3, 0], [4, 0], [0, 0], [0, 0], [0, 0], [0, 0]]
    assert model.observe(state)[:, 0].tolist() == [4, 0]
    assert state["over"].all()


def test_a_copied_cart_moves_as_ours() -> None:
    theirs, ours = GymnasiumModel(lambda: gymnasium.make("CartPole-v1")), CartPole()
    state = theirs.reset(3, seeded())
    motion = np.stack([env.unwrapped.state for env in state["saved"].saved])
    same: Mapping[str, Tensor] = {
        "motion": torch.from_numpy(motion),
        "steps": torch.zeros(3, dtype=torch.int64),
    }
    for i in range(8):
        actions = random_actions(ours, 3, seeded(i))
        state, *rest = theirs.step(state, actions, seeded())
        same, *expected = ours.step(same, actions, seeded())
        assert torch.allclose(theirs.observe(state), ours.observe(same), atol=1e-6)
        assert all(torch.equal(a, b.to(a.dtype)) for a, b in zip(rest, expected, strict=True))


def test_search_in_copies_finds_the_way() -> None:
    model = GymnasiumModel(Line)
    network = uniform_network(model)

    def act(state: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        return smc_search(
            model, network, state, temperature=0.2, n_particles=16, depth=3, generator=generator
        ).actions

    budget = Budget()
    returns = play(model, act, 4, 10, generator=seeded(), budget=budget)
    blind = play(
        model,
        lambda state, g: random_actions(model, len(state["shown"]), g),
        40,
        10,
        generator=seeded(),
    )
    assert returns.mean() > blind.mean() + 1
    assert budget.spent("env_steps") >= 16


def walk(state: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
    """Environment 0 walks right and terminates; 1 stands still and is truncated."""
    return torch.tensor([1, 0])


@pytest.mark.parametrize("mode", ["NEXT_STEP", "SAME_STEP", "DISABLED"])
def test_all_ways_to_begin_anew_give_the_same_transitions(mode: str) -> None:
    reset = gymnasium.vector.AutoresetMode[mode]
    envs = gymnasium.vector.SyncVectorEnv([Line, Line], autoreset_mode=reset)
    collector, budget = GymnasiumCollector(envs), Budget()
    parts = [collector.collect(walk, t, generator=seeded(), budget=budget) for t in (5, 9, 7)]
    whole = {
        name: torch.cat([getattr(part, name) for part in parts])
        for name in parts[0].__dataclass_fields__
    }
    for i, length in ((0, 4), (1, 6)):
        valid = whole["valid"][:, i]
        rows = {name: values[valid, i] for name, values in whole.items()}
        steps = torch.arange(len(rows["rewards"]))
        place = (steps % length) * (1 - i)
        episode = 1 + steps // length
        assert rows["observations"].tolist() == torch.stack([place, episode], 1).tolist()
        # the last observation of an episode is its own, not the first of the next
        shown = torch.stack([place + 1 - i, episode], 1)
        assert rows["next_observations"].tolist() == shown.tolist()
        assert rows["rewards"].tolist() == (place + 1 - i).tolist()
        last = steps % length == length - 1
        assert torch.equal(rows["terminated"], last & (i == 0))
        assert torch.equal(rows["truncated"], last & (i == 1))
        assert (~valid).sum() == (len(valid) // (length + 1) if mode == "NEXT_STEP" else 0)
    assert budget.spent("env_steps") == whole["valid"].sum()


def test_a_step_that_both_ends_and_is_out_of_time_only_ends() -> None:
    class Both(Line):
        def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
            shown, reward, over, _, infos = super().step(action)
            return shown, reward, over, over, infos

    collector = GymnasiumCollector(gymnasium.vector.SyncVectorEnv([Both, Both]))
    found = collector.collect(walk, 4, generator=seeded())
    assert found.terminated[:, 0].tolist() == [False] * 3 + [True]
    assert not found.truncated.any()


def test_a_budget_stops_a_collection() -> None:
    collector = GymnasiumCollector(gymnasium.vector.SyncVectorEnv([Line, Line]))
    with pytest.raises(BudgetError, match="env_steps"):
        collector.collect(walk, 4, generator=seeded(), budget=Budget({"env_steps": 7}))
    with pytest.raises(InvalidInputError, match="n_steps=0"):
        collector.collect(walk, 0, generator=seeded())


def test_collections_are_as_the_seed_says() -> None:
    def found(seed: int) -> Tensor:
        collector = GymnasiumCollector(gymnasium.make_vec("Pendulum-v1", num_envs=3))
        assert (collector.n_actions, collector.action_dim) == (None, 1)
        return collector.collect(
            lambda state, g: random_actions(collector, 3, g), 20, generator=seeded(seed)
        ).next_observations

    assert torch.equal(found(0), found(0))
    assert not torch.equal(found(0), found(1))


class Boxes(Line):
    """Actions with bounds of their own in each coordinate; a dictionary is shown."""

    action_space = gymnasium.spaces.Box(
        np.array([0.0, -2.0], np.float32), np.array([10.0, 2.0], np.float32)
    )
    observation_space = gymnasium.spaces.Dict(
        {"a": gymnasium.spaces.Discrete(3), "b": gymnasium.spaces.Box(-20, 20, (2,), np.float32)}
    )

    def shown(self) -> dict:  # type: ignore[override]
        return {"a": 1, "b": np.array(self.took, np.float32)}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple:
        self.took = [0.0, 0.0]
        return super().reset(seed=seed)

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:  # type: ignore[override]
        assert self.action_space.contains(action)
        self.took = action.tolist()
        return self.shown(), 0.0, False, False, {}


def test_actions_are_scaled_to_their_bounds_and_dictionaries_flattened() -> None:
    model = GymnasiumModel(Boxes)
    assert (model.n_actions, model.action_dim) == (None, 2)
    actions = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.5], [-7.0, 7.0]])
    after = model.step(model.reset(4, seeded()), actions, seeded())[0]
    assert model.observe(after).tolist() == [
        [0, 1, 0, 0, -2],
        [0, 1, 0, 10, 2],
        [0, 1, 0, 5, 1],
        [0, 1, 0, 0, 2],
    ]


class Notches(Line):
    """Takes whole numbers from -1 to 1, as a coordinate."""

    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.int32)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        return self.shown(), float(action[0]), False, False, {}


def test_whole_numbers_are_rounded_so_that_all_can_be_reached() -> None:
    model = GymnasiumModel(Notches)
    actions = torch.tensor([[-0.99], [-0.6], [0.4], [0.6], [0.99]])
    rewards = model.step(model.reset(5, seeded()), actions, seeded())[1]
    assert rewards.tolist() == [-1, -1, 0, 1, 1]


def test_actions_of_another_shape_or_kind_are_refused() -> None:
    pendulum = GymnasiumModel(lambda: gymnasium.make("Pendulum-v1"))
    state = pendulum.reset(2, seeded())
    for wrong in (torch.zeros(2, 4), torch.zeros(2), torch.zeros(1, 1), torch.zeros(2, 1).long()):
        with pytest.raises(InvalidInputError, match=r"expected floating point of shape \(2, 1\)"):
            pendulum.step(state, wrong, seeded())
    collector = GymnasiumCollector(gymnasium.vector.SyncVectorEnv([Line, Line]))
    for wrong in (torch.zeros(1).long(), torch.zeros(2, 1).long(), torch.full((2,), 0.7)):
        with pytest.raises(InvalidInputError, match=r"expected whole numbers of shape \(2,\)"):
            collector.collect(lambda state, g, wrong=wrong: wrong, 1, generator=seeded())


def test_actions_of_other_spaces_are_refused_by_name() -> None:
    class Odd(Line):
        action_space = gymnasium.spaces.MultiBinary(3)

    class Unbounded(Line):
        action_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))

    for make in (Odd, Unbounded):
        with pytest.raises(UnsupportedError, match="expected Discrete or a Box with bounds"):
            GymnasiumModel(make)
