"""Boxes to be pushed onto goals, in rooms that are made by playing backwards."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.rl.envs.model import State, checked_limit, gather_rows, out_of_time

# how rooms are made: share of inner cells that are walls, and of turns that pull if they can
_WALLS, _PULLS = 0.15, 0.8
# rooms are drawn again, and some to spare, until there are enough
_ROUNDS, _SPARE = 50, 32
# rewards as published: each step, a box onto or off a goal, the last box
_STEP, _BOX, _SOLVED = -0.1, 1.0, 10.0


@final
class Sokoban:
    r"""Push boxes onto goals; a box in a corner is lost.

    Rooms are made by playing backwards from a solved one, pulling boxes, so that each can be
    solved. They are drawn anew in every episode.

    Parameters
    ----------
    size : int, default=6
        Cells along a side, the walls around included; at least 5.
    boxes : int, default=1
        Boxes in a room, and goals.
    backward_steps : int, default=40
        Turns of playing backwards, each a step, a pull, or nothing where a wall is in the way.
    max_steps : int or None, default=50
        Episodes are truncated after so many steps.

    Attributes
    ----------
    n_actions : int
        4: up, down, left, right.

    Raises
    ------
    InvalidInputError
        If the room is too small for the boxes, or there are none, or too few steps of either kind;
        on ``reset`` if nearly no room lets all its boxes be pulled away.

    Notes
    -----
    A state is ``{"walls", "goals", "boxes": (n, size^2) of bool, "player", "steps": (n,)}``, cells
    row by row. A step into a wall, or that would push a box into a wall or another box, does
    nothing. Each step costs 0.1; a box that comes onto a goal earns 1, and one that leaves it
    loses 1; the episode ends when all are on goals, which earns 10 more. No box starts on a goal.
    Observations (n, 4, size, size) are indicators of walls, goals, boxes and the player.

    References
    ----------
    Racanière et al., "Imagination-Augmented Agents for Deep Reinforcement Learning", NeurIPS 2017,
    arXiv 1707.06203: rewards, and rooms by playing backwards; here without their selection of
    rooms by difficulty.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import Sokoban
    >>> model, generator = Sokoban(boxes=2), torch.Generator().manual_seed(0)
    >>> state = model.reset(3, generator)
    >>> state["boxes"].sum(1)
    tensor([2, 2, 2])
    >>> (state["boxes"] & state["goals"]).any()
    tensor(False)
    """

    n_actions: int = 4
    action_dim: None = None

    def __init__(
        self,
        size: int = 6,
        boxes: int = 1,
        backward_steps: int = 40,
        max_steps: int | None = 50,
    ) -> None:
        if size < 5 or not 1 <= boxes <= (size - 2) ** 2 // 4:
            raise InvalidInputError(
                f"Sokoban: got size={size} and boxes={boxes}, expected a size from 5, and from 1 "
                "box to one for four inner cells"
            )
        if backward_steps < 10 * boxes:
            raise InvalidInputError(
                f"Sokoban: got backward_steps={backward_steps}, expected at least 10 for each of "
                f"{boxes} boxes"
            )
        self.size = size
        self.boxes = boxes
        self.backward_steps = backward_steps
        self.max_steps = checked_limit(max_steps, "Sokoban")
        self._moves = torch.tensor([-size, size, -1, 1])
        cells = torch.arange(size**2)
        edge = torch.tensor([0, size - 1])
        self._outer = torch.isin(cells // size, edge) | torch.isin(cells % size, edge)
        self._inner = cells[~self._outer]

    def reset(self, n: int, generator: torch.Generator) -> State:
        """Draw n rooms that can be solved, with every box off its goal; see ``BatchedModel``."""
        rooms = self._rooms(n, generator)
        for _ in range(_ROUNDS):
            short = n - len(rooms["player"])
            if short <= 0:
                return {name: values[:n] for name, values in rooms.items()}
            more = self._rooms(2 * short + _SPARE, generator)
            rooms = {name: torch.cat([values, more[name]]) for name, values in rooms.items()}
        raise InvalidInputError(
            f"Sokoban: {_ROUNDS} rounds of playing backwards made {len(rooms['player'])} of {n} "
            f"rooms of size {self.size} with {self.boxes} boxes: use fewer boxes or more "
            f"backward_steps than {self.backward_steps}"
        )

    def observe(self, state: State) -> Tensor:
        """Return indicators of what is where, (n, 4, size, size); see ``BatchedModel``."""
        player = torch.arange(self.size**2) == state["player"][:, None]
        planes = torch.stack([state["walls"], state["goals"], state["boxes"], player], 1)
        return planes.reshape(-1, 4, self.size, self.size).to(torch.float32)

    def step(
        self, state: State, actions: Tensor, generator: torch.Generator
    ) -> tuple[State, Tensor, Tensor, Tensor]:
        """Walk or push in each of n rooms; see ``BatchedModel``."""
        walls, goals, boxes = state["walls"], state["goals"], state["boxes"]
        here, move = state["player"], self._moves[actions]
        there = here + move
        pushes = _at(boxes, there)
        # walls all around: what is beyond a box is in the room; beyond a wall it is not looked at
        beyond = (there + move).clamp(0, self.size**2 - 1)
        free = ~_at(walls, there) & ~(pushes & (_at(walls, beyond) | _at(boxes, beyond)))
        pushes = pushes & free
        after = {
            "walls": walls,
            "goals": goals,
            "boxes": _moved(boxes, there, beyond, pushes),
            "player": there.where(free, here),
            "steps": state["steps"] + 1,
        }
        gained = (after["boxes"] & goals).sum(1) - (boxes & goals).sum(1)
        terminated = self.solved(after)
        rewards = _STEP + _BOX * gained + _SOLVED * terminated
        truncated = out_of_time(after["steps"], self.max_steps, terminated)
        return after, rewards, terminated, truncated

    def solved(self, state: State) -> Tensor:
        """Return in which of n rooms every box is on a goal.

        Parameters
        ----------
        state : State
            The n rooms.

        Returns
        -------
        Tensor of bool of shape (n,)
            True where every box is on a goal.
        """
        return ~(state["boxes"] & ~state["goals"]).any(1)

    def _rooms(self, n: int, generator: torch.Generator) -> State:
        """Play backwards from n solved rooms; return those whose boxes were all pulled away."""
        inner = len(self._inner)
        order = torch.rand(n, inner, generator=generator).argsort(1)
        cells = self._inner[order]
        goals = torch.zeros(n, self.size**2, dtype=torch.bool)
        goals.scatter_(1, cells[:, : self.boxes], True)
        player = cells[:, self.boxes]
        standing = torch.rand(n, inner, generator=generator) < _WALLS
        standing[:, : self.boxes + 1] = False
        walls = self._outer.repeat(n, 1).scatter_(1, cells, standing)
        boxes = goals
        for _ in range(self.backward_steps):
            move = self._moves[torch.randint(4, (n,), generator=generator)]
            pulls = torch.rand(n, generator=generator) < _PULLS
            there, behind = player - move, player + move
            free = ~_at(walls, there) & ~_at(boxes, there)
            boxes = _moved(boxes, behind, player, _at(boxes, behind) & free & pulls)
            player = there.where(free, player)
        rooms = {"walls": walls, "goals": goals, "boxes": boxes, "player": player}
        rooms["steps"] = torch.zeros(n, dtype=torch.int64)
        return gather_rows(rooms, ~(boxes & goals).any(1))


def _at(plane: Tensor, cell: Tensor) -> Tensor:
    return plane.gather(1, cell[:, None]).squeeze(1)


def _moved(boxes: Tensor, source: Tensor, target: Tensor, where: Tensor) -> Tensor:
    """Return the boxes, moved from one cell to another in some of the rows."""
    carried = boxes.scatter(1, source[:, None], False).scatter(1, target[:, None], True)
    return carried.where(where[:, None], boxes)
