"""What the estimators of constraints share: decide, settle and score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, final

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_consistent_length

from dfl import metrics
from dfl.estimators._instance import InstanceData, as_instance
from dfl.estimators._table import Table, date_index
from dfl.estimators._validated import validated
from dfl.estimators.base import BaseDecisionEstimator, check_oracle_given, read_weights, score_of
from dfl.exceptions import InvalidInputError
from dfl.metrics.post_hoc import spread
from dfl_solvers.oracle import Array, Instance, Oracle
from dfl_solvers.recourse.base import AbstractRecourse, check_recourse
from dfl_solvers.recourse.field import PredictedField


@final
class Judge:
    """The true constraints of some instances, and what decisions by predicted ones cost there."""

    def __init__(
        self,
        estimator: BaseConstraintRegressor,
        oracle: Oracle,
        y: Array,
        costs: Array,
        instance: Instance | None,
        weights: Array | None = None,
    ) -> None:
        self.estimator = estimator
        self.oracle = oracle
        self.y = y
        self.costs = costs
        self.instance = instance
        true = estimator._field().given(y, instance, predicted=False)
        self.optimal = metrics.optimal_objectives(oracle, costs, instance=true)
        self.weights = np.ones(len(y)) if weights is None else weights
        self.norm = float(np.abs(self.optimal) @ self.weights) or 1.0

    @classmethod
    def of_rows(
        cls,
        estimator: BaseConstraintRegressor,
        oracle: Oracle,
        table: Table,
        costs: Array,
        rows: Array,
    ) -> Judge:
        """Return the judge of some instances of a table, whose costs (n, d) are those of all."""
        weights = table.weights_of(rows)
        instance = table.instance_of(rows)
        return cls(estimator, oracle, table.truth[rows], costs[rows], instance, weights)

    def regret(self, predicted: Array) -> Array:
        """Return the post-hoc regret (n,) of predicted numbers (n, q)."""
        return metrics.post_hoc_regret(
            self.oracle,
            predicted,
            self.y,
            self.costs,
            predicts=self.estimator.predicts,
            recourse=self.estimator._recourse(),
            positions=self.estimator.positions,
            instance=self.instance,
            optimal=self.optimal,
        )

    def normalized(self, predicted: Array) -> float:
        """Return the weighted sum of regrets, divided by that of the optimal objectives."""
        return float(self.regret(predicted) @ self.weights) / self.norm


class BaseConstraintRegressor(MultiOutputMixin, RegressorMixin, BaseDecisionEstimator, ABC):
    """Predict numbers of a constraint, decide by them, be judged once the truth is known.

    A subclass has the attributes below as parameters, and writes ``fit`` and ``predict``.
    """

    oracle: Oracle | None
    predicts: str
    recourse: AbstractRecourse | None
    costs: Any
    positions: Sequence[int] | None
    _one_output: bool

    @abstractmethod
    def predict(self, X: Any) -> Array:
        """Predict numbers of the constraint, one row per row of X."""

    def decide(self, X: Any, *, costs: Any = None, instance: InstanceData | None = None) -> Array:
        """Decide: predict the constraint and solve.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.
        costs : array-like of shape (n, d) or (d,), optional
            Known costs (values, for a maximizing oracle). Default: those of the constructor.
        instance : mapping of str to ndarray, data frame or structured array, optional
            Other data of the instances, each array with leading n.

        Returns
        -------
        ndarray of shape (n, d)
            Optimal decisions for the predicted constraints. ``recourse.settle`` corrects them once
            the truth is known.
        """
        predicted = self._wide(self.predict(X))
        known = self._costs(costs, len(predicted))
        given = self._field().given(predicted, as_instance(instance))
        return check_oracle_given(self, self.oracle).solve(known, given).decisions

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        costs: Any = None,
        instance: InstanceData | None = None,
    ) -> float:
        """Score decisions: one minus the normalized post-hoc regret, so that 1 is perfect.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.
        y : array-like of shape (n, q)
            True numbers of the constraint.
        sample_weight : array-like of shape (n,), optional
            What each instance counts in both sums.
        costs, instance
            As in ``decide``.

        Returns
        -------
        float
            ``1 - sum(regret) / sum(|z*|)``. Where the optimal objectives are all zero: 1 for no
            regret, else 0.
        """
        regret, optimal = self.evaluate(X, y, costs=costs, instance=instance)
        return score_of(regret, optimal, sample_weight)

    def evaluate(
        self, X: Any, y: Any, *, costs: Any = None, instance: InstanceData | None = None
    ) -> tuple[Array, Array]:
        """Judge decisions instance by instance, for intervals and paired comparisons.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.
        y : array-like of shape (n, q)
            True numbers of the constraint.
        costs, instance
            As in ``decide``.

        Returns
        -------
        regret : ndarray of shape (n,)
            Post-hoc regret; see ``dfl.metrics.post_hoc_regret``.
        optimal : ndarray of shape (n,)
            Objectives of the best decisions under the true constraints, in the oracle's own sense.
        """
        predicted = self._wide(self.predict(X))
        y = self._wide(np.asarray(y, dtype=float))
        check_consistent_length(predicted, y)
        oracle = check_oracle_given(self, self.oracle)
        judge = Judge(self, oracle, y, self._costs(costs, len(y)), as_instance(instance))
        return judge.regret(predicted), judge.optimal

    def _read(
        self, X: Any, y: Any, sample_weight: Any, costs: Any, instance: Any
    ) -> tuple[Table, Array]:
        """Check what ``fit`` is given; return it by instances, and the known costs (n, d)."""
        self._field()
        self._recourse()
        dates = date_index(X)
        X, y = validated(self, X, y)
        one_output = y.ndim == 1
        weights = read_weights(sample_weight, X)
        y = self._wide(y.astype(np.float64))
        table = Table(X, y, True, as_instance(instance), dates, None, one_output, weights)
        return table, self._costs(costs, len(y))

    def _narrow(self, numbers: Array) -> Array:
        """Return numbers (n, q) as ``predict`` does: (n,) if ``fit`` was given a 1-d y."""
        return numbers[:, 0] if self._one_output else numbers

    def _field(self) -> PredictedField:
        oracle = check_oracle_given(self, self.oracle)
        return PredictedField(oracle, self.predicts, self.positions)

    def _recourse(self) -> AbstractRecourse:
        return check_recourse(self.recourse, type(self).__name__)

    def _wide(self, values: Array) -> Array:
        """Return numbers as (n, q)."""
        wide = values[:, None] if values.ndim == 1 else values
        size = self._field().size
        if size not in (None, wide.shape[1]):
            raise InvalidInputError(
                f"{type(self).__name__}: got {wide.shape[1]} numbers of {self.predicts} per row, "
                f"expected {size}"
            )
        return wide

    def _costs(self, costs: Any, n: int) -> Array:
        known = self.costs if costs is None else costs
        if known is None:
            raise InvalidInputError(
                f"{type(self).__name__}: the costs are not known; pass costs= to the constructor, "
                "if all instances share them, or here"
            )
        return spread(known, n)
