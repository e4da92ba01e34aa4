"""What training trains: a denoiser beside the one it began as, and a slow copy of it."""

from __future__ import annotations

import copy
from typing import Any, final

import torch
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError
from dfl.rl.preference.ema import follow
from dfl.rl.preference.objectives import Objective, StepBatch
from dfl.rl.preference.transition import DDIMTransition


@final
class StepwiseLearner(nn.Module):
    """A denoiser, the reference that it began as, and an exponential moving average of it.

    Its output, log-probabilities of candidates, goes to the loss of its objective.

    Parameters
    ----------
    denoiser : nn.Module
        From x (n, ...), times (n,) and conditions to what is predicted, of the shape of x. Copies
        share its parameters that require no gradient.
    transition : DDIMTransition
        Steps of the sampler.
    objective : Objective
        What the denoiser learns of the candidates.
    decay : float
        Share of itself that the slow copy keeps at each update.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        transition: DDIMTransition,
        objective: Objective,
        decay: float,
    ) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.reference = frozen_copy(denoiser)
        self.slow = frozen_copy(denoiser)
        self.transition = transition
        self.objective = objective
        self.decay = decay

    def forward(self, batch: StepBatch) -> Tensor:
        """Return log-probabilities (n, k) of the candidates of a batch."""
        return self.log_prob(self.denoiser, batch)

    def log_prob(self, denoiser: nn.Module, batch: StepBatch) -> Tensor:
        """Return those under another denoiser, such as the reference."""
        noise = predict(denoiser, self.transition, batch.x, batch.steps, batch.conditions)
        return self.objective.log_prob(noise, batch)

    def follow(self) -> None:
        """Move the slow copy towards the denoiser, after an update."""
        follow(self.slow, self.denoiser, self.decay)

    def train(self, mode: bool = True) -> StepwiseLearner:
        """Set the mode of the denoiser; its copies are always evaluated."""
        super().train(mode)
        self.reference.eval()
        self.slow.eval()
        return self


def predict(
    denoiser: nn.Module,
    transition: DDIMTransition,
    x: Tensor,
    steps: Tensor | int,
    conditions: Any,
) -> Tensor:
    """Return the noise (n, ...) that a denoiser sees in x at given steps.

    Parameters
    ----------
    denoiser : nn.Module or callable
    transition : DDIMTransition
    x : Tensor of shape (n, ...)
    steps : int or Tensor of int64 of shape (n,)
    conditions : object of length n or None

    Returns
    -------
    Tensor of shape (n, ...)

    Raises
    ------
    InvalidInputError
        If the denoiser returns something of another shape.
    """
    if isinstance(steps, int):
        steps = torch.full((len(x),), steps, dtype=torch.int64, device=x.device)
    output = denoiser(x, transition.times.to(x.device)[steps], conditions)
    if not isinstance(output, Tensor) or output.shape != x.shape:
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise InvalidInputError(
            f"{type(denoiser).__name__}: got {found} for x of shape {tuple(x.shape)}, expected a "
            "tensor of that shape: a denoiser takes (x, times, conditions)"
        )
    return transition.noise(output.to(x.dtype), x, steps)


def trained_copy(module: nn.Module) -> nn.Module:
    """Return a copy to be trained, which shares the parameters that require no gradient."""
    shared = {id(p): p for p in module.parameters() if not p.requires_grad}
    return copy.deepcopy(module, memo=shared)


def frozen_copy(module: nn.Module) -> nn.Module:
    """Return a copy without gradients, which shares what the module itself does not train."""
    return trained_copy(module).requires_grad_(False).eval()
