"""Draw several, keep the best: what tuning has to beat at equal queries."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dfl.montecarlo import Budget
from dfl.rl.preference.checks import check_conditions, check_counts
from dfl.rl.preference.rewards import Reward, counted_reward
from dfl.rl.preference.sampling import placed, rows_of, sample
from dfl.rl.preference.transition import DDIMTransition


def best_of_n(
    denoiser: nn.Module,
    transition: DDIMTransition,
    reward: Reward,
    shape: tuple[int, ...],
    n: int,
    *,
    n_candidates: int = 4,
    generator: torch.Generator,
    conditions: Any = None,
    budget: Budget | None = None,
) -> Tensor:
    """Return the best of several samples, n times.

    It trains nothing, and pays for each sample again and again.

    Parameters
    ----------
    denoiser, transition
        See ``sample``.
    reward : callable
        See ``StepwisePreferenceTuner``.
    shape
        See ``sample``.
    n : int
        How many samples to return.
    n_candidates : int, default=4
        How many to choose each from.
    generator
        See ``sample``.
    conditions : object of length n, optional
        What the denoiser is told.
    budget : Budget, optional
        Is charged ``n n_candidates`` times ``"reward_queries"``.

    Returns
    -------
    Tensor of shape (n, ...)
        The best samples.

    Raises
    ------
    InvalidInputError
        If a number is below 1, or there are not n conditions.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference import DDIMTransition, NoiseSchedule, best_of_n
    >>> from dfl.rl.preference.tasks import DistanceReward, GaussianDenoiser
    >>> schedule = NoiseSchedule.linear()
    >>> steps, denoiser = DDIMTransition.of(schedule), GaussianDenoiser(schedule, shape=(1,))
    >>> best = best_of_n(
    ...     denoiser, steps, DistanceReward(torch.tensor([1.0])), (1,), 200, n_candidates=8,
    ...     generator=torch.Generator().manual_seed(0),
    ... )
    >>> 0.7 < float(best.mean()) < 1.1
    True
    """
    check_counts((("n", n, 1), ("n_candidates", n_candidates, 1)))
    check_conditions(conditions, n)
    conditions = placed(conditions, denoiser)
    index = torch.arange(n).repeat_interleave(n_candidates)
    told = rows_of(conditions, index)
    drawn = sample(denoiser, transition, shape, len(index), generator=generator, conditions=told)
    paid = counted_reward(reward, Budget() if budget is None else budget)
    with torch.no_grad():
        values = paid(drawn, torch.zeros(len(index), dtype=torch.int64, device=drawn.device), told)
    best = values.reshape(n, n_candidates).argmax(1)
    return drawn.reshape(n, n_candidates, *shape)[torch.arange(n, device=drawn.device), best]
