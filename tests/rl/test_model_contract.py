"""What holds of every simulator: pure, batched, clonable, and never anew by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.rl.envs import (
    BatchedModel,
    CartPole,
    Pendulum,
    RubiksCube,
    SequentialAssignment,
    SequentialKnapsack,
    Sokoban,
    TabularModel,
    gather_rows,
    random_actions,
    random_model,
    repeat_rows,
    two_step_model,
    where_rows,
)
from dfl_solvers import Assignment, Knapsack

VALUES = np.random.default_rng(0).normal(size=(5, 9))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


MODELS: dict[str, Callable[[], BatchedModel]] = {
    "two steps": two_step_model,
    "random": lambda: random_model(6, 3, generator=seeded()),
    "random, deterministic": lambda: random_model(6, 3, generator=seeded(), deterministic=True),
    "cube": lambda: RubiksCube(3, (1, 5)),
    "small cube": lambda: RubiksCube(2, 2, max_steps=4),
    "knapsack": lambda: SequentialKnapsack(
        Knapsack(1 + VALUES[:2] ** 2, (4 + VALUES[:2] ** 2).sum(1) / 5), VALUES
    ),
    "assignment": lambda: SequentialAssignment(Assignment(3), VALUES),
    "sokoban": lambda: Sokoban(max_steps=9),
    "large sokoban": lambda: Sokoban(7, boxes=2),
    "cart": lambda: CartPole(max_steps=15),
    "pendulum": lambda: Pendulum(max_steps=12),
}
DETERMINISTIC = [name for name in MODELS if name != "random"]


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> BatchedModel:
    return MODELS[request.param]()


def equal(state: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return state.keys() == other.keys() and all(torch.equal(state[k], other[k]) for k in state)


def test_actions_are_of_one_kind(model: BatchedModel) -> None:
    assert (model.n_actions is None) != (model.action_dim is None)
    actions = random_actions(model, 500, seeded())
    if model.n_actions is None:
        assert actions.shape == (500, model.action_dim)
        assert -1 <= actions.min() < -0.9
        assert 0.9 < actions.max() <= 1
    else:
        assert actions.dtype == torch.int64
        assert set(actions.tolist()) == set(range(model.n_actions))


def test_models_are_pure_functions_of_their_arguments(model: BatchedModel) -> None:
    n = 50
    assert equal(model.reset(n, seeded(3)), model.reset(n, seeded(3)))
    state = model.reset(n, seeded())
    if len(torch.unique(model.observe(state), dim=0)) > 1:
        assert not equal(state, model.reset(n, seeded(1)))
    drawn = torch.get_rng_state()
    for i in range(25):  # beyond the end of many episodes
        kept = {key: values.clone() for key, values in state.items()}
        actions = random_actions(model, n, seeded(i))
        before = actions.clone()
        after, *rest = model.step(state, actions, seeded(i))
        model.observe(state)
        again, *same = model.step({k: v.clone() for k, v in state.items()}, actions, seeded(i))
        assert equal(state, kept), "a step changed the state that it was given"
        assert torch.equal(actions, before)
        assert equal(after, again)
        assert all(torch.equal(a, b) for a, b in zip(rest, same, strict=True))
        state = after
    assert torch.equal(drawn, torch.get_rng_state()), "a model drew from torch's own generator"


def test_everything_has_a_row_for_each_state(model: BatchedModel) -> None:
    n = 30
    state = model.reset(n, seeded())
    for i in range(25):
        shown = model.observe(state)
        assert shown.is_floating_point()
        assert len(shown) == n
        assert shown.isfinite().all()
        after, rewards, terminated, truncated = model.step(
            state, random_actions(model, n, seeded(i)), seeded(i)
        )
        assert {k: (v.shape, v.dtype) for k, v in after.items()} == {
            k: (v.shape, v.dtype) for k, v in state.items()
        }
        assert rewards.shape == terminated.shape == truncated.shape == (n,)
        assert rewards.is_floating_point()
        assert rewards.isfinite().all()
        assert terminated.dtype == truncated.dtype == torch.bool
        assert not (terminated & truncated).any()
        state = after


def test_one_state_is_a_batch_too(model: BatchedModel) -> None:
    state = model.reset(1, seeded())
    after, *rest = model.step(state, random_actions(model, 1, seeded()), seeded())
    assert len(model.observe(after)) == 1
    assert [part.shape for part in rest] == [(1,)] * 3


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_rows_of_deterministic_models_do_not_touch_each_other(name: str) -> None:
    model, n = MODELS[name](), 20
    state = model.reset(n, seeded())
    actions = random_actions(model, n, seeded())
    order = torch.randperm(n, generator=seeded())[:7]
    after, *rest = model.step(state, actions, seeded())
    alone, *same = model.step(gather_rows(state, order), actions[order], seeded(5))
    assert equal(alone, gather_rows(after, order))
    assert all(torch.equal(a[order], b) for a, b in zip(rest, same, strict=True))
    assert torch.equal(model.observe(alone), model.observe(after)[order])


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_copies_of_a_state_go_on_as_it_does_from_any_step(name: str) -> None:
    model, n = MODELS[name](), 12
    state = model.reset(n, seeded())
    for i in range(4):
        copies = repeat_rows(state, 3)
        actions = random_actions(model, n, seeded(i))
        after, rewards, *_ = model.step(state, actions, seeded())
        # elsewhere something else happens in between, to other copies of the same states
        model.step(copies, random_actions(model, 3 * n, seeded(9)), seeded())
        later, earned, *_ = model.step(copies, actions.repeat_interleave(3, 0), seeded(7))
        assert equal(later, repeat_rows(after, 3))
        assert torch.equal(earned, rewards.repeat_interleave(3))
        mask = torch.arange(n) % 2 == 0
        mixed = where_rows(mask, after, state)
        assert equal(gather_rows(mixed, mask), gather_rows(after, mask))
        assert equal(gather_rows(mixed, ~mask), gather_rows(state, ~mask))
        state = after


def test_an_episode_that_has_ended_neither_begins_anew_nor_fails(model: BatchedModel) -> None:
    n = 200
    state = model.reset(n, seeded())
    ended = torch.zeros(n, dtype=torch.bool)
    for i in range(60):
        actions = random_actions(model, n, seeded(i))
        state, rewards, terminated, truncated = model.step(state, actions, seeded(i))
        assert rewards.isfinite().all()
        assert model.observe(state).isfinite().all()
        if "steps" in state:
            assert (state["steps"] == i + 1).all()
        ended |= terminated | truncated
    assert ended.any()


@pytest.mark.parametrize("name", ["small cube", "sokoban", "cart", "pendulum"])
def test_a_limit_is_part_of_the_state_and_cuts_only_what_goes_on(name: str) -> None:
    model, n = MODELS[name](), 100
    state = model.reset(n, seeded())
    alive, limit = torch.ones(n, dtype=torch.bool), model.max_steps  # type: ignore[attr-defined]
    for i in range(limit):
        state = gather_rows(state, torch.arange(n))
        actions = random_actions(model, n, seeded(i))
        state, _, terminated, truncated = model.step(state, actions, seeded())
        assert truncated[alive & ~terminated].all() == (i == limit - 1)
        assert not truncated[alive].any() or i == limit - 1
        alive &= ~(terminated | truncated)
    assert not alive.any()


def test_a_limit_that_leaves_no_step_is_refused() -> None:
    def tabular(max_steps: int) -> TabularModel:
        table = two_step_model()
        return TabularModel(
            table.transitions, table.rewards, table.terminal, table.initial, max_steps
        )

    for make in (CartPole, Pendulum, Sokoban, RubiksCube):
        with pytest.raises(InvalidInputError, match=f"{make.__name__}: got max_steps=0"):
            make(max_steps=0)
    with pytest.raises(InvalidInputError, match="TabularModel: got max_steps=-1"):
        tabular(-1)
