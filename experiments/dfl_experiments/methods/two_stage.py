"""Predict, then optimize."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, final

from pydantic import Field

from dfl_experiments.features import Features, expanded
from dfl_experiments.methods.base import AbstractMethod, Judgement, judged
from dfl_experiments.problems.base import Fold
from dfl_experiments.regressors import Regressor, regressor

if TYPE_CHECKING:
    from dfl_solvers.oracle import Array


@final
class TwoStage(AbstractMethod):
    """Predict costs as well as possible, then optimize."""

    estimator: Literal["two-stage"]
    regressor: Regressor = "linear"
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Of the regressor of scikit-learn, such as ``{alpha: 0.1}`` for a ridge."""
    features: Features = "given"

    def check(self, fold: Fold) -> None:
        """Refuse parameters that the regressor does not have, or whose values it refuses."""
        regressor(self.regressor, self.parameters, fold, 0)

    def judge(self, fold: Fold, optimal: Array, seed: int) -> Judgement:
        """Fit by scikit-learn."""
        from dfl import PredictThenOptimizeRegressor

        fold = expanded(fold, self.features)
        model = regressor(self.regressor, self.parameters, fold, seed)
        return judged(PredictThenOptimizeRegressor(fold.training_oracle, model), fold, optimal)
