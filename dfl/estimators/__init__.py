"""scikit-learn estimators: fit, predict, decide, score.

The face of the package is lazy: one estimator does not load what another needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfl_solvers._lazy import lazy

if TYPE_CHECKING:
    from dfl.estimators.base import BaseDecisionEstimator as BaseDecisionEstimator
    from dfl.estimators.decision_focused import DecisionFocusedRegressor as DecisionFocusedRegressor
    from dfl.estimators.files import load as load
    from dfl.estimators.predict_then_optimize import (
        PredictThenOptimizeRegressor as PredictThenOptimizeRegressor,
    )
    from dfl.estimators.spo_plus_linear import SPOPlusLinearRegressor as SPOPlusLinearRegressor
    from dfl.estimators.spo_plus_linear_cv import (
        SPOPlusLinearRegressorCV as SPOPlusLinearRegressorCV,
    )

_HOMES = {
    "BaseDecisionEstimator": "base",
    "DecisionFocusedRegressor": "decision_focused",
    "PredictThenOptimizeRegressor": "predict_then_optimize",
    "SPOPlusLinearRegressor": "spo_plus_linear",
    "SPOPlusLinearRegressorCV": "spo_plus_linear_cv",
    "load": "files",
}

__all__ = [
    "BaseDecisionEstimator",
    "DecisionFocusedRegressor",
    "PredictThenOptimizeRegressor",
    "SPOPlusLinearRegressor",
    "SPOPlusLinearRegressorCV",
    "load",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
