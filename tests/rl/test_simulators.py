"""Simulators: pure, batched, and right where the answer is known."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from dfl.datasets import make_knapsack
from dfl.exceptions import BudgetError, InvalidInputError
from dfl.montecarlo import Budget
from dfl.rl.envs import (
    RubiksCube,
    SequentialAssignment,
    SequentialKnapsack,
    TabularModel,
    play,
    random_model,
    repeat_rows,
    two_step_model,
    where_rows,
)
from dfl_solvers import Assignment, Box, Knapsack, Maximize

WEIGHTS = [[3.0, 4.0, 2.0, 5.0], [1.0, 6.0, 2.0, 1.0]]
VALUES = [[5.0, 6.0, 3.0, 4.0], [1.0, 9.0, 2.0, 2.0], [2.0, -1.0, 0.5, 4.0]]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_rows_are_repeated_side_by_side_and_chosen_whole() -> None:
    state = {"a": torch.arange(3), "b": torch.arange(6).reshape(3, 2)}
    other = {"a": -torch.ones(3).long(), "b": -torch.ones(3, 2).long()}
    assert repeat_rows(state, 2)["b"].tolist() == [[0, 1], [0, 1], [2, 3], [2, 3], [4, 5], [4, 5]]
    mixed = where_rows(torch.tensor([True, False, True]), state, other)
    assert mixed["a"].tolist() == [0, -1, 2]
    assert mixed["b"].tolist() == [[0, 1], [-1, -1], [4, 5]]


@pytest.mark.parametrize(("size", "counts"), [(2, [1, 9, 54, 321, 1847]), (3, [1, 18, 243, 3240])])
def test_cubes_have_the_known_numbers_of_positions_by_distance(
    size: int, counts: list[int]
) -> None:
    cube = RubiksCube(size)
    solved = torch.arange(6, dtype=torch.int8).repeat_interleave(size**2)
    seen, frontier, found = {bytes(solved.numpy())}, [solved.numpy()], []
    permutations = cube.permutations.numpy()
    for _ in counts:
        found.append(len(frontier))
        reached = np.unique(np.stack(frontier)[:, permutations].reshape(-1, len(solved)), axis=0)
        frontier = [row for row in reached if bytes(row) not in seen]
        seen.update(bytes(row) for row in frontier)
    assert found == counts


@pytest.mark.parametrize("size", [2, 3])
def test_turns_have_their_orders_and_move_the_right_number_of_stickers(size: int) -> None:
    permutations = RubiksCube(size).permutations
    own = torch.arange(permutations.shape[1])
    for quarter, half, back in permutations.reshape(-1, 3, len(own)):
        assert torch.equal(quarter[half], back)
        assert torch.equal(quarter[back], own)
        assert torch.equal(half[half], own)
        # the face's own stickers, save a center, and a row on each of four sides
        assert (quarter != own).sum() == size**2 // 4 * 4 + 4 * size


def test_scrambles_are_as_long_as_asked_and_end_unsolved() -> None:
    for scrambles in (1, 2, (1, 6), 4):
        cube = RubiksCube(3, scrambles)
        state = cube.reset(3000, seeded())
        solved = torch.arange(6, dtype=torch.int8).repeat_interleave(9)
        assert not (state["stickers"] == solved).all(1).any()
        assert (state["stickers"].long().sort(1).values == solved).all()
    one_move = solved[cube.permutations]
    near = (RubiksCube(3, (1, 2)).reset(4000, seeded())["stickers"][:, None] == one_move).all(2)
    assert near.any(1).double().mean().item() == pytest.approx(0.5, abs=0.03)
    # every single move is as likely
    single = (RubiksCube(3, 1).reset(9000, seeded())["stickers"][:, None] == one_move).all(2)
    assert single.double().mean(0).tolist() == pytest.approx([1 / 18] * 18, abs=0.01)


def test_a_cube_is_solved_by_the_move_back_and_a_limit_truncates_only_the_unsolved() -> None:
    cube = RubiksCube(3, 1, max_steps=1)
    state = repeat_rows(cube.reset(10, seeded()), 18)
    actions = torch.arange(18).repeat(10)
    _, rewards, terminated, truncated = cube.step(state, actions, seeded())
    assert rewards.reshape(10, 18).sum(1).tolist() == [1.0] * 10
    assert torch.equal(terminated, rewards == 1)
    assert torch.equal(truncated, ~terminated)
    observed = cube.observe(state)
    assert observed.shape == (180, 324)
    assert torch.equal(observed.reshape(180, 54, 6).argmax(2), state["stickers"].long())
    assert (observed.sum(1) == 54).all()


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_best_sequence_of_a_knapsack_earns_what_the_oracle_says(wrapped: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        weights = rng.uniform(1, 5, (2, 6))
        oracle = Knapsack(weights, weights.sum(1) * rng.uniform(0.3, 0.7))
        values = rng.uniform(-1, 5, (1, 6))
        model = SequentialKnapsack(Maximize(oracle) if wrapped else oracle, values)
        plans = torch.tensor(list(itertools.product([0, 1], repeat=6)))
        state = model.reset(len(plans), seeded())
        total = torch.zeros(len(plans), dtype=torch.float64)
        for i in range(6):
            state, rewards, terminated, truncated = model.step(state, plans[:, i], seeded())
            total += rewards
            assert terminated.all() == (i == 5)
            assert not truncated.any()
        loads = state["taken"].double().numpy() @ weights.T
        assert (loads <= oracle.capacities * (1 + 1e-9)).all()
        assert total.numpy() == pytest.approx(state["taken"].double().numpy() @ values[0])
        assert total.max().item() == pytest.approx(model.optimal_returns().item(), abs=1e-9)


def test_decimals_that_fill_a_knapsack_exactly_fit_as_in_the_oracle() -> None:
    model = SequentialKnapsack(Knapsack([[0.1] * 3], [0.3]), [[1.0, 1.0, 1.0]])
    take = torch.ones(1, dtype=torch.int64)
    earned = play(model, lambda state, generator: take, 1, 3, generator=seeded())
    assert earned.item() == model.optimal_returns().item() == 3.0


def test_a_knapsack_shows_values_item_and_what_is_left() -> None:
    model = SequentialKnapsack(Knapsack(WEIGHTS, [7.0, 8.0]), VALUES)
    state = {"row": torch.tensor([1]), "item": torch.tensor([0]), "taken": torch.zeros(1, 4).bool()}
    after = model.step(state, torch.tensor([1]), seeded())[0]
    shown = [1, 9, 2, 2, 0, 1, 0, 0, 4 / 7, 7 / 8]
    assert model.observe(after)[0].tolist() == pytest.approx(shown)


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_best_order_of_columns_earns_what_the_oracle_says(wrapped: bool) -> None:
    oracle, rng = Assignment(4), np.random.default_rng(0)
    for _ in range(10):
        values = rng.normal(size=(1, 16))
        model = SequentialAssignment(Maximize(oracle) if wrapped else oracle, values)
        plans = torch.tensor(list(itertools.permutations(range(4))))
        state, total = model.reset(len(plans), seeded()), torch.zeros(len(plans)).double()
        for i in range(4):
            state, rewards, terminated, truncated = model.step(state, plans[:, i], seeded())
            total += rewards
            assert terminated.all() == (i == 3)
            assert not truncated.any()
        by_hand = values[0].reshape(4, 4)[np.arange(4), plans.numpy()].sum(1)
        assert total.numpy() == pytest.approx(by_hand)
        assert total.max().item() == pytest.approx(model.optimal_returns().item(), abs=1e-9)


def test_a_column_that_is_taken_gives_way_to_the_next_free_one() -> None:
    values = np.arange(9.0)[None]
    model = SequentialAssignment(Assignment(3), values)
    state, earned = model.reset(1, seeded()), []
    for action in (2, 2, 2):
        state, rewards, *_ = model.step(state, torch.tensor([action]), seeded())
        earned.append(rewards.item())
    assert earned == [2.0, 3.0, 7.0]  # columns 2, then round to 0, then past both to 1
    shown = model.observe(model.step(model.reset(1, seeded()), torch.tensor([1]), seeded())[0])
    assert shown[0].tolist() == [*range(9), 0, 1, 0, 0, 1, 0]


def test_data_of_the_core_become_a_simulator() -> None:
    data = make_knapsack(30, n_items=8, n_dimensions=2, random_state=0)
    model = SequentialKnapsack(data.oracle, data.C)
    optimal = model.optimal_returns().numpy()
    assert optimal == pytest.approx(data.oracle.solve(data.C).objectives)
    state = model.reset(200, seeded())
    assert model.optimal_returns(state).numpy() == pytest.approx(optimal[state["row"].numpy()])


def test_values_of_a_policy_are_the_mean_of_what_it_earns() -> None:
    model = random_model(6, 3, generator=seeded(4))
    policy = torch.rand(6, 3, generator=seeded(), dtype=torch.float64)
    policy /= policy.sum(1, keepdim=True)

    def decide(state: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        return torch.multinomial(policy[state["place"]], 1, generator=generator).squeeze(1)

    returns = play(model, decide, 40_000, 300, generator=seeded())
    exact = float(model.initial @ model.policy_values(policy, discount=1.0))
    assert returns.mean().item() == pytest.approx(exact, abs=4 * returns.std().item() / 200)


def test_optimal_values_are_those_of_the_best_of_all_policies() -> None:
    model = random_model(4, 2, generator=seeded(1))
    choices = torch.tensor(list(itertools.product([0, 1], repeat=3)))
    policies = torch.nn.functional.one_hot(choices, 2).double()
    worth = [
        model.policy_values(torch.cat([policy, torch.full((1, 2), 0.5)]).double(), 0.9)
        for policy in policies
    ]
    best = torch.stack(worth).amax(0)
    assert model.optimal_values(0.9).tolist() == pytest.approx(best.tolist(), abs=1e-10)
    # what is paid at every visit is as if each action earned less
    uniform = torch.full((4, 2), 0.5, dtype=torch.float64)
    fee = torch.tensor([0.5, 1.0, 0.0, 7.0], dtype=torch.float64)
    poorer = TabularModel(
        model.transitions, model.rewards - fee[:, None], model.terminal, model.initial
    )
    assert model.policy_values(uniform, 0.9, fee).tolist() == pytest.approx(
        poorer.policy_values(uniform, 0.9).tolist()
    )


def test_values_that_never_settle_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfl.rl.envs.tabular._ROUNDS", 500)
    turning = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    model = TabularModel(
        turning, torch.ones(2, 1), torch.tensor([False, True]), torch.tensor([1.0, 0.0])
    )
    with pytest.raises(InvalidInputError, match=r"discount=1\.0"):
        model.optimal_values(1.0)


def test_a_limit_truncates_and_the_end_terminates() -> None:
    model = two_step_model()
    limited = TabularModel(
        model.transitions, model.rewards, model.terminal, model.initial, max_steps=1
    )
    state = limited.reset(3, seeded())
    _, _, terminated, truncated = limited.step(state, torch.tensor([0, 1, 1]), seeded())
    assert not terminated.any()
    assert truncated.all()


def test_playing_counts_the_steps_of_episodes_that_go_on_and_keeps_them_apart() -> None:
    cube, budget = RubiksCube(3, 1), Budget()
    lengths: list[int] = []

    def decide(state: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        lengths.append(len(state["steps"]))
        return torch.randint(18, (lengths[-1],), generator=generator)

    returns = play(cube, decide, 500, 3, generator=seeded(), budget=budget)
    assert budget.spent("env_steps") == sum(lengths)
    assert lengths[0] == 500
    assert lengths[1] < 500
    # each reward is of one that left: the rest went on to the end
    assert set(returns.tolist()) == {0.0, 1.0}
    assert returns.sum().item() >= 500 - lengths[-1]
    with pytest.raises(BudgetError, match="env_steps"):
        play(cube, decide, 500, 3, generator=seeded(), budget=Budget({"env_steps": 499}))


class Countdown:
    """Episode i ends after i + 1 steps, each of which earns i."""

    n_actions = 1
    action_dim = None

    def reset(self, n: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        number = torch.randperm(n, generator=generator)
        self.order = number
        return {"number": number, "left": number + 1}

    def observe(self, state: Mapping[str, Tensor]) -> Tensor:
        return state["left"][:, None].float()

    def step(
        self, state: Mapping[str, Tensor], actions: Tensor, generator: torch.Generator
    ) -> tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor]:
        left, over = state["left"] - 1, state["left"] == 1
        after = {"number": state["number"], "left": left}
        odd = state["number"] % 2 == 1
        return after, state["number"].float(), over & odd, over & ~odd


def test_episodes_that_end_at_different_times_earn_their_own_rewards() -> None:
    model = Countdown()
    returns = play(model, lambda state, generator: state["left"], 20, 100, generator=seeded())
    assert returns.tolist() == [i * (i + 1) for i in model.order.tolist()]
    cut = play(model, lambda state, generator: state["left"], 20, 3, generator=seeded())
    assert cut.tolist() == [i * min(i + 1, 3) for i in model.order.tolist()]


def test_wrong_arguments_are_refused_by_name() -> None:
    half, table = torch.full((2,), 0.5), torch.full((2, 1, 2), 0.5)
    ends = torch.tensor([False, True])
    with pytest.raises(InvalidInputError, match=r"expected \(S, A, S\)"):
        TabularModel(table, torch.zeros(2, 2), ends, half)
    with pytest.raises(InvalidInputError, match="transitions"):
        TabularModel(table * 1.1, torch.zeros(2, 1), ends, half)
    with pytest.raises(InvalidInputError, match="initial"):
        TabularModel(table, torch.zeros(2, 1), ends, torch.tensor([1.5, -0.5]))
    with pytest.raises(InvalidInputError, match="n_states=1"):
        random_model(1, 2, generator=seeded())
    with pytest.raises(InvalidInputError, match="size=4"):
        RubiksCube(4)
    for scrambles in (0, (3, 2)):
        with pytest.raises(InvalidInputError, match="scrambles="):
            RubiksCube(3, scrambles)
    with pytest.raises(InvalidInputError, match="got Box"):
        SequentialKnapsack(Box(3), [[1.0, 2.0, 3.0]])  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="SequentialAssignment: got Box"):
        SequentialAssignment(Box(4), [[1.0] * 4])  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"SequentialAssignment: .* expected \(n, 4\)"):
        SequentialAssignment(Assignment(2), [[1.0, 2.0]])
    oracle = Knapsack([[1.0, 2.0]], [2.0])
    with pytest.raises(InvalidInputError, match=r"expected \(n, 2\)"):
        SequentialKnapsack(oracle, [[1.0, 2.0, 3.0]])
    with pytest.raises(InvalidInputError, match="row 1"):
        SequentialKnapsack(oracle, [[1.0, 2.0], [np.nan, 1.0]])
    with pytest.raises(InvalidInputError, match="n_episodes=0"):
        play(two_step_model(), lambda state, generator: state["place"], 0, 1, generator=seeded())
