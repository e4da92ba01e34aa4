"""Rubik's cubes as permutations of stickers."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.rl.envs.model import State, checked_limit, out_of_time

# faces by axis and side; the first three turn around the corner that the small cube keeps fixed
_FACES = ((0, 1), (1, 1), (2, 1), (0, -1), (1, -1), (2, -1))


@final
class RubiksCube:
    r"""Rubik's cube with 2 or 3 cubies an edge, scrambled by random moves.

    A move is a gather by a table of permutations, for any number of cubes at once.

    Parameters
    ----------
    size : {2, 3}, default=3
        The small cube turns three faces only, which reaches all of its positions up to rotation of
        the whole.
    scrambles : int or (int, int), default=3
        Number of random moves of the first state, or the least and the largest number.
    max_steps : int, optional
        Episodes are truncated after so many moves. Default: never.

    Attributes
    ----------
    n_actions : int
        18, or 9 for the small cube: quarter turn, half turn and quarter turn back of each face.
    permutations : Tensor of int64 of shape (n_actions, n_stickers)
        After move a sticker i is what was at ``permutations[a, i]``.

    Raises
    ------
    InvalidInputError
        If the size is another, or the numbers of scrambles are below one or out of order,
        or no step is left.

    Notes
    -----
    A state is ``{"stickers": (n, 6 size^2), "steps": (n,)}``, colors 0 to 5. The reward is 1, and
    the episode ends, when every face has one color. No two successive moves of a scramble turn the
    same face; one that undoes itself all the same gets a further move. Observations are indicators
    of the colors, (n, 36 size^2).

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import RubiksCube
    >>> cube, generator = RubiksCube(scrambles=1), torch.Generator().manual_seed(0)
    >>> state = cube.reset(1, generator)
    >>> solving = [cube.step(state, torch.tensor([a]), generator)[1].item() for a in range(18)]
    >>> sum(solving)  # one of the moves takes a single move back
    1.0
    """

    action_dim: None = None

    def __init__(
        self,
        size: int = 3,
        scrambles: int | tuple[int, int] = 3,
        max_steps: int | None = None,
    ) -> None:
        if size not in (2, 3):
            raise InvalidInputError(f"RubiksCube: got size={size}, expected 2 or 3")
        least, most = scrambles if isinstance(scrambles, tuple) else (scrambles, scrambles)
        if not 1 <= least <= most:
            raise InvalidInputError(
                f"RubiksCube: got scrambles={scrambles}, expected numbers from 1, in order"
            )
        self.size = size
        self.scrambles = scrambles
        self.max_steps = checked_limit(max_steps, "RubiksCube")
        self.permutations = torch.from_numpy(_permutations(size))
        self.n_actions: int = len(self.permutations)
        self._solved = torch.arange(6, dtype=torch.int8).repeat_interleave(size**2)
        self._range = least, most

    def reset(self, n: int, generator: torch.Generator) -> State:
        """Draw n scrambled cubes; see ``BatchedModel``."""
        least, most = self._range
        stickers = self._solved.expand(n, -1)
        lengths = torch.randint(least, most + 1, (n,), generator=generator)
        n_faces = self.n_actions // 3
        face = torch.randint(n_faces, (n,), generator=generator)
        for i in range(most + 1):
            turn = torch.randint(3, (n,), generator=generator)
            turned = self._turned(stickers, 3 * face + turn)
            # the last round is for the rare scrambles that undid themselves
            due = (i < lengths) | (self._is_solved(stickers) & (i >= lengths))
            stickers = torch.where(due[:, None], turned, stickers)
            face = (face + torch.randint(1, n_faces, (n,), generator=generator)) % n_faces
        return {"stickers": stickers, "steps": torch.zeros(n, dtype=torch.int64)}

    def observe(self, state: State) -> Tensor:
        """Return indicators of the colors, (n, 36 size^2); see ``BatchedModel``."""
        # looked up, which is several times as fast as comparing with each color
        stickers = state["stickers"]
        return torch.nn.functional.embedding(
            stickers.int(), torch.eye(6, device=stickers.device)
        ).flatten(1)

    def step(
        self, state: State, actions: Tensor, generator: torch.Generator
    ) -> tuple[State, Tensor, Tensor, Tensor]:
        """Turn a face of each of n cubes; see ``BatchedModel``."""
        stickers, steps = self._turned(state["stickers"], actions), state["steps"] + 1
        solved = self._is_solved(stickers)
        truncated = out_of_time(steps, self.max_steps, solved)
        return {"stickers": stickers, "steps": steps}, solved.to(torch.float32), solved, truncated

    def _turned(self, stickers: Tensor, actions: Tensor) -> Tensor:
        return stickers.gather(1, self.permutations[actions])

    def _is_solved(self, stickers: Tensor) -> Tensor:
        # turns keep the centers of a large cube and one corner of a small one where they are
        return (stickers != self._solved).sum(1) == 0


def _permutations(size: int) -> np.ndarray:
    """Return for each move where each sticker comes from: faces in order, three turns each."""
    across = np.array([-1, 1]) if size == 2 else np.array([-1, 0, 1])
    stickers = []
    for axis, side in _FACES:
        for u in across:
            for v in across:
                normal = np.zeros(3, dtype=int)
                normal[axis] = side
                cubie = normal.copy()
                cubie[(axis + 1) % 3], cubie[(axis + 2) % 3] = u, v
                stickers.append((*cubie, *normal))
    index = {sticker: i for i, sticker in enumerate(stickers)}
    moves = []
    for axis, side in _FACES[: 3 if size == 2 else 6]:
        # the plane turns by a right angle, clockwise as seen from outside
        turn = np.zeros((3, 3), dtype=int)
        turn[axis, axis] = 1
        turn[(axis + 1) % 3, (axis + 2) % 3], turn[(axis + 2) % 3, (axis + 1) % 3] = side, -side
        source = np.arange(len(stickers))
        for i, sticker in enumerate(stickers):
            cubie, normal = np.array(sticker[:3]), np.array(sticker[3:])
            if cubie[axis] == side:
                source[index[(*(turn @ cubie), *(turn @ normal))]] = i
        moves += [source, source[source], source[source[source]]]
    return np.stack(moves)
