"""The two-stage baseline for constraints: any regressor, and a margin chosen by regret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, final

import numpy as np
from sklearn.base import RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from dfl.estimators._folds import folds
from dfl.estimators._instance import InstanceData
from dfl.estimators._randomness import generator_of
from dfl.estimators._table import Table
from dfl.estimators.base import check_oracle_given
from dfl.estimators.constraint_base import BaseConstraintRegressor, Judge
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Oracle
from dfl_solvers.recourse.base import AbstractRecourse
from dfl_solvers.wrappers import Counting, Counts

_MARGINS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 2.0)


@final
class TwoStageConstraintRegressor(BaseConstraintRegressor):
    """Predict constraints with any scikit-learn regressor, times a margin that regret chooses.

    Use it first, and keep it as the yardstick of ``ConstraintRegressor``. Expected numbers are
    seldom the best to decide by where it is dearer to miss a constraint than to be on the safe
    side; a factor for all of them, chosen by held-out post-hoc regret, is what practice does about
    it.

    Parameters
    ----------
    oracle, predicts, recourse, costs, positions
        As for ``ConstraintRegressor``.
    regressor : scikit-learn regressor, optional
        Fitted on the numbers of the constraint, cloned first. Default: ordinary least squares.
    margins : sequence of float, optional
        Factors to choose from. Default: eleven from 0.5 to 2. One alone is taken without a choice:
        ``(1.0,)`` is plain predict-then-optimize.
    cv : int or scikit-learn splitter, default=5
        Folds; a date index of X is respected as by ``AutoDecisionRegressor``.
    random_state : int, Generator, RandomState or None
        Seeds the folds.

    Attributes
    ----------
    margin_ : float
        The chosen factor: the least mean regret, and that nearest to 1 where several have it.
    margins_ : ndarray of shape (k,)
        Factors, in order.
    regret_path_ : ndarray of shape (k, n_folds)
        Normalized post-hoc regret of each factor on each held-out fold; no folds without a choice.
    regressor_ : scikit-learn regressor
        The clone that was fitted on all rows.
    budget_ : Counts
        Oracle calls, instances solved and seconds spent in the oracle during ``fit``.
    n_features_in_ : int
        Number of features seen in ``fit``.

    See Also
    --------
    ConstraintRegressor : Trained for the decision.
    PredictThenOptimizeRegressor : For predicted costs.

    References
    ----------
    Hu, Lee & Lee, arXiv 2209.03668, for post-hoc regret.

    Examples
    --------
    >>> from dfl import TwoStageConstraintRegressor
    >>> from dfl.datasets import make_knapsack_weights
    >>> from dfl_solvers import Discard
    >>> data = make_knapsack_weights(100, n_items=8, random_state=0)
    >>> model = TwoStageConstraintRegressor(
    ...     data.oracle, "weights", Discard(drop=3.0), data.costs, random_state=0
    ... )
    >>> model.fit(data.X, data.y).margin_ > 1  # it is dear to leave out what was chosen
    True
    """

    budget_: Counts

    def __init__(
        self,
        oracle: Oracle | None = None,
        predicts: str = "weights",
        recourse: AbstractRecourse | None = None,
        costs: Any = None,
        *,
        positions: Sequence[int] | None = None,
        regressor: RegressorMixin | None = None,
        margins: Sequence[float] | None = None,
        cv: Any = 5,
        random_state: Any = None,
    ) -> None:
        self.oracle = oracle
        self.predicts = predicts
        self.recourse = recourse
        self.costs = costs
        self.positions = positions
        self.regressor = regressor
        self.margins = margins
        self.cv = cv
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        costs: Any = None,
        instance: InstanceData | None = None,
    ) -> Self:
        """Choose the margin on folds, then fit the regressor on all rows.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.
        y : array-like of shape (n, q), or (n,) for one number
            True numbers of the constraint.
        sample_weight : array-like of shape (n,), optional
            What each instance counts, for the regressor, which must take weights, and in the
            choice.
        costs : array-like of shape (n, d) or (d,), optional
            Known costs (values, for a maximizing oracle). Default: those of the constructor.
        instance : mapping of str to ndarray, data frame or structured array, optional
            Other data of the instances, each array with leading n.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or y has NaN or infinite entries, or lengths differ.
        InvalidInputError
            If a width does not fit the oracle, a margin is not positive, or there are too few
            instances to choose one.
        InfeasibleError
            If an instance has no decision, or cannot be corrected; it is named.
        """
        margins = np.asarray(_MARGINS if self.margins is None else self.margins, dtype=float)
        if (
            margins.ndim != 1
            or not len(margins)
            or not (np.isfinite(margins) & (margins > 0)).all()
        ):
            raise InvalidInputError(
                f"got margins={self.margins!r}, expected a sequence of positive numbers"
            )
        table, known = self._read(X, y, sample_weight, costs, instance)
        oracle = Counting(check_oracle_given(self, self.oracle))
        margins = np.sort(margins)
        paths = []
        rng = generator_of(self.random_state)
        for train, held in folds(table, self.cv, rng) if len(margins) > 1 else ():
            predicted = _predicted(self._fitted(table, train), table.inputs[held])
            judge = Judge.of_rows(self, oracle, table, known, held)
            paths.append([judge.normalized(margin * predicted) for margin in margins])
        self.margins_ = margins
        self.regret_path_ = np.array(paths).reshape(-1, len(margins)).T
        means = self.regret_path_.mean(axis=1) if paths else np.zeros(1)
        best = np.flatnonzero(means == means.min())
        self.margin_ = float(margins[best[np.abs(np.log(margins[best])).argmin()]])
        self.regressor_ = self._fitted(table, np.arange(len(known)))
        self._one_output = table.one_output
        self.budget_ = oracle.counts
        return self

    def predict(self, X: Any) -> Array:
        """Predict numbers of the constraint, times the margin.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.

        Returns
        -------
        ndarray of shape (n, q), or (n,) if ``fit`` was given a 1-d y
            Numbers in the units of those given to ``fit``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        numbers = self.margin_ * _predicted(self.regressor_, X)
        return self._narrow(numbers)

    def _fitted(self, table: Table, rows: Array) -> Any:
        from sklearn.linear_model import LinearRegression  # imported late: it is slow to import

        regressor = LinearRegression() if self.regressor is None else clone(self.regressor)
        weights = {} if table.weights is None else {"sample_weight": table.weights[rows]}
        truth = table.truth[rows]
        # regressors that learn one number want a vector
        return regressor.fit(
            table.inputs[rows], truth[:, 0] if truth.shape[1] == 1 else truth, **weights
        )


def _predicted(regressor: Any, X: Array) -> Array:
    numbers = np.asarray(regressor.predict(X))
    return numbers[:, None] if numbers.ndim == 1 else numbers
