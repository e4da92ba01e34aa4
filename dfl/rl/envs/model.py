"""The protocol of a simulator that can be searched, and what is done to batches of its states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

State: TypeAlias = Mapping[str, Tensor]
"""A batch of n states: tensors by name, each with a leading axis of length n."""


class BatchedModel(Protocol):
    """A simulator whose states are values, so that it can be searched from any of them.

    A batch of n states is a mapping from names to tensors with a leading axis of length n.
    Implementations hold no state of their own and no generator, change no tensor they are given,
    and never start an episode anew by themselves. What they do at a state that has ended does not
    matter, but they must not fail there.

    Attributes
    ----------
    n_actions : int
        Actions are the whole numbers from 0 to below it.
    """

    @property
    def n_actions(self) -> int:
        """Number of actions."""
        ...

    def reset(self, n: int, generator: torch.Generator) -> State:
        """Draw n first states.

        Parameters
        ----------
        n : int
        generator : torch.Generator
            All randomness comes from it.
        """
        ...

    def observe(self, state: State) -> Tensor:
        """Return what a policy sees of the states, shape (n, ...)."""
        ...

    def step(
        self, state: State, actions: Tensor, generator: torch.Generator
    ) -> tuple[State, Tensor, Tensor, Tensor]:
        """Act once in each of n states.

        Parameters
        ----------
        state : State
        actions : Tensor of int64 of shape (n,)
        generator : torch.Generator
            Deterministic models leave it alone.

        Returns
        -------
        state : State
            The next states; at the end of an episode its last.
        rewards : Tensor of shape (n,)
        terminated : Tensor of bool of shape (n,)
            True where the episode ended and nothing is earned after.
        truncated : Tensor of bool of shape (n,)
            True where a limit of time cut an episode that would have gone on.
        """
        ...


def repeat_rows(state: State, times: int) -> State:
    """Repeat each of n states, copies side by side.

    Parameters
    ----------
    state : State
    times : int

    Returns
    -------
    State
        Of ``n * times`` rows.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import repeat_rows
    >>> repeat_rows({"place": torch.tensor([3, 5])}, 2)
    {'place': tensor([3, 3, 5, 5])}
    """
    return {name: values.repeat_interleave(times, 0) for name, values in state.items()}


def gather_rows(state: State, index: Tensor) -> State:
    """Return some of the states, in any order and any number of times.

    Parameters
    ----------
    state : State
    index : Tensor of shape (m,)
        Row numbers, or a mask of booleans of shape (n,).

    Returns
    -------
    State

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import gather_rows
    >>> gather_rows({"place": torch.tensor([3, 5])}, torch.tensor([1, 1, 0]))
    {'place': tensor([5, 5, 3])}
    """
    return {name: values[index] for name, values in state.items()}


def where_rows(mask: Tensor, state: State, other: State) -> State:
    """Return the rows of one batch of states where a mask is true, and of another elsewhere.

    Parameters
    ----------
    mask : Tensor of bool of shape (n,)
    state, other : State
        Of n rows and the same names.

    Returns
    -------
    State

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import where_rows
    >>> states = {"place": torch.tensor([3, 5])}, {"place": torch.tensor([0, 0])}
    >>> where_rows(torch.tensor([True, False]), *states)
    {'place': tensor([3, 0])}
    """
    return {
        name: torch.where(mask.reshape(-1, *[1] * (values.ndim - 1)), values, other[name])
        for name, values in state.items()
    }
