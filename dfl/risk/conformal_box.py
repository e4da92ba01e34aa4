"""Decisions for the worst costs of a calibrated box."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from sklearn.base import RegressorMixin

from dfl.risk._data import Data
from dfl.risk.conformal import Spread, conformal_quantile, own_part
from dfl.risk.decision import RiskDecision
from dfl.risk.rule import AbstractRule
from dfl.risk.tail import check_probability
from dfl_solvers._worst_case import box, minimize_worst
from dfl_solvers.oracle import Array

# decisions this little below zero count as zero
_ROUNDING = 1e-9


@final
class ConformalBox(AbstractRule):
    r"""Predict, then calibrate: decide for the worst costs of a box that holds the true ones.

    Use it where a decision must not become much more expensive than it was said to be. The true
    costs are in the box with probability ``1 - alpha``, whatever their distribution and however bad
    the predictions; then no decision costs more than its robust value.

    Parameters
    ----------
    alpha : float, default=0.1
        Probability that the costs are outside the box.
    spread : scikit-learn regressor, optional
        Learns how large errors are from the features, so that the box is small where predictions
        are good; cloned. Default: the ``1 - alpha`` quantile of the errors in each coordinate, the
        same for all instances.
    calibration_fraction : float, default=0.4
        Share of the instances that ``fit`` holds out. Half of them tell how large errors are in
        each coordinate, the other half how large the box must be.
    random_state : int, Generator, RandomState or None
        Divides the instances.

    Attributes
    ----------
    radius_ : float
        What the errors are multiplied by.
    estimator_ : BaseDecisionRegressor
        The estimator that this was calibrated for.

    Raises
    ------
    InvalidInputError
        By ``fit`` and ``calibrate``, if alpha is out of its range, or there are fewer than
        ``1 / alpha - 1`` instances to calibrate with.
    UnsupportedError
        When deciding, if decisions have both signs and the oracle has no matrix form.

    See Also
    --------
    ConformalEllipsoid : For errors that go together; less cautious where they do not add up.

    Notes
    -----
    With predictions :math:`\hat f`, errors to expect :math:`\hat h` and the conformal quantile
    :math:`\eta` of :math:`\max_j |c_j - \hat f_j| / \hat h_j`,

    .. math::

        \min_{w \in S} \hat f^\top w + \eta \sum_j \hat h_j |w_j| .

    For decisions that are not negative any oracle solves it, with the costs
    :math:`\hat f + \eta \hat h`. This is tried first: these costs bound the robust value from
    below, so a decision that turns out not to be negative is proven best. Otherwise the absolute
    values go into ``program()``, with integers as well.

    ``low`` and ``high`` hold the cost of the decision with probability ``1 - alpha`` at least. The
    promise is on average over instances that are exchangeable with those of the calibration; data
    that drift in time are not.

    References
    ----------
    C. Sun, L. Liu, X. Li. Predict-then-Calibrate: A New Perspective of Robust Contextual LP.
    NeurIPS 2023. arXiv:2305.15686

    Examples
    --------
    >>> from dfl import PredictThenOptimizeRegressor
    >>> from dfl.datasets import make_shortest_path
    >>> from dfl.risk import ConformalBox
    >>> data = make_shortest_path(600, noise=0.5, random_state=0)
    >>> model = PredictThenOptimizeRegressor(data.oracle)
    >>> risk = ConformalBox(alpha=0.1, random_state=0).fit(model, data.X[:500], data.C[:500])
    >>> found = risk.estimator_.decide(data.X[500:], risk=risk)
    >>> true = (data.C[500:] * found.decisions).sum(axis=1)
    >>> bool((true <= found.high).mean() >= 0.9)
    True
    """

    def __init__(
        self,
        alpha: float = 0.1,
        spread: RegressorMixin | None = None,
        *,
        calibration_fraction: float = 0.4,
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.spread = spread
        self.calibration_fraction = calibration_fraction
        self.random_state = random_state

    def _calibrate(self, data: Data, rng: np.random.Generator) -> None:
        check_probability("alpha", self.alpha)
        learning, rest = data.divide(0.5, rng)
        spread = Spread(learning, self.spread, 1 - self.alpha)
        errors = np.abs(rest.costs() - rest.predicted())
        self.radius_ = conformal_quantile(
            (errors / spread.of(rest, errors.shape)).max(axis=1), self.alpha
        )
        self._spread = spread

    def _decide(self, data: Data, predicted: Array) -> RiskDecision:
        radius = self.radius_ * self._spread.of(data, predicted.shape)
        decisions = data.oracle.solve(predicted + radius, data.oracle_instance).decisions
        for i in np.flatnonzero((decisions < -_ROUNDING).any(axis=1)):
            own = None
            if data.oracle_instance is not None:
                own = {name: value[[i]] for name, value in data.oracle_instance.items()}
            decisions[i] = minimize_worst(data.oracle, [box(predicted[i], radius[i])], own)[0]
        expected = np.vecdot(predicted, decisions) + own_part(data, decisions)
        half = np.vecdot(radius, np.abs(decisions))
        return RiskDecision(decisions, expected, expected - half, expected + half, expected + half)

    def contains(self, X: Any, y: Any, *, groups: Any = None, instance: Any = None) -> Array:
        """Say whether true costs are in the box, to measure its coverage.

        Parameters
        ----------
        X, y, groups, instance
            As in ``fit``, of other instances.

        Returns
        -------
        ndarray of shape (n,) of bool
            True where all costs of an instance are in the box.
        """
        data = Data(self.estimator_, X, y, groups, instance)
        errors = np.abs(data.costs() - data.predicted())
        return (errors / self._spread.of(data, errors.shape)).max(axis=1) <= self.radius_
