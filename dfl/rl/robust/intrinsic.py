"""Processes in which what an adversary shows never hides which action is best."""

from __future__ import annotations

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.rl.robust.tabular import ObservedModel

_DRAWS = 200
"""Rounds of draws, of which most are kept."""


def intrinsic_neighborhoods(action_values: Tensor, within: Tensor | None = None) -> Tensor:
    r"""Return which states may be shown without hiding which action is best.

    Parameters
    ----------
    action_values : Tensor of shape (..., S, A)
        Of the best policy: ``ObservedModel.optimal_action_values``.
    within : Tensor of bool of shape (..., S, S), optional
        Neighborhoods to restrict. Default: all states.

    Returns
    -------
    Tensor of bool of shape (..., S, S)
        True where a state may be shown in place of another.

    Notes
    -----
    ``{t in B(s): argmax_a Q*(t, a) = argmax_a Q*(s, a)}``. A best policy is then robust, and no
    policy is better under the worst view. Reconstructed.

    References
    ----------
    Li et al., "Towards Optimal Adversarial Robust Q-learning with Bellman Infinity-error", ICML
    2024, arXiv 2402.02165.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.robust import intrinsic_neighborhoods
    >>> intrinsic_neighborhoods(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.5, 0.1]]))
    tensor([[ True, False,  True],
            [False,  True, False],
            [ True, False,  True]])
    """
    best = action_values.argmax(-1)
    same = best[..., :, None] == best[..., None, :]
    return same if within is None else same & within


def random_intrinsic_models(
    n_models: int,
    *,
    n_states: int = 4,
    n_actions: int = 2,
    discount: float = 0.9,
    transitions: str = "deterministic",
    gap: float = 0.1,
    generator: torch.Generator,
) -> ObservedModel:
    """Draw processes whose neighborhoods are the states with the same best action.

    Parameters
    ----------
    n_models : int
        How many processes to draw.
    n_states, n_actions : int, default=4, 2
        Numbers S and A of each process.
    discount : float, default=0.9
        Of the processes.
    transitions : {"deterministic", "dirichlet"}, default="deterministic"
        Each action leads to one state, all as likely; or its law is drawn from a Dirichlet
        distribution with all parameters 0.3.
    gap : float, default=0.1
        Draws are rejected where the two best actions of a state differ by less, or no two states
        have the same best action.
    generator : torch.Generator
        Draws the processes.

    Returns
    -------
    ObservedModel
        A batch of n. Rewards are uniform from -1 to 1, and episodes begin in the first state.

    Raises
    ------
    InvalidInputError
        If a number is out of its range, or nearly all draws are rejected.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.robust import random_intrinsic_models
    >>> models = random_intrinsic_models(3, generator=torch.Generator().manual_seed(0))
    >>> best = models.optimal_action_values().amax(-1)[:, 0]
    >>> greedy = torch.nn.functional.one_hot(models.optimal_action_values().argmax(-1)).double()
    >>> torch.allclose(models.worst_value(greedy), best)
    True
    """
    kinds = ("deterministic", "dirichlet")
    if n_models < 1 or n_states < 2 or n_actions < 2 or transitions not in kinds:
        raise InvalidInputError(
            f"got n_models={n_models}, n_states={n_states}, n_actions={n_actions} and "
            f"transitions={transitions!r}, expected at least 1, 2, 2 and one of {kinds}"
        )
    kept: list[ObservedModel] = []
    found = 0
    for _ in range(_DRAWS):
        drawn, good = _draw(n_models, n_states, n_actions, discount, transitions, gap, generator)
        kept.append(drawn.rows(good))
        found += int(good.sum())
        if found >= n_models:
            return ObservedModel(
                torch.cat([model.transitions for model in kept]),
                torch.cat([model.rewards for model in kept]),
                torch.cat([model.initial for model in kept]),
                torch.cat([model.neighborhoods for model in kept]),
                discount,
            ).rows(torch.arange(n_models))
    raise InvalidInputError(
        f"got {found} of {n_models} models in {_DRAWS} rounds of draws with gap={gap}, expected a "
        "smaller gap"
    )


def _draw(
    n: int, s: int, a: int, discount: float, kind: str, gap: float, generator: torch.Generator
) -> tuple[ObservedModel, Tensor]:
    """Draw models, and say which of them are to be kept."""
    if kind == "deterministic":
        places = torch.randint(s, (n, s, a), generator=generator)
        moves = torch.nn.functional.one_hot(places, s).double()
    else:
        shape = torch.full((n, s, a, s), 0.3, dtype=torch.float64)
        weights = torch._standard_gamma(shape, generator=generator)
        moves = weights / weights.sum(-1, keepdim=True)
    rewards = 2 * torch.rand((n, s, a), generator=generator, dtype=torch.float64) - 1
    initial = torch.zeros((n, s), dtype=torch.float64)
    initial[:, 0] = 1
    alone = torch.eye(s, dtype=torch.bool).expand(n, s, s)
    worth = ObservedModel(moves, rewards, initial, alone, discount).optimal_action_values()
    near = intrinsic_neighborhoods(worth)
    best = worth.topk(2, -1).values
    good = ((best[..., 0] - best[..., 1]) >= gap).all(-1) & (near.sum((-2, -1)) > s)
    return ObservedModel(moves, rewards, initial, near, discount), good
