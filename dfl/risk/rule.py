"""What rules of decision share: they are calibrated with instances the estimator has not seen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self, final

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from dfl.estimators import BaseDecisionRegressor
from dfl.estimators._instance import InstanceData
from dfl.estimators._names import named
from dfl.estimators._randomness import generator_of
from dfl.exceptions import InvalidInputError
from dfl.risk._data import Data
from dfl.risk.decision import RiskDecision
from dfl_solvers.oracle import Array


class AbstractRule(BaseEstimator, ABC):
    """How an estimator decides under risk, once it was calibrated for it.

    A leaf writes ``_calibrate`` and ``_decide``.

    Attributes
    ----------
    estimator_ : BaseDecisionRegressor
        The estimator that the rule was calibrated for.
    """

    calibration_fraction: float = 0.4
    random_state: Any = None
    estimator_: BaseDecisionRegressor

    @abstractmethod
    def _calibrate(self, data: Data, rng: np.random.Generator) -> None:
        """Learn from instances that the estimator has not seen."""

    @abstractmethod
    def _decide(self, data: Data, predicted: Array) -> RiskDecision:
        """Decide from predicted costs (n, d); everything is to be minimized."""

    @final
    def fit(
        self,
        estimator: BaseDecisionRegressor,
        X: Any,
        y: Any,
        *,
        groups: Any = None,
        instance: InstanceData | None = None,
    ) -> Self:
        """Divide the instances, fit a clone of an estimator on one part and calibrate on the rest.

        Parameters
        ----------
        estimator : BaseDecisionRegressor
            Cloned; the fitted clone is ``estimator_``.
        X : array-like of shape (n, p), or (n_rows, p) for long data
            Features.
        y : array-like of shape (n, d), or (n_rows,) for long data
            True costs (values, for a maximizing oracle).
        groups : array-like, optional
            As in the estimator's ``fit``: the instance of each row of long data; instances of one
            group of wide data stay in one part. Dated instances are divided in time.
        instance : mapping of str to ndarray, data frame or structured array, optional
            Per-instance data of the oracle, each array with leading n.

        Returns
        -------
        self
            The rule itself, calibrated.

        Raises
        ------
        InvalidInputError
            If there are too few instances, or a parameter is out of its range.
        """
        rng = generator_of(self.random_state)
        data = Data(estimator, X, y, groups, instance)
        learning, rest = data.divide(self.calibration_fraction, rng)
        fitted = learning.fitted(clone(estimator))
        self._calibrate(rest.of(fitted), rng)
        self.estimator_ = fitted
        return self

    @final
    def calibrate(
        self,
        estimator: BaseDecisionRegressor,
        X: Any,
        y: Any,
        *,
        groups: Any = None,
        instance: InstanceData | None = None,
    ) -> Self:
        """Calibrate for an estimator that was fitted on other instances.

        Parameters
        ----------
        estimator : fitted BaseDecisionRegressor
            What predicts the costs.
        X, y, groups, instance
            As in ``fit``; instances that the estimator was not fitted on.

        Returns
        -------
        self
            The rule itself, calibrated.

        Raises
        ------
        NotFittedError
            If the estimator was not fitted.
        InvalidInputError
            If there are too few instances, or a parameter is out of its range.
        """
        check_is_fitted(estimator)
        data = Data(estimator, X, y, groups, instance)
        self._calibrate(data, generator_of(self.random_state))
        self.estimator_ = estimator
        return self

    @final
    def decide(
        self,
        estimator: BaseDecisionRegressor,
        X: Any,
        *,
        groups: Any = None,
        instance: InstanceData | None = None,
    ) -> RiskDecision:
        """Decide; the same as ``estimator.decide(X, risk=self)``.

        Parameters
        ----------
        estimator : BaseDecisionRegressor
            The one that this was calibrated for.
        X, groups, instance
            As in the estimator's ``decide``.

        Returns
        -------
        RiskDecision
            Decisions, what they are expected to cost, and an interval.

        Raises
        ------
        NotFittedError
            If this was not calibrated.
        InvalidInputError
            If it was calibrated for another estimator.
        """
        missing = "this %(name)s is not calibrated: call its calibrate before it decides"
        check_is_fitted(self, "estimator_", msg=missing)
        name = type(self).__name__
        if estimator is not self.estimator_:
            raise InvalidInputError(
                f"{name} was calibrated for another estimator, whose errors may be others: decide "
                "with its estimator_ (fit works on a clone), or calibrate it for this one"
            )
        data = Data(estimator, X, None, groups, instance)
        found = self._decide(data, data.predicted())
        decisions = named(data.rows(found.decisions), estimator, X)
        if data.sign == 1:
            return RiskDecision(
                decisions, found.expected, found.low, found.high, found.objective,
                found.regret_bound,
            )  # fmt: skip
        return RiskDecision(
            decisions, -found.expected, -found.high, -found.low, -found.objective,
            found.regret_bound,
        )  # fmt: skip
