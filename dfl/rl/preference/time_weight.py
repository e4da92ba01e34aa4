"""How much each step of a diffusion counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dfl.exceptions import InvalidInputError
from dfl.rl.preference.transition import DDIMTransition

TimeWeight = str | Callable[[DDIMTransition], Any]


def time_weights(weight: TimeWeight, steps: DDIMTransition, scale: float = 0.5) -> Tensor:
    r"""Return what the noise predicted counts at each step, in the logit of a comparison.

    Parameters
    ----------
    weight : {"spo", "grad", "uniform"} or callable
        ``2 C / s``, that of likelihoods of steps; ``4 scale sqrt(1 - a)``, that of a gradient of
        fixed strength, with a the signal; 1; or a function from the steps to n_steps numbers.
    steps : DDIMTransition
        Steps of the sampler.
    scale : float, default=0.5
        Strength of ``"grad"``.

    Returns
    -------
    Tensor of float64 of shape (n_steps,)
        0 for steps without noise, which are not compared.

    Raises
    ------
    InvalidInputError
        If there is no such weight, or they are not n_steps positive numbers.

    Examples
    --------
    >>> from dfl.rl.preference import DDIMTransition, NoiseSchedule, time_weights
    >>> steps = DDIMTransition.of(NoiseSchedule.linear(), n_steps=4)
    >>> time_weights("grad", steps)
    tensor([1.9967, 1.9214, 1.3874, 0.0297], dtype=torch.float64)
    """
    if callable(weight):
        found = torch.as_tensor(weight(steps), dtype=torch.float64)
    elif weight == "spo":
        found = 2 * steps.slopes / steps.deviations
    elif weight == "grad":
        found = 4 * scale * (1 - steps.signal).sqrt()
    elif weight == "uniform":
        found = torch.ones_like(steps.signal)
    else:
        raise InvalidInputError(
            f"got weight={weight!r}, expected 'spo', 'grad', 'uniform' or a function of the steps"
        )
    noisy = steps.deviations > 0
    if found.shape != noisy.shape or not ((found > 0) & found.isfinite())[noisy].all():
        raise InvalidInputError(
            f"got weights of time {found.tolist()}, expected {len(steps)} positive numbers, one "
            "for each step"
        )
    return torch.where(noisy, found, 0.0)
