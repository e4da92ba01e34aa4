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
    """Solve a batch of cost tensors in one call, without gradient.

    Nothing is copied on the CPU where the oracle takes the tensor's dtype.

    Parameters
    ----------
    oracle : Oracle
        A minimizing oracle.
    costs : Tensor of shape (n, d) or (n, k, d)
        One cost vector an instance, or k.
    instance : mapping of str to ndarray, optional
        Per-instance data, each array with leading n.

    Returns
    -------
    decisions : Tensor of the shape of ``costs``
        In the dtype and on the device of ``costs``.
    objectives : Tensor of shape (n,) or (n, k)
        Likewise.
    """
    rows, instance = _rows(costs, instance)
    solution = oracle.solve(_array(rows), instance)
    decisions, objectives = _tensor(solution.decisions, costs), _tensor(solution.objectives, costs)
    if costs.ndim == 2:
        return decisions, objectives
    return decisions.reshape(costs.shape), objectives.reshape(costs.shape[:-1])


def decisions(oracle: Oracle, costs: Tensor, instance: Mapping[str, Any] | None = None) -> Tensor:
    """Return optimal decisions (n, d) for costs (n, d), without gradient; see ``solve``."""
    return _tensor(oracle.solve(_array(costs), instance).decisions, costs)


def evaluate(
    oracle: Oracle, costs: Tensor, decisions: Tensor, instance: Mapping[str, Any] | None = None
) -> Tensor:
    """Return objectives of given decisions under costs (n, d), without gradient.

    Of shape (n,) for decisions (n, d), of shape (n, k) for decisions (n, k, d).
    """
    rows, instance = _rows(decisions, instance)
    if decisions.ndim == 3:
        costs = costs[:, None].expand_as(decisions).reshape(rows.shape)
    return _tensor(oracle.evaluate(_array(costs), _array(rows), instance), costs).reshape(
        decisions.shape[:-1]
    )


def pulled_back(
    oracle: Oracle,
    costs: Tensor,
    vectors: Tensor,
    instance: Mapping[str, Any] | None = None,
) -> Tensor:
    """Return the gradient (n, d) of ``vectors . w*(costs)``, of an oracle with a derivative."""
    product = oracle.vector_jacobian_product  # type: ignore[attr-defined]
    data = [instance] if instance else []
    return _tensor(product(_array(costs), _array(vectors), *data), costs)


def _rows(
    values: Tensor, instance: Mapping[str, Any] | None
) -> tuple[Tensor, Mapping[str, Any] | None]:
    """Return values (n, k, d) as rows, with the instance data of each; others as they are."""
    if values.ndim == 2:
        return values, instance
    n, k, d = values.shape
    if instance is not None:
        instance = {name: np.repeat(value, k, axis=0) for name, value in instance.items()}
    return values.reshape(n * k, d), instance


# these are called every step: on the CPU and in the right dtype nothing but a view is made
def _array(values: Tensor) -> np.ndarray:
    values = values.detach()
    return values.numpy() if values.device.type == "cpu" else values.cpu().numpy()


def _tensor(values: np.ndarray, like: Tensor) -> Tensor:
    tensor = torch.from_numpy(values)
    if tensor.dtype == like.dtype and like.device.type == "cpu":
        return tensor
    return tensor.to(device=like.device, dtype=like.dtype)
