"""scikit-learn estimators: fit, predict, decide, score.

The face of the package is lazy: one estimator does not load what another needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfl_solvers._lazy import lazy

if TYPE_CHECKING:
    from dfl.estimators._candidates import default_candidates as default_candidates
    from dfl.estimators.auto_decision import AutoDecisionRegressor as AutoDecisionRegressor
    from dfl.estimators.base import BaseDecisionEstimator as BaseDecisionEstimator
    from dfl.estimators.base import BaseDecisionRegressor as BaseDecisionRegressor
    from dfl.estimators.constraint_base import BaseConstraintRegressor as BaseConstraintRegressor
    from dfl.estimators.constraint_regressor import ConstraintRegressor as ConstraintRegressor
    from dfl.estimators.decision_boosting import (
        DecisionBoostingRegressor as DecisionBoostingRegressor,
    )
    from dfl.estimators.decision_focused import DecisionFocusedRegressor as DecisionFocusedRegressor
    from dfl.estimators.files import load as load
    from dfl.estimators.grid_convolution import GridConvolution as GridConvolution
    from dfl.estimators.leaderboard import LeaderboardRow as LeaderboardRow
    from dfl.estimators.leaderboard import Verdict as Verdict
    from dfl.estimators.predict_then_optimize import (
        PredictThenOptimizeRegressor as PredictThenOptimizeRegressor,
    )
    from dfl.estimators.spo_forest import SPOForestRegressor as SPOForestRegressor
    from dfl.estimators.spo_plus_linear import SPOPlusLinearRegressor as SPOPlusLinearRegressor
    from dfl.estimators.spo_plus_linear_cv import (
        SPOPlusLinearRegressorCV as SPOPlusLinearRegressorCV,
    )
    from dfl.estimators.spo_tree import SPOTreeRegressor as SPOTreeRegressor
    from dfl.estimators.two_stage_constraints import (
        TwoStageConstraintRegressor as TwoStageConstraintRegressor,
    )
    from dfl.estimators.two_stage_ridge_cv import TwoStageRidgeCV as TwoStageRidgeCV

_HOMES = {
    "AutoDecisionRegressor": "auto_decision",
    "BaseConstraintRegressor": "constraint_base",
    "BaseDecisionEstimator": "base",
    "BaseDecisionRegressor": "base",
    "ConstraintRegressor": "constraint_regressor",
    "DecisionBoostingRegressor": "decision_boosting",
    "DecisionFocusedRegressor": "decision_focused",
    "GridConvolution": "grid_convolution",
    "LeaderboardRow": "leaderboard",
    "PredictThenOptimizeRegressor": "predict_then_optimize",
    "SPOForestRegressor": "spo_forest",
    "SPOPlusLinearRegressor": "spo_plus_linear",
    "SPOPlusLinearRegressorCV": "spo_plus_linear_cv",
    "SPOTreeRegressor": "spo_tree",
    "TwoStageConstraintRegressor": "two_stage_constraints",
    "TwoStageRidgeCV": "two_stage_ridge_cv",
    "Verdict": "leaderboard",
    "default_candidates": "_candidates",
    "load": "files",
}

__all__ = [
    "AutoDecisionRegressor",
    "BaseConstraintRegressor",
    "BaseDecisionEstimator",
    "BaseDecisionRegressor",
    "ConstraintRegressor",
    "DecisionBoostingRegressor",
    "DecisionFocusedRegressor",
    "GridConvolution",
    "LeaderboardRow",
    "PredictThenOptimizeRegressor",
    "SPOForestRegressor",
    "SPOPlusLinearRegressor",
    "SPOPlusLinearRegressorCV",
    "SPOTreeRegressor",
    "TwoStageConstraintRegressor",
    "TwoStageRidgeCV",
    "Verdict",
    "default_candidates",
    "load",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
