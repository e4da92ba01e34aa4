"""What the next decision will cost and lose at most, whatever the distribution."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from dfl import metrics
from dfl.risk._data import Data
from dfl.risk.conformal import conformal_quantile, own_part
from dfl.risk.decision import RiskDecision
from dfl.risk.rule import AbstractRule
from dfl_solvers.oracle import Array


@final
class ConformalRegret(AbstractRule):
    """Decide as usual, and say what the decision will cost and what it will lose at most.

    Use it to report decisions, not to change them. Its interval is far smaller than that of
    ``ConformalBox``, which holds for all decisions at once.

    Parameters
    ----------
    alpha : float, default=0.1
        Probability of a larger regret, and of a cost outside the interval.
    calibration_fraction : float, default=0.4
        Share of the instances that ``fit`` holds out to calibrate with.
    random_state : int, Generator, RandomState or None
        Divides the instances.

    Attributes
    ----------
    regret_bound_ : float
        What the regret of the next decision exceeds with probability ``alpha`` at most.
    radius_ : float
        The same of the difference between predicted and true cost of the decision.
    estimator_ : BaseDecisionRegressor
        The estimator that this was calibrated for.

    Raises
    ------
    InvalidInputError
        By ``fit`` and ``calibrate``, if there are fewer than ``1 / alpha - 1`` instances to
        calibrate with.

    Notes
    -----
    Both are conformal quantiles, see ``conformal_quantile``, of the regrets and the errors of the
    decisions of held-out instances. Each of the two promises holds with probability ``1 - alpha``,
    on average over instances that are exchangeable with these.

    Examples
    --------
    >>> from dfl import PredictThenOptimizeRegressor
    >>> from dfl.datasets import make_shortest_path
    >>> from dfl.risk import ConformalRegret
    >>> data = make_shortest_path(600, noise=0.5, random_state=0)
    >>> model = PredictThenOptimizeRegressor(data.oracle).fit(data.X[:200], data.C[:200])
    >>> risk = ConformalRegret(alpha=0.1).calibrate(model, data.X[200:400], data.C[200:400])
    >>> regret, _ = model.evaluate(data.X[400:], data.C[400:])
    >>> bool((regret <= risk.regret_bound_).mean() > 0.85)
    True
    """

    def __init__(
        self, alpha: float = 0.1, *, calibration_fraction: float = 0.4, random_state: Any = None
    ) -> None:
        self.alpha = alpha
        self.calibration_fraction = calibration_fraction
        self.random_state = random_state

    def _calibrate(self, data: Data, rng: np.random.Generator) -> None:
        del rng
        predicted, costs = data.predicted(), data.costs()
        decisions = data.oracle.solve(predicted, data.oracle_instance).decisions
        regret = metrics.decision_regret(
            data.oracle, decisions, costs, instance=data.oracle_instance
        )
        errors = np.abs(np.vecdot(costs - predicted, decisions))
        self.regret_bound_ = conformal_quantile(regret, self.alpha)
        self.radius_ = conformal_quantile(errors, self.alpha)

    def _decide(self, data: Data, predicted: Array) -> RiskDecision:
        decisions = data.oracle.solve(predicted, data.oracle_instance).decisions
        expected = np.vecdot(predicted, decisions) + own_part(data, decisions)
        low, high = expected - self.radius_, expected + self.radius_
        bound = np.full(len(expected), self.regret_bound_)
        return RiskDecision(decisions, expected, low, high, expected, bound)
