"""Assignments that are made row by row: the same problem as an oracle's, as a simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import numpy.typing as npt
import torch
from torch import Tensor

from dfl.rl.envs.model import State
from dfl.rl.envs.value_table import ValueTable

if TYPE_CHECKING:
    from dfl_solvers import Assignment, Maximize


@final
class SequentialAssignment:
    r"""Give one row after another a column; the oracle says what the best assignment is worth.

    Parameters
    ----------
    oracle : Assignment or Maximize(Assignment)
        Of n rows and n columns.
    values : array-like of shape (m, n * n)
        Values of the pairs row by row, higher is better: costs with their sign changed. Each
        episode has one line, drawn at random.

    Attributes
    ----------
    n_actions : int
        Number of columns. If the column is taken, the next free one is, counted round.

    Raises
    ------
    InvalidInputError
        If the oracle is another, or the values have another shape or are not finite.

    Notes
    -----
    A state is ``{"row": (n,), "item": (n,), "taken": (n, columns)}``, of which ``row`` is the line
    of ``values``, and ``item`` the row to decide about. Observations (n, columns (columns + 2)) are
    the values, an indicator of the item, and what is taken. Episodes end after the last item.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import SequentialAssignment, play
    >>> from dfl_solvers import Assignment
    >>> model = SequentialAssignment(Assignment(2), [[3.0, 2.0, 4.0, 1.0]])
    >>> first_free = lambda state, generator: torch.zeros_like(state["item"])
    >>> generator = torch.Generator().manual_seed(0)
    >>> play(model, first_free, 1, 2, generator=generator), model.optimal_returns()
    (tensor([4.], dtype=torch.float64), tensor([6.], dtype=torch.float64))
    """

    action_dim: None = None

    def __init__(self, oracle: Assignment | Maximize, values: npt.ArrayLike) -> None:
        from dfl_solvers import Assignment

        self._table = ValueTable(oracle, Assignment, values, "SequentialAssignment")
        self.oracle = oracle
        self.values = self._table.values
        self.n_actions: int = self._table.oracle.n
        self._columns = torch.arange(self.n_actions)

    def reset(self, n: int, generator: torch.Generator) -> State:
        """Draw n lines of values, with nothing taken; see ``BatchedModel``."""
        row = self._table.draw(n, generator)
        taken = torch.zeros(n, self.n_actions, dtype=torch.bool)
        return {"row": row, "item": torch.zeros_like(row), "taken": taken}

    def observe(self, state: State) -> Tensor:
        """Return values, item and what is taken; see ``BatchedModel``."""
        values = self.values[state["row"]]
        item = self._columns == state["item"][:, None]
        return torch.cat([values, item, state["taken"]], 1).to(torch.float32)

    def step(
        self, state: State, actions: Tensor, generator: torch.Generator
    ) -> tuple[State, Tensor, Tensor, Tensor]:
        """Give a row of each of n assignments a column; see ``BatchedModel``."""
        n = self.n_actions
        # an assignment that is done may be stepped in a search, and must not fail
        item = state["item"].clamp(max=n - 1)
        distance = (self._columns - actions[:, None]) % n + n * state["taken"]
        column = distance.argmin(1)
        here = self._columns == column[:, None]
        after = {"row": state["row"], "item": state["item"] + 1, "taken": state["taken"] | here}
        rewards = self.values[state["row"], n * item + column]
        terminated = after["item"] >= n
        return after, rewards, terminated, torch.zeros_like(terminated)

    def optimal_returns(self, state: State | None = None) -> Tensor:
        """Return what the best assignments earn, exactly, by one call of the oracle.

        Parameters
        ----------
        state : State, optional
            First states, of which the lines are read. Default: every line of ``values``.

        Returns
        -------
        Tensor of shape (n,)
            Best return from each state.
        """
        return self._table.optimal_returns(state)
