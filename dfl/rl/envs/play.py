"""Episodes of a model, played to their ends."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget
from dfl.rl.envs.model import BatchedModel, State, gather_rows

Decide = Callable[[State, torch.Generator], Tensor]


def play(
    model: BatchedModel,
    decide: Decide,
    n_episodes: int,
    max_steps: int,
    *,
    generator: torch.Generator,
    budget: Budget | None = None,
) -> Tensor:
    """Play episodes side by side, each to its end, and return what each earned.

    Parameters
    ----------
    model : BatchedModel
    decide : callable
        From m states and a generator to m actions.
    n_episodes : int
    max_steps : int
        Episodes that have not ended by then are left off.
    generator : torch.Generator
        All randomness, that of the first states included, comes from it.
    budget : Budget, optional
        Is charged ``"env_steps"``, one for each step of each episode still going on.

    Returns
    -------
    Tensor of float64 of shape (n_episodes,)
        Sums of rewards, not discounted.

    Raises
    ------
    InvalidInputError
        If there is no episode or no step to play.

    Examples
    --------
    Acting at random earns 1 in a quarter of the episodes:

    >>> import torch
    >>> from dfl.rl.envs import play, two_step_model
    >>> at_random = lambda state, g: torch.randint(2, state["place"].shape, generator=g)
    >>> generator = torch.Generator().manual_seed(0)
    >>> returns = play(two_step_model(), at_random, 4000, 2, generator=generator)
    >>> round(returns.mean().item(), 1)
    0.3
    """
    if n_episodes < 1 or max_steps < 1:
        raise InvalidInputError(
            f"got n_episodes={n_episodes} and max_steps={max_steps}, expected at least 1 of each"
        )
    state = model.reset(n_episodes, generator)
    device = next(iter(state.values())).device
    returns = torch.zeros(n_episodes, dtype=torch.float64, device=device)
    rows = torch.arange(n_episodes, device=device)
    for _ in range(max_steps):
        if budget is not None:
            budget.charge("env_steps", len(rows))
        actions = decide(state, generator)
        state, rewards, terminated, truncated = model.step(state, actions, generator)
        returns[rows] += rewards.to(returns)
        going_on = ~(terminated | truncated)
        state, rows = gather_rows(state, going_on), rows[going_on]
        if len(rows) == 0:
            break
    return returns
