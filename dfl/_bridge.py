"""The one place where costs cross from torch to an oracle and decisions come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dfl_solvers.oracle import Oracle


def solve(
    oracle: Oracle, costs: Tensor, instance: Mapping[str, Any] | None = None
) -> tuple[Tensor, Tensor]:
    """Solve a batch of cost tensors, without gradient.

    Nothing is copied on the CPU where the oracle takes the tensor's dtype.

    Parameters
    ----------
    oracle : Oracle
        A minimizing oracle.
    costs : Tensor of shape (n, d)
    instance : mapping of str to ndarray, optional
        Per-instance data, each array with leading n.

    Returns
    -------
    decisions : Tensor of shape (n, d)
        In the dtype and on the device of ``costs``.
    objectives : Tensor of shape (n,)
        Likewise.
    """
    solution = oracle.solve(_array(costs), instance)
    return _tensor(solution.decisions, costs), _tensor(solution.objectives, costs)


def decisions(oracle: Oracle, costs: Tensor, instance: Mapping[str, Any] | None = None) -> Tensor:
    """Return optimal decisions (n, d) for costs (n, d), without gradient; see ``solve``."""
    return _tensor(oracle.solve(_array(costs), instance).decisions, costs)


def evaluate(
    oracle: Oracle, costs: Tensor, decisions: Tensor, instance: Mapping[str, Any] | None = None
) -> Tensor:
    """Return objectives (n,) of given decisions (n, d) under costs (n, d), without gradient."""
    return _tensor(oracle.evaluate(_array(costs), _array(decisions), instance), costs)


# these are called every step: on the CPU and in the right dtype nothing but a view is made
def _array(values: Tensor) -> np.ndarray:
    values = values.detach()
    return values.numpy() if values.device.type == "cpu" else values.cpu().numpy()


def _tensor(values: np.ndarray, like: Tensor) -> Tensor:
    tensor = torch.from_numpy(values)
    if tensor.dtype == like.dtype and like.device.type == "cpu":
        return tensor
    return tensor.to(device=like.device, dtype=like.dtype)
