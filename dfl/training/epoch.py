"""One pass over a source: the part of the training loop that depends on the kind of model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, final

import numpy as np
import torch
from torch import Tensor, nn

from dfl.exceptions import InvalidInputError
from dfl.losses import AbstractLoss, Target
from dfl.losses.closed_form import ClosedForm, Truth, has_closed_form
from dfl.training.source import Source


class StopTraining(Exception):
    """Raise it in an oracle, a source or a monitor to end training; the epoch does not count."""


class Diverged(Exception):
    """The model's output is not finite any more."""


class Epoch(Protocol):
    """Runs epochs of one training run."""

    def run(self, generator: torch.Generator) -> tuple[float, int]:
        """Pass over the source once; return the sum of the losses of its samples, and how many."""
        ...


@final
class AutogradEpoch:
    """Any model, any loss, any source: the gradient comes from autograd.

    Where the loss has a closed form, autograd starts at the model's output.

    Parameters
    ----------
    model : nn.Module
    loss : AbstractLoss
    source : Source
    optimizer : torch.optim.Optimizer
    micro_batch_size : int, optional
        Most samples that pass through the model at a time.
    max_grad_norm : float, optional
        Gradients that are longer are cut to this length before a step.
    before_step : callable, optional
        Is given the model when the gradients of a batch are complete.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: AbstractLoss,
        source: Source,
        optimizer: torch.optim.Optimizer,
        micro_batch_size: int | None = None,
        max_grad_norm: float | None = None,
        before_step: Callable[[nn.Module], None] | None = None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.source = source
        self.micro_batch_size = micro_batch_size
        self.max_grad_norm = max_grad_norm
        self.before_step = before_step
        self.parameters = list(model.parameters())
        # imported here: compiled code is slow to load, and nobody trains while importing
        from dfl.training.step import Step

        self.step = Step(optimizer)

    def run(self, generator: torch.Generator) -> tuple[float, int]:
        """Pass over the source once."""
        total, count = 0.0, 0
        self.step.start()
        for batch in self.source.batches(self.model, generator):
            for parameter in self.parameters:  # what zero_grad does, without its profiling
                parameter.grad = None
            n = len(batch[0])
            for inputs, target, *weights in _pieces(batch, self.micro_batch_size):
                inputs = self.loss.move_inputs(self.model, inputs, target, generator)
                output = self.model(inputs)
                share = 1.0 if len(inputs) == n else len(inputs) / n
                try:
                    value = self._backward(output, target, *weights, share=share)
                except InvalidInputError as error:
                    # a diverged model surfaces as a NaN cost: say what really happened
                    if not torch.isfinite(output).all():
                        raise Diverged from error
                    raise
                total += value * len(inputs)
            count += n
            if self.before_step is not None:
                self.before_step(self.model)
            if self.max_grad_norm is not None:
                nn.utils.clip_grad_norm_(self.parameters, self.max_grad_norm)
            self.step()
        return total, count

    def _backward(
        self, output: Tensor, target: Target, weights: Tensor | None = None, *, share: float = 1.0
    ) -> float:
        """Propagate a share of the mean loss of a batch back to the parameters; return the mean."""
        if isinstance(self.loss, ClosedForm) and self._usable(output, target):
            sign, n = self.loss.sign, len(output)
            held = sign * output.detach().numpy()  # a copy, which may be overwritten
            values, slope = self.loss.value_and_gradient(held, Truth.of(self.loss, target))
            scales = np.full(n, 1 / n, held.dtype)
            if weights is not None:
                scales *= weights.numpy()
            slope *= sign * share * scales[:, None]
            output.backward(torch.from_numpy(slope))  # type: ignore[no-untyped-call]
            return float(np.dot(scales, values))
        if weights is None:
            value = self.loss(output, target)
        else:
            value = (self.loss(output, target, reduction="none") * weights).mean()
        (value if share == 1 else share * value).backward()
        return float(value.item())

    def _usable(self, output: Tensor, target: Target) -> bool:
        return (
            output.device.type == "cpu"
            and output.requires_grad
            and has_closed_form(self.loss, target, tuple(output.shape), output.dtype)
        )


def _pieces(batch: tuple[Any, ...], most: int | None) -> Iterator[tuple[Any, ...]]:
    """Yield a batch in pieces of at most so many samples."""
    n = len(batch[0])
    if most is None or n <= most:
        yield batch
        return
    for start in range(0, n, most):
        rows = slice(start, start + most)
        yield tuple(part[rows] if isinstance(part, Tensor) else part.rows(rows) for part in batch)
