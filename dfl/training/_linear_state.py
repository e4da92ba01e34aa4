"""A linear layer and what its optimizer keeps, arranged for compiled steps."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from torch import nn

from dfl.training.step import rates_of, rule_of, state_of
from dfl_solvers.oracle import Array


@final
class LinearState:
    """The numbers of a linear layer and of its optimizer, as arrays (p + 1, d).

    They lie with the outputs along the rows, which compiled code runs along, and the intercept as
    the last row. The layer and its optimizer are read by ``load`` and written by ``store``.

    Parameters
    ----------
    layer : nn.Linear
    optimizer : torch.optim.Optimizer
        Plain Adam, AdamW or SGD of the layer's two parameters.
    sign : int
        -1 if the layer predicts values and the arrays are to predict costs.
    """

    def __init__(self, layer: nn.Linear, optimizer: torch.optim.Optimizer, sign: int) -> None:
        self._optimizer = optimizer
        self._rule = rule_of(optimizer)
        self._sign = sign
        shape = (4, layer.in_features + 1, layer.out_features)
        arrays = np.zeros(shape, layer.weight.detach().numpy().dtype)
        self.weights, self._slope, self._mean, self._square = arrays
        self._count = np.zeros(1, np.float32)
        # pairs of ours and torch's, the latter seen through NumPy; the sign applies to the first
        self._signed: list[tuple[Array, Array]] = []
        self._unsigned: list[tuple[Array, Array]] = []
        for rows, parameter in ((slice(-1), layer.weight), (-1, layer.bias)):
            self._signed.append((self.weights[rows], parameter.detach().numpy().T))
            state = {k: v.numpy().T for k, v in state_of(optimizer, parameter).items()}
            if state:
                self._signed.append((self._mean[rows], state["exp_avg"]))
                self._unsigned.append((self._square[rows], state["exp_avg_sq"]))
                self._unsigned.append((self._count, state["step"]))

    def arguments(self) -> tuple[Any, ...]:
        """Return what the compiled step takes, with the rates of the present epoch."""
        rates = rates_of(self._optimizer.param_groups[0])
        arrays = self.weights, self._slope, self._mean, self._square
        return *arrays, self._rule, rates, self._count

    def load(self) -> None:
        """Read the layer and the optimizer's state."""
        for ours, theirs in self._signed:
            np.multiply(theirs, self._sign, out=ours)
        for ours, theirs in self._unsigned:
            ours[...] = theirs

    def store(self) -> None:
        """Write them back."""
        for ours, theirs in self._signed:
            np.multiply(ours, self._sign, out=theirs)
        for ours, theirs in self._unsigned:
            theirs[...] = ours.reshape(theirs.shape)
