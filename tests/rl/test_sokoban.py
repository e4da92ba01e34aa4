"""Sokoban: rules by hand, and rooms that an independent solver solves."""

from __future__ import annotations

from collections import deque

import pytest
import torch

from dfl.exceptions import InvalidInputError
from dfl.rl.envs import Sokoban
from dfl.rl.envs.model import State, gather_rows

UP, DOWN, LEFT, RIGHT = range(4)
STEPS = [(-1, 0), (1, 0), (0, -1), (0, 1)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def room(picture: str) -> State:
    """Read a room: # wall, . goal, $ box, * box on a goal, @ player."""
    cells = "".join(picture.split("\n"))
    planes = {
        name: torch.tensor([[cell in marks for cell in cells]])
        for name, marks in (("walls", "#"), ("goals", ".*"), ("boxes", "$*"))
    }
    player = torch.tensor([cells.index("@")])
    return {**planes, "player": player, "steps": torch.zeros_like(player)}


def played(
    state: State, plan: list[int], model: Sokoban | None = None
) -> tuple[State, list[float], list[bool]]:
    model, earned, ended = model or Sokoban(max_steps=None), [], []
    for action in plan:
        state, rewards, terminated, _ = model.step(state, torch.tensor([action]), seeded())
        earned.append(round(rewards.item(), 4))
        ended.append(bool(terminated.item()))
    return state, earned, ended


START = "######\n#.   #\n#  $ #\n#  @ #\n#    #\n######"


def test_a_box_is_pushed_not_pulled_and_the_last_goal_ends_it() -> None:
    # pushed to the wall above, walked around, pushed along it to the goal
    state, earned, ended = played(room(START), [UP, RIGHT, UP, LEFT, LEFT])
    assert state["boxes"].nonzero().tolist() == [[0, 7]]
    assert state["player"].item() == 8
    assert earned == [-0.1, -0.1, -0.1, -0.1, 10.9]
    assert ended == [False] * 4 + [True]
    away, _, _ = played(room(START), [DOWN])
    assert away["boxes"].nonzero().tolist() == [[0, 15]]


def test_walls_and_second_boxes_stop_what_is_pushed() -> None:
    walled = room("######\n# $  #\n# @  #\n#.   #\n#    #\n######")
    state, earned, _ = played(walled, [UP, LEFT, LEFT])
    assert torch.equal(state["boxes"], walled["boxes"])
    assert state["player"].item() == 13
    assert earned == [-0.1] * 3
    double = room("######\n#    #\n#@$$.#\n#   .#\n#    #\n######")
    state, _, _ = played(double, [RIGHT])
    assert torch.equal(state["boxes"], double["boxes"])
    assert torch.equal(state["player"], double["player"])


def test_boxes_that_leave_a_goal_cost_what_they_earned() -> None:
    state, earned, ended = played(room("######\n#    #\n#@*  #\n#  .$#\n#    #\n######"), [RIGHT])
    assert earned == [-1.1]
    assert ended == [False]
    # two boxes: the end is when both are there
    model = Sokoban()
    assert not model.solved(state).any()
    both = room("######\n#    #\n# *  #\n#@$. #\n#    #\n######")
    _, earned, ended = played(both, [RIGHT])
    assert (earned, ended) == ([10.9], [True])


def shortest_plan(state: State, size: int) -> list[int] | None:
    """Search breadth first over (player, boxes), written apart from the simulator."""
    cells = [(i, j) for i in range(size) for j in range(size)]
    walls = {cell for cell, wall in zip(cells, state["walls"][0].tolist(), strict=True) if wall}
    goals = {cell for cell, goal in zip(cells, state["goals"][0].tolist(), strict=True) if goal}
    boxes = frozenset(c for c, b in zip(cells, state["boxes"][0].tolist(), strict=True) if b)
    start = (cells[state["player"].item()], boxes)
    came: dict = {start: None}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        (i, j), boxes = here
        if boxes <= goals:
            plan: list[int] = []
            while came[here] is not None:
                here, action = came[here]
                plan.append(action)
            return plan[::-1]
        for action, (down, right) in enumerate(STEPS):
            to, beyond = (i + down, j + right), (i + 2 * down, j + 2 * right)
            moved = boxes
            if to in walls:
                continue
            if to in boxes:
                if beyond in walls or beyond in boxes:
                    continue
                moved = boxes - {to} | {beyond}
            if (to, moved) not in came:
                came[(to, moved)] = (here, action)
                queue.append((to, moved))
    return None


@pytest.mark.parametrize(("size", "boxes"), [(6, 1), (6, 2), (7, 1), (7, 2)])
def test_every_room_is_solved_by_the_plan_of_a_solver(size: int, boxes: int) -> None:
    model, n = Sokoban(size, boxes, max_steps=None), 60
    state = model.reset(n, seeded(size + boxes))
    assert (state["boxes"].sum(1) == boxes).all()
    assert (state["goals"].sum(1) == boxes).all()
    assert not (state["boxes"] & (state["walls"] | state["goals"])).any()
    border = torch.ones(size, size, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    assert state["walls"][:, border.flatten()].all()
    lengths = []
    for i in range(n):
        one = gather_rows(state, torch.tensor([i]))
        plan = shortest_plan(one, size)
        assert plan is not None, f"room {i} cannot be solved"
        assert len(plan) <= model.backward_steps
        lengths.append(len(plan))
        _, earned, ended = played(one, plan, model)
        assert ended == [False] * (len(plan) - 1) + [True]
        assert sum(earned) == pytest.approx(10 + boxes - 0.1 * len(plan), abs=1e-4)
    # rooms are neither all trivial nor all alike
    assert len(set(lengths)) > 5
    assert sorted(lengths)[n // 2] >= 3


def test_a_solver_says_when_there_is_no_plan() -> None:
    lost = room("######\n#$   #\n# @  #\n#  . #\n#    #\n######")
    assert shortest_plan(lost, 6) is None


def test_rooms_that_cannot_be_are_refused() -> None:
    for size, boxes in ((4, 1), (6, 0), (6, 5)):
        with pytest.raises(InvalidInputError, match=f"size={size} and boxes={boxes}"):
            Sokoban(size, boxes)
    with pytest.raises(InvalidInputError, match="backward_steps=15"):
        Sokoban(boxes=2, backward_steps=15)
    with pytest.raises(InvalidInputError, match="of 5 rooms of size 8 with 9 boxes: use fewer"):
        Sokoban(8, boxes=9, backward_steps=90).reset(5, seeded())
