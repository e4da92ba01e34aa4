"""How much noise there is at each time of a diffusion."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from numbers import Integral
from typing import Any, final

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError, UnsupportedError


@final
@dataclass(frozen=True)
class NoiseSchedule:
    """The times of a diffusion and the share of signal at each: a scheduler without a package.

    Wherever a scheduler is asked for, one of these does, or a ``DDIMScheduler`` of diffusers.

    Attributes
    ----------
    alphas_cumprod : Tensor of shape (n_times,)
        Share of the variance that is signal, falling with time.
    final_alpha_cumprod : float, optional
        That of the end of sampling. Default: that of time 0, so that the last step has noise too.
    offset : int, default=1
        Times of sampling are multiples of ``n_times // n_steps``, plus this.
    prediction_type : {"epsilon", "v_prediction", "sample"}, default="epsilon"
        What the denoiser predicts.

    Examples
    --------
    >>> from dfl.rl.preference import NoiseSchedule
    >>> schedule = NoiseSchedule.linear()
    >>> len(schedule.alphas_cumprod), schedule.times(4).tolist()
    (1000, [751, 501, 251, 1])
    """

    alphas_cumprod: Tensor
    final_alpha_cumprod: float | None = None
    offset: int = 1
    prediction_type: str = "epsilon"

    @classmethod
    def linear(cls, n_times: int = 1000, first: float = 1e-4, last: float = 2e-2) -> NoiseSchedule:
        """Return the schedule whose noise added at each time grows linearly, in double precision.

        Parameters
        ----------
        n_times : int, default=1000
            Number of times.
        first, last : float, default=1e-4 and 2e-2
            Variance of what is added at the first and at the last time.
        """
        added = torch.linspace(first, last, n_times, dtype=torch.float64)
        return cls(torch.cumprod(1 - added, 0))

    def times(self, n_steps: int) -> Tensor:
        """Return the times of sampling in so many steps, falling, shape (n_steps,)."""
        _check_steps(n_steps, len(self.alphas_cumprod))
        gap = len(self.alphas_cumprod) // n_steps
        return torch.arange(n_steps).flip(0) * gap + self.offset


def read_schedule(scheduler: Any, n_steps: int) -> tuple[Tensor, Tensor, Tensor, str]:
    """Read times (n_steps,), signal at them and after them, and what is predicted.

    Parameters
    ----------
    scheduler : NoiseSchedule or diffusers.DDIMScheduler
    n_steps : int

    Raises
    ------
    InvalidInputError
        If it is something else, has fewer times than steps, or signal that does not fall.
    UnsupportedError
        If it clips what is predicted, or has a time without any signal.
    """
    alphas = getattr(scheduler, "alphas_cumprod", None)
    if not isinstance(alphas, Tensor) or not hasattr(scheduler, "final_alpha_cumprod"):
        raise InvalidInputError(
            f"got a scheduler of type {type(scheduler).__name__}, expected a NoiseSchedule or a "
            "DDIMScheduler; others of diffusers become one by DDIMScheduler.from_config("
            "scheduler.config, clip_sample=False)"
        )
    _check_steps(n_steps, len(alphas))
    if isinstance(scheduler, NoiseSchedule):
        times, kind = scheduler.times(n_steps), scheduler.prediction_type
    else:
        config = scheduler.config
        if config.get("clip_sample", False) or config.get("thresholding", False):
            raise UnsupportedError(
                "the scheduler clips what it predicts (clip_sample or thresholding), where nothing "
                "can be learned; use DDIMScheduler.from_config(scheduler.config, "
                "clip_sample=False, thresholding=False)"
            )
        own = copy.deepcopy(scheduler)  # setting times changes it
        own.set_timesteps(n_steps)
        times, kind = own.timesteps.cpu(), config.get("prediction_type", "epsilon")
    if kind not in ("epsilon", "v_prediction", "sample"):
        raise UnsupportedError(
            f"got prediction_type={kind!r}, expected 'epsilon', 'v_prediction' or 'sample'"
        )
    alphas = alphas.detach().cpu().double()
    final = scheduler.final_alpha_cumprod
    last = alphas[0] if final is None else torch.as_tensor(final, dtype=torch.float64).cpu()
    if int(times.min()) < 0 or int(times.max()) >= len(alphas):
        raise InvalidInputError(
            f"got n_steps={n_steps} at times from {int(times.min())} to {int(times.max())}, "
            f"expected 0 to {len(alphas) - 1}; use fewer steps or another offset"
        )
    before = times - len(alphas) // n_steps
    signal = alphas[times]
    after = torch.where(before >= 0, alphas[before.clamp(min=0)], last)
    if not ((signal < 1) & (signal <= after) & (after <= 1)).all():  # nor if one is NaN
        raise InvalidInputError(
            f"got shares of signal {signal.tolist()} at the times of sampling and {after.tolist()} "
            "after each step, expected numbers below 1 that fall with time"
        )
    if not (signal > 0).all():
        raise UnsupportedError(
            f"the scheduler has no signal at time {int(times[(signal <= 0).nonzero()[0]])}, where "
            "noise alone says nothing of what is clean; use rescale_betas_zero_snr=False"
        )
    return times, signal, after, kind


def _check_steps(n_steps: int, n_times: int) -> None:
    if not isinstance(n_steps, Integral) or not 1 <= n_steps <= n_times:
        raise InvalidInputError(
            f"got n_steps={n_steps}, expected a whole number from 1 to {n_times}"
        )
