"""Regret of instances that were held out."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn

from dfl import metrics
from dfl.estimators._scaling import Scaling
from dfl.estimators._table import Table
from dfl.exceptions import InvalidInputError
from dfl.losses import AbstractLoss
from dfl_solvers.oracle import Array, Instance, Oracle


def make_monitor(
    loss: AbstractLoss,
    oracle: Oracle,
    table: Table,
    rows: Array,
    scaling: Scaling,
    dtype: torch.dtype,
    device: torch.device,
) -> Callable[[nn.Module], float]:
    """Make a function of the model: its validation regret, or its loss where costs are unknown.

    Parameters
    ----------
    loss : AbstractLoss
    oracle : Oracle
        A minimizing oracle, in the user's units; it solves the labels here, once.
    table : Table
    rows : ndarray of int
        The instances of the table that validate.
    scaling : Scaling
    dtype, device : torch.dtype, torch.device
        Of the predictor.

    Returns
    -------
    callable
        From the model to a number to be made small: the normalized regret, weighted.

    Raises
    ------
    InvalidInputError
        If all weights of these instances are zero.
    """
    inputs, target = table.tensors(rows, scaling)
    inputs = inputs.to(device, dtype)
    weights = np.ones(len(rows)) if table.weights is None else table.weights[rows]
    if not weights.any():
        raise InvalidInputError(
            "the sample weights of all instances to validate on are zero: nothing tells when to "
            "stop; pass others as validation=, or early_stopping=False"
        )
    if target.costs is None:
        target = target.to(dtype, device)
        shares = torch.from_numpy(weights / weights.sum()).to(device, dtype)
        return lambda model: float(loss(model(inputs), target, reduction="none") @ shares)
    costs = table.truth[rows] * np.sign(scaling.cost)
    optimal = metrics.optimal_objectives(oracle, costs, instance=target.instance)
    norm = float(np.abs(optimal) @ weights) or 1.0

    def validation_regret(model: nn.Module) -> float:
        predicted = model(inputs).double().cpu().numpy() * abs(scaling.cost)
        regret = metrics.regret(oracle, predicted, costs, instance=target.instance, optimal=optimal)
        return float(regret @ weights) / norm

    return validation_regret


def held_out_regrets(
    oracle: Oracle,
    predictions: Iterable[Array],
    costs: Array,
    instance: Instance | None,
    weights: Array | None,
) -> list[float]:
    """Return the normalized regret of each of several predictions (m, d) of costs (m, d)."""
    weights = np.ones(len(costs)) if weights is None else weights
    optimal = metrics.optimal_objectives(oracle, costs, instance=instance)
    norm = float(np.abs(optimal) @ weights) or 1.0
    regrets = (
        metrics.regret(oracle, predicted, costs, instance=instance, optimal=optimal)
        for predicted in predictions
    )
    return [float(regret @ weights) / norm for regret in regrets]
