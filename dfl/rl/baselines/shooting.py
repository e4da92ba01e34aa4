"""Plans drawn at random, of which the first step of the best is taken."""

from __future__ import annotations

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget
from dfl.rl.envs.model import BatchedModel, State, random_actions, repeat_rows, where_rows
from dfl.rl.envs.play import Decide


def random_shooting(
    model: BatchedModel,
    *,
    n_plans: int = 64,
    depth: int = 4,
    discount: float = 1.0,
    budget: Budget | None = None,
) -> Decide:
    r"""Return the policy that acts as the best of many random plans begins, and then plans anew.

    It learns nothing, and takes discrete and continuous actions: what a search by particles must
    beat with the same steps of the model.

    Parameters
    ----------
    model : BatchedModel
        Meant for deterministic dynamics: elsewhere a plan may seem the best by luck.
    n_plans : int, default=64
        Number of plans for each state and step.
    depth : int, default=4
        Number of actions of a plan.
    discount : float, default=1.0
        Of the rewards of later steps.
    budget : Budget, optional
        Is charged ``n n_plans`` ``"model_steps"`` for each step; plans that have ended are stepped
        and count.

    Returns
    -------
    callable
        From n states and a generator to n actions; for ``play``.

    Raises
    ------
    InvalidInputError
        If a number is out of range or, when the policy acts, a reward is not finite.

    Notes
    -----
    Actions of a plan are independent and uniform. The plan of largest
    :math:`\sum_i \gamma^i r_i`, up to where its episode ends, is followed for one step. Of equal
    plans, which are as likely to be any, the first is taken.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.baselines import random_shooting
    >>> from dfl.rl.envs import Pendulum, play
    >>> earned = [
    ...     play(
    ...         Pendulum(), random_shooting(Pendulum(), n_plans=n, depth=15), 8, 100,
    ...         generator=torch.Generator().manual_seed(0),
    ...     ).mean().item()
    ...     for n in (1, 50)
    ... ]
    >>> earned[1] > earned[0] + 100
    True
    """
    if n_plans < 1 or depth < 1 or not 0 < discount <= 1:
        raise InvalidInputError(
            f"random_shooting: got n_plans={n_plans}, depth={depth} and discount={discount}, "
            "expected at least 1 plan and step, and a discount above 0 and up to 1"
        )

    @torch.no_grad()
    def decide(state: State, generator: torch.Generator) -> Tensor:
        plans = repeat_rows(state, n_plans)
        n = len(next(iter(plans.values())))
        first = actions = random_actions(model, n, generator)
        total = torch.zeros(n, dtype=torch.float64, device=actions.device)
        alive = torch.ones(n, dtype=torch.bool, device=actions.device)
        for i in range(depth):
            if budget is not None:
                budget.charge("model_steps", n)
            if i > 0:
                actions = random_actions(model, n, generator)
            after, rewards, terminated, truncated = model.step(plans, actions, generator)
            # what a model says of episodes that have ended does not matter
            total = total + discount**i * rewards.to(total).where(alive, 0.0)
            plans = where_rows(alive, after, plans)
            alive = alive & ~(terminated | truncated)
        scores = total.reshape(-1, n_plans)
        wrong = ~scores.isfinite().all(1)
        if wrong.any():
            raise InvalidInputError(
                f"random_shooting: got rewards that are not finite from state "
                f"{int(wrong.nonzero()[0])}, expected numbers"
            )
        return first[scores.argmax(1) + torch.arange(0, n, n_plans, device=scores.device)]

    return decide
