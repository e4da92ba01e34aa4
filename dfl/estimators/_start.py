"""What training starts from: a new predictor, or the one that was learned before."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from dfl.estimators._predictors import (
    checked_device,
    device_of,
    make_predictor,
    start_at_least_squares,
)
from dfl.estimators._scaling import Scaling
from dfl.estimators._table import Table
from dfl.exceptions import InvalidInputError
from dfl.training import make_optimizer
from dfl_solvers.oracle import Array, minimizing

if TYPE_CHECKING:
    from dfl.estimators.decision_focused import DecisionFocusedRegressor


class Start(NamedTuple):
    """A predictor, the state of its optimizer, and the scales of what it reads and predicts."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaling: Scaling


def start_afresh(
    estimator: DecisionFocusedRegressor, table: Table, rows: Array, seed: int
) -> Start:
    """Make a predictor, and measure the scales of what it is to train on.

    Parameters
    ----------
    estimator : DecisionFocusedRegressor
    table : Table
    rows : ndarray of int
        The instances to train on.
    seed : int
        Of the first weights.
    """
    device = checked_device(estimator.device)
    _, sign = minimizing(estimator._checked_oracle())
    features, costs = table.features(rows), table.costs(rows)
    weights = table.row_weights(rows)
    if weights is not None and not weights.any():
        raise InvalidInputError("the sample weights of all instances to train on are zero")
    scaling = Scaling.of(features, costs, sign, weights)
    model = make_predictor(
        estimator.predictor,
        table.inputs.shape[-1],
        1 if table.long else table.truth.shape[1],
        torch.Generator().manual_seed(seed),
    )
    if estimator.predictor == "linear" and costs is not None:
        start_at_least_squares(model, scaling.features(features), costs / scaling.cost, weights)
    model = model.to(device)
    optimizer = make_optimizer(estimator.optimizer, model, estimator.learning_rate)
    return Start(model, optimizer, scaling)


def go_on(estimator: DecisionFocusedRegressor, *, new_optimizer: bool) -> Start:
    """Copy what was learned, so that an error leaves it as it is.

    Parameters
    ----------
    estimator : DecisionFocusedRegressor
        A fitted one.
    new_optimizer : bool
        Whether the optimizer starts afresh as well; it does where it is another one by now.
    """
    model = copy.deepcopy(estimator.predictor_)
    if device_of(model) != checked_device(estimator.device):
        model = model.to(estimator.device)
    optimizer = make_optimizer(estimator.optimizer, model, estimator.learning_rate)
    if not new_optimizer and type(optimizer) is type(estimator._optimizer):
        optimizer.load_state_dict(copy.deepcopy(estimator._optimizer.state_dict()))
    for group in optimizer.param_groups:
        group["lr"] = estimator.learning_rate  # a schedule may have changed it
    return Start(model, optimizer, estimator._scaling)
