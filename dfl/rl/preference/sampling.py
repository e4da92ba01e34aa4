"""Samples of a diffusion model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError
from dfl.rl.preference.checks import check_conditions
from dfl.rl.preference.learner import predict
from dfl.rl.preference.transition import DDIMTransition


def precision_of(denoiser: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Return where samples of a denoiser are made and in which precision, single at least."""
    first = next((p for p in denoiser.parameters() if p.is_floating_point()), None)
    if first is None:
        raise InvalidInputError(
            f"got a denoiser of type {type(denoiser).__name__} without parameters, expected an "
            "nn.Module with some"
        )
    return first.device, torch.promote_types(first.dtype, torch.float32)


def first_noise(
    denoiser: nn.Module, n: int, shape: tuple[int, ...], generator: torch.Generator
) -> Tensor:
    """Draw what sampling starts from, (n, ...), where the denoiser is; the same on any device."""
    device, dtype = precision_of(denoiser)
    drawn = torch.randn(n, *shape, generator=generator, dtype=torch.float64)
    return drawn.to(device=device, dtype=dtype)


def noise_of_step(
    transition: DDIMTransition, x: Tensor, step: int, generator: torch.Generator
) -> Tensor:
    """Draw the noise of a step, of the shape of x; nothing is drawn for a step without."""
    if not transition.deviations[step] > 0:
        return torch.zeros_like(x)
    return torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x)


def compared_steps(transition: DDIMTransition, start_step: int) -> Tensor:
    """Return which steps have candidates, of bool, shape (n_steps,): late ones that have noise."""
    compared = transition.deviations > 0
    compared[:start_step] = False
    if not compared.any():
        raise InvalidInputError(
            f"got start_step={start_step} of {len(transition)} steps, and none from there on has "
            "noise: there is nothing to compare; use eta above 0"
        )
    return compared


def shuffled(n: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield row numbers in random order, so many at a time."""
    order = torch.randperm(n, generator=generator)
    for start in range(0, n, size):
        yield order[start : start + size]


def rows_of(conditions: Any, index: Tensor) -> Any:
    """Return some rows of conditions, which are None, a tensor, or anything that takes an index."""
    if conditions is None:
        return None
    # others know nothing of devices
    where = conditions.device if isinstance(conditions, Tensor) else torch.device("cpu")
    return conditions[index.to(where)]


def placed(conditions: Any, denoiser: nn.Module) -> Any:
    """Return conditions where the denoiser is, if they are a tensor; others move themselves."""
    return (
        conditions.to(precision_of(denoiser)[0]) if isinstance(conditions, Tensor) else conditions
    )


@contextlib.contextmanager
def evaluated(module: nn.Module) -> Iterator[None]:
    """Set a module to evaluation inside, so that dropout is off, and back to how it was after."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@torch.no_grad()
def sample(
    denoiser: nn.Module,
    transition: DDIMTransition,
    shape: tuple[int, ...],
    n: int,
    *,
    generator: torch.Generator,
    conditions: Any = None,
) -> Tensor:
    """Sample from a diffusion model.

    Parameters
    ----------
    denoiser : nn.Module
        From x (n, ...), times (n,) and conditions to what is predicted. It is evaluated, and left
        in the mode that it was in.
    transition : DDIMTransition
        Steps of the sampler.
    shape : tuple of int
        Of one sample.
    n : int
        How many.
    generator : torch.Generator
        On the CPU; all randomness comes from it.
    conditions : object of length n, optional
        What the denoiser is told.

    Returns
    -------
    Tensor of shape (n, ...)
        Finished samples.

    Raises
    ------
    InvalidInputError
        If there are not n conditions, or the denoiser returns something of another shape.

    Examples
    --------
    >>> import torch
    >>> from dfl.rl.preference import DDIMTransition, NoiseSchedule, sample
    >>> from dfl.rl.preference.tasks import GaussianDenoiser
    >>> steps = DDIMTransition.of(NoiseSchedule.linear(), n_steps=20)
    >>> denoiser = GaussianDenoiser(NoiseSchedule.linear(), shape=(2,), mean=3.0)
    >>> drawn = sample(denoiser, steps, (2,), 500, generator=torch.Generator().manual_seed(0))
    >>> drawn.shape, round(float(drawn.mean()))
    (torch.Size([500, 2]), 3)
    """
    check_conditions(conditions, n)
    conditions = placed(conditions, denoiser)
    x = first_noise(denoiser, n, shape, generator)
    with evaluated(denoiser):
        for i in range(len(transition)):
            noise = predict(denoiser, transition, x, i, conditions)
            x = transition.step(x, noise, i, noise_of_step(transition, x, i, generator))
    return x
