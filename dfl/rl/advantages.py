"""What steps of an episode earned beyond what was expected."""

from __future__ import annotations

import torch
from torch import Tensor


def generalized_advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    *,
    discount: float,
    trace: float,
) -> Tensor:
    r"""Return advantages of n sequences of steps, which may hold ends of episodes.

    Parameters
    ----------
    rewards : Tensor of shape (n, l)
        What each step earned.
    values, next_values : Tensor of shape (n, l)
        Of the states before and after each step; after the last step of an episode that of its last
        state, not of the first one of the next episode.
    terminated, truncated : Tensor of bool of shape (n, l)
        True where a step ended an episode, by itself or by a limit of time.
    discount : float
        What a reward counts a step later.
    trace : float
        From 0 to 1: 0 looks one step ahead, which trusts the values; 1 to the end of the sequence
        or episode, which trusts the rewards.

    Returns
    -------
    Tensor of shape (n, l)
        Added to ``values``, they are targets for these.

    Notes
    -----
    With ``delta_t = r_t + discount V(s_{t+1}) - V(s_t)``, the value after a terminated step being
    zero, ``A_t = delta_t + discount trace A_{t+1}`` within an episode. A truncated episode keeps
    the value of its last state.

    References
    ----------
    Schulman, Moritz, Levine, Jordan & Abbeel, "High-Dimensional Continuous Control Using
    Generalized Advantage Estimation", ICLR 2016, arXiv 1506.02438.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.smc import generalized_advantages
    >>> ends = torch.tensor([[False, False, True]])
    >>> generalized_advantages(
    ...     torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[1.0, 2.0, 3.0]]),
    ...     torch.tensor([[2.0, 3.0, 9.0]]), ends, ~ends & False, discount=0.9, trace=0.5,
    ... )
    tensor([[ 1.9125,  0.2500, -1.0000]])
    """
    delta = rewards + discount * next_values.masked_fill(terminated, 0.0) - values
    keeps = discount * trace * (~(terminated | truncated)).to(delta)
    advantages, later = torch.empty_like(delta), torch.zeros_like(delta[:, 0])
    for t in reversed(range(delta.shape[1])):
        later = delta[:, t] + keeps[:, t] * later
        advantages[:, t] = later
    return advantages
