"""What the fits of all policies do around the one training loop."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from torch import Tensor, nn

from dfl.estimators.base import BaseDecisionEstimator
from dfl.exceptions import InvalidInputError
from dfl.montecarlo import Budget
from dfl.training import Checkpoint

Model = TypeVar("Model", bound=nn.Module)


def checkpoint_at(
    path: str | os.PathLike[str] | None, fingerprint: Callable[[], str]
) -> Checkpoint | None:
    """Return where the state of a fit is kept; a fingerprint, which costs time, only if it is."""
    return None if path is None else Checkpoint(path, fingerprint())


def told_parameters(estimator: BaseDecisionEstimator, untold: Sequence[str]) -> dict[str, Any]:
    """Return the parameters that tell a fit from another: all but some, by name."""
    return {k: v for k, v in estimator.get_params(deep=False).items() if k not in untold}


def spent(budget: Budget, kinds: Sequence[str]) -> dict[str, float]:
    """Return what was spent so far, kind by kind, for a history."""
    return {kind: float(budget.spent(kind)) for kind in kinds}


def part(values: Mapping[str, Any], prefix: str) -> dict[str, Tensor]:
    """Return what has a prefix, without it: the state of one of several parts."""
    return {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}


def trained_as(source: object, model: nn.Module, kind: type[Model]) -> Model:
    """Return the model that is trained, as the kind that a source makes batches for."""
    if not isinstance(model, kind):
        raise InvalidInputError(
            f"{type(source).__name__}: got a model of type {type(model).__name__} to train, "
            f"expected a {kind.__name__}"
        )
    return model


def check_trainable(owner: str, what: str, module: nn.Module) -> None:
    """Refuse a module that has nothing to train; an owner is whom the error names, or ""."""
    if not any(p.requires_grad for p in module.parameters()):
        prefix = f"{owner}: " if owner else ""
        raise InvalidInputError(
            f"{prefix}got a {what} of type {type(module).__name__} without parameters that require "
            "a gradient, expected some to be trained"
        )
