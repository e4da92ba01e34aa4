"""Decision-focused learning: train predictors for the decisions they cause.

The face of the package is lazy: a name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dfl_solvers._version import __version__ as __version__

if TYPE_CHECKING:
    from dfl.estimators import DecisionFocusedRegressor as DecisionFocusedRegressor
    from dfl.estimators import PredictThenOptimizeRegressor as PredictThenOptimizeRegressor
    from dfl.losses import Target as Target
    from dfl.losses import make_loss as make_loss

_HOMES = {
    "DecisionFocusedRegressor": "dfl.estimators",
    "PredictThenOptimizeRegressor": "dfl.estimators",
    "Target": "dfl.losses",
    "make_loss": "dfl.losses",
}
_ROOMS = ("datasets", "estimators", "exceptions", "losses", "metrics", "plotting", "training")

__all__ = [
    "DecisionFocusedRegressor",
    "PredictThenOptimizeRegressor",
    "Target",
    "__version__",
    "make_loss",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"dfl.{name}")
    raise AttributeError(f"module 'dfl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS])
