"""What every estimator of this package shares: decide and score."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, overload

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
)

from dfl import metrics
from dfl.estimators._instance import InstanceData, as_instance
from dfl.estimators._long import LongLayout
from dfl.estimators._names import named
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Instance, Oracle, minimizing

if TYPE_CHECKING:
    from torch import Tensor, nn


Decided = TypeVar("Decided", covariant=True)


class DecisionRule(Protocol[Decided]):
    """How to decide under risk, as the rules of ``dfl.risk`` do."""

    def decide(
        self,
        estimator: BaseDecisionRegressor,
        X: Any,
        *,
        groups: Any = None,
        instance: InstanceData | None = None,
    ) -> Decided:
        """Decide in place of the estimator."""
        ...


class BaseDecisionEstimator(BaseEstimator, ABC):
    """Learn to decide: what regressors of costs and optimizers of policies share.

    A subclass writes ``fit``, ``decide`` and ``score``. What it learned ends in an underscore:
    ``history_``, an entry an epoch, and ``budget_``, what it spent, among it.
    """

    @abstractmethod
    def decide(self, X: Any, /) -> Any:
        """Decide for each of n inputs."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the fitted estimator to a folder, without pickle.

        Parameters
        ----------
        path : path
            The folder; an older model there is replaced, anything else is left alone.

        Raises
        ------
        NotFittedError
            If the estimator was not fitted.
        InvalidInputError
            If the path exists and is no model's folder.
        UnsupportedError
            If its oracle holds code of your own, such as ``FromCallable``.

        See Also
        --------
        dfl.load : The way back.

        Notes
        -----
        Values go to ``model.json``, arrays and weights to ``weights.safetensors``, an oracle to
        ``oracle.npz``, scikit-learn's estimators to ``.skops`` files; checksums tell changes. The
        state of the optimizer is kept, so that ``partial_fit`` of the loaded estimator does what it
        would have done. Code is not stored: of a loss, a splitter, a generator or a predictor that
        is an object, ``get_params`` of the loaded estimator holds the description only, which
        ``fit`` refuses by name. Requests of metadata routing are to be made again.
        """
        check_is_fitted(self)
        from dfl.estimators.files import save  # it imports this module's subclasses

        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], predictor: nn.Module | None = None) -> Self:
        """Load what ``save`` saved; see ``dfl.load``.

        Raises
        ------
        InvalidInputError
            Also if the folder holds an estimator of another class.
        """
        from dfl.estimators.files import load

        estimator = load(path, predictor)
        if not isinstance(estimator, cls):
            raise InvalidInputError(
                f"{os.fspath(path)} holds a {type(estimator).__name__}, expected a {cls.__name__}"
            )
        return estimator

    def _module(self, weights: dict[str, Tensor]) -> nn.Module | None:
        """Return a module that saved weights fit, made from parameters; None if it is a user's."""
        return None


class BaseDecisionRegressor(MultiOutputMixin, RegressorMixin, BaseDecisionEstimator, ABC):
    """Predict costs, decide by the oracle, be judged by regret.

    A subclass has an attribute ``oracle`` and writes ``fit`` and ``predict``.
    """

    oracle: Oracle | None

    @abstractmethod
    def predict(self, X: Any) -> Array:
        """Predict costs, one row per row of X."""

    @overload
    def decide(
        self, X: Any, *, groups: Any = ..., instance: InstanceData | None = ..., risk: None = None
    ) -> Array: ...

    @overload
    def decide(
        self,
        X: Any,
        *,
        groups: Any = ...,
        instance: InstanceData | None = ...,
        risk: DecisionRule[Decided],
    ) -> Decided: ...

    def decide(
        self,
        X: Any,
        *,
        groups: Any = None,
        instance: InstanceData | None = None,
        risk: DecisionRule[Decided] | None = None,
    ) -> Array | Decided:
        """Decide: predict the costs and solve.

        Parameters
        ----------
        X : array-like of shape (n, p), or (n_rows, p) with ``groups``
            Features.
        groups : array-like of shape (n_rows,), optional
            Long data: the instance each row belongs to.
        instance : mapping of str to ndarray, data frame or structured array, optional
            Per-instance data of the oracle, each array with leading n. With ``groups``,
            instances are in the order of their dates, else of their first appearance.
        risk : rule of dfl.risk, optional
            Calibrated for this estimator: ``ConformalBox``, ``CVaR`` and others decide otherwise,
            and say what to expect.

        Returns
        -------
        ndarray of shape (n, d), or (n_rows,) for long data and 1-d costs
            Optimal decisions for the predicted costs. If X is a data frame, and the costs that
            ``fit`` was given had names, a data frame (a series, for 1-d costs) with the index of X
            and these names. With ``risk``, a ``dfl.risk.RiskDecision``: decisions, what they are
            expected to cost, and an interval.
        """
        if risk is not None:
            if not hasattr(risk, "decide"):
                raise InvalidInputError(
                    f"got risk={risk!r}, expected a calibrated rule of dfl.risk, such as CVaR(0.9)"
                )
            return risk.decide(self, X, groups=groups, instance=instance)
        predicted, instance = self.predict(X), as_instance(instance)
        oracle = self._checked_oracle()
        if groups is None:
            wide = self._wide(predicted)
            decisions = oracle.solve(wide, instance).decisions.reshape(predicted.shape)
        else:
            layout = LongLayout(groups, len(predicted), oracle)
            solution = oracle.solve(layout.gather(predicted), with_mask(instance, layout))
            decisions = layout.scatter(solution.decisions)
        return named(decisions, self, X)

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        groups: Any = None,
        instance: InstanceData | None = None,
    ) -> float:
        """Score decisions: one minus the normalized regret, so that 1 is perfect.

        Parameters
        ----------
        X : array-like of shape (n, p), or (n_rows, p) with ``groups``
            Features.
        y : array-like of shape (n, d), or (n_rows,) with ``groups``
            True costs.
        sample_weight : array-like of shape (n,), optional
            What each instance counts in both sums.
        groups, instance
            As in ``decide``.

        Returns
        -------
        float
            ``1 - sum(regret) / sum(|z*|)``. Where the optimal objectives are all zero and the ratio
            is not defined: 1 for no regret, else 0, as scikit-learn does for a constant target.

        Raises
        ------
        InvalidInputError
            If widths do not fit the oracle.
        """
        regret, optimal = self.evaluate(X, y, groups=groups, instance=instance)
        return score_of(regret, optimal, sample_weight)

    def evaluate(
        self, X: Any, y: Any, *, groups: Any = None, instance: InstanceData | None = None
    ) -> tuple[Array, Array]:
        """Judge decisions instance by instance, for intervals and paired comparisons.

        Parameters
        ----------
        X : array-like of shape (n, p), or (n_rows, p) with ``groups``
            Features.
        y : array-like of shape (n, d), or (n_rows,) with ``groups``
            True costs.
        groups, instance
            As in ``decide``.

        Returns
        -------
        regret : ndarray of shape (n,)
            What the decisions cost more than the best ones, never negative.
        optimal : ndarray of shape (n,)
            Objectives of the best decisions, in the oracle's own sense.

        Raises
        ------
        InvalidInputError
            If widths do not fit the oracle.
        """
        predicted, instance = self.predict(X), as_instance(instance)
        y = np.asarray(y, dtype=float)
        check_consistent_length(predicted, y)
        oracle = self._checked_oracle()
        if groups is None:
            predicted, y = self._wide(predicted), self._wide(y)
        else:
            layout = LongLayout(groups, len(predicted), oracle)
            predicted, y = layout.gather(predicted), layout.gather(y)
            instance = with_mask(instance, layout)
        optimal = metrics.optimal_objectives(oracle, y, instance=instance)
        regret = metrics.regret(oracle, predicted, y, instance=instance, optimal=optimal)
        return regret, optimal

    def _checked_oracle(self) -> Oracle:
        return check_oracle_given(self, self.oracle)

    def _wide(self, values: Array) -> Array:
        """Return costs as (n, d), for an oracle of d costs."""
        wide = values[:, None] if values.ndim == 1 else values
        self._check_width(wide.shape[1], "costs")
        return wide

    def _check_width(self, n_costs: int, what: str) -> None:
        oracle = self._checked_oracle()
        if oracle.n_costs is not None and n_costs != oracle.n_costs:
            problem = type(minimizing(oracle)[0]).__name__
            hint = "; long data, a row per item, need groups=" if n_costs == 1 else ""
            raise InvalidInputError(
                f"{type(self).__name__}: got {n_costs} {what} per row, expected {oracle.n_costs}, "
                f"the number of costs of the {problem}{hint}"
            )


def check_oracle_given(estimator: BaseDecisionEstimator, oracle: Oracle | None) -> Oracle:
    """Refuse an estimator without an oracle."""
    if isinstance(oracle, type) or not hasattr(oracle, "solve"):
        function = callable(oracle) and not isinstance(oracle, type)
        hint = "; FromCallable(function, n_costs) makes one of a function" if function else ""
        raise InvalidInputError(
            f"{type(estimator).__name__} needs an oracle: got oracle={oracle!r}, expected the "
            f"problem that the predictions feed, such as dfl_solvers.GridShortestPath(5, 5){hint}"
        )
    return oracle  # type: ignore[return-value]


def read_weights(sample_weight: Any, instances: Array) -> Array | None:
    """Return checked weights (n,), one an instance; None if none are given."""
    if sample_weight is None:
        return None
    return _check_sample_weight(
        sample_weight, instances, dtype=np.float64, ensure_non_negative=True
    )


def score_of(regret: Array, optimal: Array, sample_weight: Any) -> float:
    """Return one minus the normalized regret; see ``BaseDecisionRegressor.score``."""
    weights = read_weights(sample_weight, regret)
    if weights is not None:
        regret, optimal = weights * regret, weights * optimal
    if not np.abs(optimal).sum() > 0:
        return float(not regret.any())
    return 1.0 - metrics.normalize(regret, optimal)


def with_mask(instance: Instance | None, layout: LongLayout) -> Instance | None:
    """Add the mask of padded long data to the instance data."""
    if layout.mask is None:
        return instance
    return {**(instance or {}), "mask": layout.mask}
