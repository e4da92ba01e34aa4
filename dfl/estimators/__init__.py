"""scikit-learn estimators: fit, predict, decide, score."""

from dfl.estimators.base import BaseDecisionEstimator as BaseDecisionEstimator
from dfl.estimators.decision_focused import DecisionFocusedRegressor as DecisionFocusedRegressor
from dfl.estimators.predict_then_optimize import (
    PredictThenOptimizeRegressor as PredictThenOptimizeRegressor,
)

__all__ = ["BaseDecisionEstimator", "DecisionFocusedRegressor", "PredictThenOptimizeRegressor"]
