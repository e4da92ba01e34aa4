"""The protocol of a simulator that can be searched, and what is done to batches of its states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError

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
    n_actions : int or None
        Actions are the whole numbers from 0 to below it; None if they are continuous.
    action_dim : int or None
        Continuous actions have so many coordinates, each from -1 to 1: the model gives them their
        units, and cuts what is beyond. None if there are ``n_actions``.
    """

    @property
    def n_actions(self) -> int | None:
        """Number of actions; None if they are continuous."""
        ...

    @property
    def action_dim(self) -> int | None:
        """Number of coordinates of a continuous action; None if there are ``n_actions``."""
        ...

    def reset(self, n: int, generator: torch.Generator) -> State:
        """Draw n first states.

        Parameters
        ----------
        n : int
            Number of states.
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
            The n states, whose episodes go on.
        actions : Tensor of int64 of shape (n,), or floating point of shape (n, action_dim)
            One in each state.
        generator : torch.Generator
            Deterministic models leave it alone.

        Returns
        -------
        state : State
            The next states; at the end of an episode its last.
        rewards : Tensor of shape (n,)
            What the actions earned.
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
        The n states.
    times : int
        Copies of each.

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
        The n states.
    index : Tensor of shape (m,)
        Row numbers, or a mask of booleans of shape (n,).

    Returns
    -------
    State
        As many states as there are row numbers.

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
        Where the first batch is taken.
    state, other : State
        Of n rows and the same names.

    Returns
    -------
    State
        The n states.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import where_rows
    >>> states = {"place": torch.tensor([3, 5])}, {"place": torch.tensor([0, 0])}
    >>> where_rows(torch.tensor([True, False]), *states)
    {'place': tensor([3, 0])}
    """
    return {
        name: values.where(mask.reshape(-1, *[1] * (values.ndim - 1)), other[name])
        for name, values in state.items()
    }


def begin_anew(
    model: BatchedModel, state: State, ended: Tensor, generator: torch.Generator
) -> State:
    """Return the states, with first states in place of those whose episodes ended.

    Models never do this by themselves; collectors do.

    Parameters
    ----------
    model : BatchedModel
        Whose states they are.
    state : State
        The n states.
    ended : Tensor of bool of shape (n,)
        Whose episodes ended.
    generator : torch.Generator
        Draws the first states.

    Returns
    -------
    State
        The n states, whose episodes go on.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import begin_anew, two_step_model
    >>> model, generator = two_step_model(), torch.Generator().manual_seed(0)
    >>> state = {"place": torch.tensor([3, 2]), "steps": torch.tensor([2, 1])}
    >>> begin_anew(model, state, torch.tensor([True, False]), generator)
    {'place': tensor([0, 2]), 'steps': tensor([0, 1])}
    """
    n = int(ended.sum())
    if n == 0:
        return state
    # each row that ended takes one of n fresh states
    fresh = gather_rows(model.reset(n, generator), (ended.cumsum(0) - 1).clamp(min=0))
    return where_rows(ended, fresh, state)


def random_actions(model: BatchedModel, n: int, generator: torch.Generator) -> Tensor:
    """Draw n actions, all as likely.

    Parameters
    ----------
    model : BatchedModel
        Whose actions they are.
    n : int
        Number of actions.
    generator : torch.Generator
        Draws the actions.

    Returns
    -------
    Tensor of int64 of shape (n,), or of float32 of shape (n, action_dim)
        The actions.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.envs import Pendulum, RubiksCube, random_actions
    >>> generator = torch.Generator().manual_seed(0)
    >>> random_actions(RubiksCube(), 3, generator)
    tensor([ 8,  9, 11])
    >>> random_actions(Pendulum(), 2, generator).shape
    torch.Size([2, 1])
    """
    device = generator.device
    if model.n_actions is not None:
        return torch.randint(model.n_actions, (n,), generator=generator, device=device)
    # a model has one of the two
    shape = (n, model.action_dim or 0)
    return 2 * torch.rand(shape, generator=generator, device=device) - 1


def acted(
    model: BatchedModel, state: State, actions: Tensor, generator: torch.Generator
) -> tuple[State, Tensor, Tensor, Tensor]:
    """Return what a step returns; refuse rewards and ends that are not one for each state."""
    after, rewards, terminated, truncated = model.step(state, actions, generator)
    n = len(actions)
    for name, found in (("rewards", rewards), ("terminated", terminated), ("truncated", truncated)):
        wants = found.dtype if name == "rewards" else torch.bool
        if found.shape != (n,) or found.dtype != wants:
            raise InvalidInputError(
                f"{type(model).__name__}: step returned {name} of shape {tuple(found.shape)} and "
                f"{found.dtype} for {n} states, expected ({n},)"
                + ("" if name == "rewards" else " and torch.bool")
            )
    return after, rewards, terminated, truncated


def checked_limit(max_steps: int | None, owner: str) -> int | None:
    """Return a limit of steps; refuse one that leaves none."""
    if max_steps is not None and max_steps < 1:
        raise InvalidInputError(f"{owner}: got max_steps={max_steps}, expected at least 1, or None")
    return max_steps


def out_of_time(steps: Tensor, max_steps: int | None, terminated: Tensor) -> Tensor:
    """Return which episodes a limit of steps truncates: those that have not ended by themselves."""
    if max_steps is None:
        return torch.zeros_like(terminated)
    return (steps >= max_steps) & ~terminated
