"""What others are held against: decisions that nothing was learned for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, final

from dfl_experiments.methods.base import MINIMUM, AbstractMethod, Judgement, regret_of
from dfl_experiments.problems.base import Fold

if TYPE_CHECKING:
    from dfl_solvers.oracle import Array


@final
class EqualWeight(AbstractMethod):
    """Decide for 1/d of everything, whatever the features say: the classical portfolio baseline."""

    estimator: Literal["equal-weight"]

    def judge(self, fold: Fold, optimal: Array, seed: int) -> Judgement:
        """Measure the one decision."""
        import numpy as np

        from dfl import metrics

        costs = fold.test.wide(fold.test.y)
        decisions = np.full_like(costs, 1 / costs.shape[1])
        regret = metrics.decision_regret(
            fold.oracle, decisions, costs, instance=fold.test.instance, optimal=optimal
        )
        return Judgement(regret, 0.0)


@final
class ExpectedCosts(AbstractMethod):
    """Decide for the true E[c | x]: no method can do better on average."""

    name: str = MINIMUM
    estimator: Literal["expected-costs"] = "expected-costs"

    def judge(self, fold: Fold, optimal: Array, seed: int) -> Judgement:
        """Measure the best decisions that features allow."""
        return Judgement(regret_of(fold, fold.test.expected, optimal), 0.0)
