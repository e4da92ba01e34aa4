"""What a sample is worth: a function of the user's, counted and checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget

Reward = Callable[[Tensor, Tensor, Any], Tensor]
QUERIES = "reward_queries"


def counted_reward(reward: Reward, budget: Budget) -> Reward:
    """Wrap a reward so that each row counts as a query, and what it returns is checked.

    Parameters
    ----------
    reward : callable
        From samples (n, ...), times (n,) and conditions to what each is worth, (n,), better the
        larger, on any device. Times are those at which the samples were predicted, 0 for finished
        ones.
    budget : Budget
        Is charged ``"reward_queries"``.

    Returns
    -------
    callable
        It raises ``InvalidInputError`` if shapes or numbers are wrong.
    """
    if not callable(reward):
        raise InvalidInputError(
            f"got reward={reward!r}, expected a function of samples, times and conditions"
        )
    paid = budget.counted(reward, QUERIES)

    def checked(samples: Tensor, times: Tensor, conditions: Any) -> Tensor:
        values = one_number_each(paid(samples, times, conditions), len(samples))
        found = values.to(samples)  # a reward may answer on another device, or more precisely
        wrong = (~found.detach().isfinite()).nonzero()
        if len(wrong):
            i = int(wrong[0])
            if not samples[i].isfinite().all():
                raise InvalidInputError(
                    f"the denoiser predicts numbers that are not finite: sample {i} at time "
                    f"{int(times[i])}; if it did not before, try a smaller learning_rate"
                )
            raise InvalidInputError(
                f"the reward returned {float(values[i])} for sample {i} at time {int(times[i])}, "
                f"expected numbers that are finite as {samples.dtype}"
            )
        return found

    return checked


def one_number_each(values: Any, n: int) -> Tensor:
    """Return what a reward said of n samples, if it is a tensor of n numbers.

    Raises
    ------
    InvalidInputError
        If it is not.
    """
    if not isinstance(values, Tensor) or tuple(values.shape) != (n,):
        found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise InvalidInputError(
            f"the reward returned {found}, expected a tensor of shape ({n},), one number a sample"
        )
    return values
