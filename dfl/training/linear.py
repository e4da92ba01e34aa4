"""Epochs of a linear predictor by compiled code, for losses with a closed form."""

from __future__ import annotations

from typing import Self, final

import numpy as np
import torch
from torch import nn

from dfl.exceptions import InvalidInputError
from dfl.losses import AbstractLoss
from dfl.losses.closed_form import ClosedForm, Truth, has_closed_form
from dfl.training import _linear_kernels as kernels
from dfl.training._drawn_table import DrawnTable
from dfl.training._linear_state import LinearState
from dfl.training.epoch import Diverged
from dfl.training.shared import SharedOverItems
from dfl.training.source import Source, TableSource
from dfl.training.step import rule_of
from dfl_solvers.kernels import run


@final
class LinearEpoch:
    """A linear predictor, a loss with a closed form and a table of rows: no autograd.

    The gradient in the weights is an outer product of the loss's gradient in the output with the
    features, so that a step is two compiled calls around that of the loss. The module and the
    optimizer's state are read before an epoch and written after it, also where an error ends it:
    to everything else, the two kinds of epoch are the same.

    Parameters
    ----------
    layer : nn.Linear
        With an intercept; shared by the items of an instance if the inputs are (n, d, p).
    loss : AbstractLoss
        With a method ``value_and_gradient``.
    source : TableSource
    optimizer : torch.optim.Optimizer
        Plain Adam, AdamW or SGD of the layer's parameters.
    """

    def __init__(
        self,
        layer: nn.Linear,
        loss: AbstractLoss,
        source: TableSource,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self.loss: ClosedForm = loss  # type: ignore[assignment]
        self.source = source
        weights = torch.ones(len(source.inputs)) if source.weights is None else source.weights
        self._state = LinearState(layer, optimizer, loss.sign)
        self._table = DrawnTable(
            source.inputs.numpy(),
            Truth.of(loss, source.target),
            weights.numpy(),
            source.batch_size,
            layer.out_features,
        )
        # compiled here, if need be
        state = self._state.arguments()
        real = self._state.weights.dtype
        inputs, scales = np.zeros((0, layer.in_features), real), np.zeros(0, real)
        output = np.zeros((0, layer.out_features), real)
        run(kernels.predict, 0, inputs, state[0], output)
        run(kernels.update, 0, inputs, output, scales, *state)

    @classmethod
    def of(
        cls,
        model: nn.Module,
        loss: AbstractLoss,
        source: Source,
        optimizer: torch.optim.Optimizer,
    ) -> Self | None:
        """Return an epoch of these four; None if they need autograd."""
        shared = isinstance(model, SharedOverItems)
        layer = model.predictor if isinstance(model, SharedOverItems) else model
        if (
            not isinstance(source, TableSource)
            or not isinstance(layer, nn.Linear)
            or not _is_plain(layer)
            or rule_of(optimizer) is None
        ):
            return None
        inputs, dtype = source.inputs, layer.weight.dtype
        groups = [[id(p) for p in group["params"]] for group in optimizer.param_groups]
        shape = tuple(inputs.shape[:2]) if shared else (len(inputs), layer.out_features)
        if (
            groups != [[id(p) for p in layer.parameters()]]
            or inputs.ndim != (3 if shared else 2)
            or (shared and layer.out_features != 1)
            or inputs.shape[-1] != layer.in_features
            or inputs.dtype != dtype
            or inputs.device.type != "cpu"
            or not has_closed_form(loss, source.target, shape, dtype)
        ):
            return None  # also what is wrong: the other epoch says so
        return cls(layer, loss, source, optimizer)

    def run(self, generator: torch.Generator) -> tuple[float, int]:
        """Pass over the table once."""
        self._state.load()
        state = self._state.arguments()
        weights, evaluate = self._state.weights, self.loss.value_and_gradient
        batches = self._table.draw(self.source.order(generator).numpy())
        try:
            for inputs, truth, scales, output, rows, losses in batches:
                m = len(inputs)
                kernels.predict(0, m, inputs, weights, rows)
                try:
                    losses[:], gradient = evaluate(output, truth)
                except InvalidInputError as error:
                    # a diverged model surfaces as a NaN cost: say what really happened
                    if not np.isfinite(output).all():
                        raise Diverged from error
                    raise
                kernels.update(0, m, inputs, gradient.reshape(rows.shape), scales, *state)
        finally:
            self._state.store()
        return self._table.total, len(self.source.inputs)


def _is_plain(layer: nn.Linear) -> bool:
    """Say whether a linear layer has an intercept, and all of it is trained as it is."""
    return (
        type(layer) is nn.Linear
        and len(list(layer.parameters())) == 2
        and all(p.requires_grad for p in layer.parameters())
        and not (layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks)
    )
