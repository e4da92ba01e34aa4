"""Decision-focused learning: train predictors for the decisions they cause.

The face of the package is lazy: a name is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfl_solvers._lazy import lazy
from dfl_solvers._version import __version__ as __version__

if TYPE_CHECKING:
    from dfl.estimators import AutoDecisionRegressor as AutoDecisionRegressor
    from dfl.estimators import ConstraintRegressor as ConstraintRegressor
    from dfl.estimators import DecisionBoostingRegressor as DecisionBoostingRegressor
    from dfl.estimators import DecisionFocusedRegressor as DecisionFocusedRegressor
    from dfl.estimators import PredictThenOptimizeRegressor as PredictThenOptimizeRegressor
    from dfl.estimators import SPOForestRegressor as SPOForestRegressor
    from dfl.estimators import SPOPlusLinearRegressor as SPOPlusLinearRegressor
    from dfl.estimators import SPOPlusLinearRegressorCV as SPOPlusLinearRegressorCV
    from dfl.estimators import SPOTreeRegressor as SPOTreeRegressor
    from dfl.estimators import TwoStageConstraintRegressor as TwoStageConstraintRegressor
    from dfl.estimators import TwoStageRidgeCV as TwoStageRidgeCV
    from dfl.estimators import load as load
    from dfl.losses import Target as Target
    from dfl.losses import make_loss as make_loss

_HOMES = {
    "AutoDecisionRegressor": "estimators",
    "ConstraintRegressor": "estimators",
    "DecisionBoostingRegressor": "estimators",
    "DecisionFocusedRegressor": "estimators",
    "PredictThenOptimizeRegressor": "estimators",
    "SPOForestRegressor": "estimators",
    "SPOPlusLinearRegressor": "estimators",
    "SPOPlusLinearRegressorCV": "estimators",
    "SPOTreeRegressor": "estimators",
    "Target": "losses",
    "TwoStageConstraintRegressor": "estimators",
    "TwoStageRidgeCV": "estimators",
    "load": "estimators",
    "make_loss": "losses",
}
_ROOMS = (
    "datasets",
    "design",
    "estimators",
    "exceptions",
    "layers",
    "losses",
    "metrics",
    "montecarlo",
    "plotting",
    "risk",
    "rl",
    "training",
)

__all__ = [
    "AutoDecisionRegressor",
    "ConstraintRegressor",
    "DecisionBoostingRegressor",
    "DecisionFocusedRegressor",
    "PredictThenOptimizeRegressor",
    "SPOForestRegressor",
    "SPOPlusLinearRegressor",
    "SPOPlusLinearRegressorCV",
    "SPOTreeRegressor",
    "Target",
    "TwoStageConstraintRegressor",
    "TwoStageRidgeCV",
    "__version__",
    "load",
    "make_loss",
]

__getattr__, __dir__ = lazy(__name__, _HOMES, _ROOMS)
