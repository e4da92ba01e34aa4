"""Optimizers and learning-rate schedules by name."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dfl._validation import check_above_zero
from dfl.exceptions import InvalidInputError

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "plateau")


def make_optimizer(name: str, model: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """Make an optimizer of a model's parameters by name.

    Parameters
    ----------
    name : {"adam", "adamw", "sgd"}
    model : nn.Module
        Whose parameters that require a gradient are trained.
    learning_rate : float
        Positive.

    Returns
    -------
    torch.optim.Optimizer
        In its fused form: one kernel call a step.

    Raises
    ------
    InvalidInputError
        If the name is unknown, the rate not positive or the model has nothing to train.
    """
    check_above_zero("", learning_rate=learning_rate)
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise InvalidInputError(f"the predictor {type(model).__name__} has no trainable parameters")
    if name == "adam":
        return torch.optim.Adam(parameters, lr=learning_rate, fused=True)
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=learning_rate, fused=True)
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=learning_rate, fused=True)
    raise InvalidInputError(f"got optimizer={name!r}, expected one of: {', '.join(OPTIMIZERS)}")


def make_schedule(name: str, optimizer: torch.optim.Optimizer, max_iter: int) -> Any:
    """Make a learning-rate schedule by name; it is stepped once an epoch.

    Parameters
    ----------
    name : {"constant", "cosine", "plateau"}
        Constant; a half cosine from the given rate to zero over ``max_iter`` epochs; or halved
        whenever the monitored number has not improved for five epochs.
    optimizer : torch.optim.Optimizer
    max_iter : int

    Returns
    -------
    A scheduler of ``torch.optim.lr_scheduler``; None for a constant rate.

    Raises
    ------
    InvalidInputError
        If the name is unknown.
    """
    schedulers = torch.optim.lr_scheduler
    if name == "constant":
        return None
    if name == "cosine":
        return schedulers.CosineAnnealingLR(optimizer, T_max=max_iter)
    if name == "plateau":
        return schedulers.ReduceLROnPlateau(optimizer, factor=0.5, patience=5)
    raise InvalidInputError(f"got schedule={name!r}, expected one of: {', '.join(SCHEDULES)}")
