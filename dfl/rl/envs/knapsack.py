"""Knapsacks that are filled item by item: the same problem as an oracle's, as a simulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, final

import numpy.typing as npt
import torch
from torch import Tensor

from dfl.rl.envs.model import State
from dfl.rl.envs.value_table import ValueTable

if TYPE_CHECKING:
    from dfl_solvers import Knapsack, Maximize

# as the oracle, so that both allow the same decisions
_SLACK = 1e-9


@final
class SequentialKnapsack:
    r"""Decide about one item after another; the oracle says what the best decisions are worth.

    Policies and decision-focused predictors meet here: the sum of rewards is the value of a
    decision, so that what a policy leaves is its regret.

    Parameters
    ----------
    oracle : Knapsack or Maximize(Knapsack)
        The weights (m, d) and capacities (m,).
    values : array-like of shape (n, d)
        Values of the items, higher is better; each episode has one row, drawn at random.

    Attributes
    ----------
    n_actions : int
        2: leave the item, or take it. An item that does not fit is left, whatever the action.

    Raises
    ------
    InvalidInputError
        If the oracle is another, or the values have another shape or are not finite.

    Notes
    -----
    A state is ``{"row": (n,), "item": (n,), "taken": (n, d)}``. Observations (n, 2 d + m) are the
    values, an indicator of the item to decide about, and the share of each capacity that is left.
    Episodes end after item d.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import SequentialKnapsack, play
    >>> from dfl_solvers import Knapsack
    >>> model = SequentialKnapsack(Knapsack([[3.0, 4.0, 2.0]], [6.0]), [[5.0, 6.0, 3.0]])
    >>> greedy = lambda state, generator: torch.ones_like(state["item"])
    >>> generator = torch.Generator().manual_seed(0)
    >>> play(model, greedy, 1, 3, generator=generator), model.optimal_returns()
    (tensor([8.], dtype=torch.float64), tensor([9.], dtype=torch.float64))
    """

    n_actions: int = 2
    action_dim: None = None

    def __init__(self, oracle: Knapsack | Maximize, values: npt.ArrayLike) -> None:
        from dfl_solvers import Knapsack

        self._table = ValueTable(oracle, Knapsack, values, "SequentialKnapsack")
        self.oracle = oracle
        self.values = self._table.values
        self._weights = torch.from_numpy(self._table.oracle.weights)
        self._capacities = torch.from_numpy(self._table.oracle.capacities)

    def reset(self, n: int, generator: torch.Generator) -> State:
        """Draw n rows of values, with nothing taken; see ``BatchedModel``."""
        row = self._table.draw(n, generator)
        taken = torch.zeros(n, self.values.shape[1], dtype=torch.bool)
        return {"row": row, "item": torch.zeros_like(row), "taken": taken}

    def observe(self, state: State) -> Tensor:
        """Return values, item and what is left, (n, 2 d + m); see ``BatchedModel``."""
        values = self.values[state["row"]]
        item = torch.arange(values.shape[1]) == state["item"][:, None]
        left = 1 - self._load(state) / self._capacities.clamp(min=torch.finfo(values.dtype).tiny)
        return torch.cat([values, item, left], 1).to(torch.float32)

    def step(
        self, state: State, actions: Tensor, generator: torch.Generator
    ) -> tuple[State, Tensor, Tensor, Tensor]:
        """Leave or take an item in each of n knapsacks; see ``BatchedModel``."""
        d = self.values.shape[1]
        # a knapsack that is done may be stepped in a search, and must not fail
        item = state["item"].clamp(max=d - 1)
        load = self._load(state) + self._weights.T[item]
        fits = (load <= self._capacities * (1 + _SLACK)).all(1)
        takes = fits & (actions == 1)
        here = torch.arange(d) == item[:, None]
        after = {
            "row": state["row"],
            "item": state["item"] + 1,
            "taken": state["taken"] | (here & takes[:, None]),
        }
        rewards = self.values[state["row"], item] * takes
        terminated = after["item"] >= d
        return after, rewards, terminated, torch.zeros_like(terminated)

    def optimal_returns(self, state: State | None = None) -> Tensor:
        """Return what the best decisions earn, exactly, by one call of the oracle.

        Parameters
        ----------
        state : State, optional
            First states, of which the rows are read. Default: every row of ``values``.

        Returns
        -------
        Tensor of shape (n,)
            Best return from each state.
        """
        return self._table.optimal_returns(state)

    def _load(self, state: Mapping[str, Tensor]) -> Tensor:
        return state["taken"].to(self._weights) @ self._weights.T
