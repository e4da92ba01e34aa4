"""The two-stage baseline at its best: ridge regression whose penalty is chosen by regret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, cast, final

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from dfl.estimators._folds import folds
from dfl.estimators._instance import InstanceData
from dfl.estimators._randomness import generator_of
from dfl.estimators._reading import read
from dfl.estimators._scaling import Scaling
from dfl.estimators._table import Table
from dfl.estimators._validation import held_out_regrets
from dfl.estimators.base import BaseDecisionRegressor
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Oracle
from dfl_solvers.wrappers import Counting, Counts

_ALPHAS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 0.0)


@final
class TwoStageRidgeCV(BaseDecisionRegressor):
    """Predict costs by ridge regression, then optimize; held-out regret chooses the penalty.

    Use it as the yardstick of decision-focused training: it may tune for the decision as well, but
    fits costs only. After an expansion of the features (``PolynomialFeatures`` in a ``Pipeline``)
    it is hard to beat where rows are few or noisy.

    Parameters
    ----------
    oracle : Oracle
        The problem that the predicted costs feed; ``Maximize(...)`` of it for values.
    alphas : sequence of float, optional
        Penalties to choose from, without unit: features are standardized first, and squared errors
        are averaged over the rows. Default: nine from 10 to 0, which is least squares.
    cv : int or scikit-learn splitter, default=5
        Folds; dates and groups are respected as by ``AutoDecisionRegressor``.
    random_state : int, Generator, RandomState or None
        Seeds the folds.

    Attributes
    ----------
    alpha_ : float
        The chosen penalty: the least mean regret, and the largest penalty where several have it.
    alphas_ : ndarray of shape (k,)
        Penalties, from the largest.
    regret_path_ : ndarray of shape (k, n_folds)
        Normalized regret of each penalty on each held-out fold.
    coef_ : ndarray of shape (d, p), or (p,) for 1-d costs
        In the units of the data.
    intercept_ : ndarray of shape (d,), or float
        Likewise.
    budget_ : Counts
        Oracle calls, instances solved and seconds spent in the oracle during ``fit``.
    n_features_in_ : int
        Number of features seen in ``fit``.
    cost_names_ : ndarray of str
        Names of the costs, if ``fit`` was given a data frame or a series with a name.

    See Also
    --------
    PredictThenOptimizeRegressor : Any regressor, without a choice.
    SPOPlusLinearRegressorCV : The same choice for the linear model of least SPO+ risk.

    Notes
    -----
    Minimizes ``sum_ij (c_ij - B_j x_i - b_j)^2 / n + alpha sum_jk (s_k B_jk)^2`` with the standard
    deviations s_k of the features; all penalties come from one singular value decomposition.

    References
    ----------
    Hoerl & Kennard, "Ridge Regression", Technometrics 12, 1970, doi 10.1080/00401706.1970.10488634.

    Examples
    --------
    >>> from dfl import TwoStageRidgeCV
    >>> from dfl.datasets import make_shortest_path
    >>> data = make_shortest_path(60, grid=(3, 3), noise=0.5, random_state=0)
    >>> model = TwoStageRidgeCV(data.oracle, cv=3, random_state=0).fit(data.X, data.C)
    >>> model.regret_path_.shape, model.alpha_ in model.alphas_
    ((9, 3), True)
    """

    budget_: Counts

    def __init__(
        self,
        oracle: Oracle | None = None,
        *,
        alphas: Sequence[float] | None = None,
        cv: Any = 5,
        random_state: Any = None,
    ) -> None:
        self.oracle = oracle
        self.alphas = alphas
        self.cv = cv
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        groups: Any = None,
        instance: InstanceData | None = None,
    ) -> Self:
        """Choose the penalty, then fit on all rows.

        Parameters
        ----------
        X : array-like of shape (n, p), or (n_rows, p) for long data
            Features.
        y : array-like of shape (n, d), or (n_rows,) for long data
            Costs (values, for a maximizing oracle).
        sample_weight : array-like of shape (n,), optional
            What each instance counts, in the squared error and in the choice. One per instance for
            long data too, in the order of ``instance``.
        groups : array-like, optional
            With 1-d y: long data, and the instance each row belongs to. With 2-d y: instances with
            the same label fall into the same fold.
        instance : mapping of str to ndarray, data frame or structured array, optional
            Per-instance data of the oracle, each array with leading n.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or y has NaN or infinite entries, or lengths differ.
        InvalidInputError
            If a width does not fit the oracle, a penalty is negative, or there are fewer instances
            than folds.
        InfeasibleError, UnboundedError
            If an instance has no optimal decision; it is named.
        """
        oracle = Counting(self._checked_oracle())
        table = read(self, X, y, sample_weight=sample_weight, groups=groups, instance=instance)
        alphas = np.asarray(_ALPHAS if self.alphas is None else self.alphas, float)
        if alphas.ndim != 1 or not len(alphas) or not (np.isfinite(alphas) & (alphas >= 0)).all():
            raise InvalidInputError(
                f"got alphas={self.alphas!r}, expected a sequence of numbers from 0"
            )
        alphas = np.sort(alphas)[::-1]
        columns = []
        for train, held in folds(table, self.cv, generator_of(self.random_state)):
            own, truth = table.instance_of(held), table.truth[held]
            predicted = (
                (table.inputs[held] @ coef.T + intercept).reshape(truth.shape)
                for coef, intercept in _ridge(table, train, alphas)
            )
            columns.append(held_out_regrets(oracle, predicted, truth, own, table.weights_of(held)))
        self.alphas_ = alphas
        self.regret_path_ = np.array(columns).T
        self.alpha_ = float(alphas[self.regret_path_.mean(axis=1).argmin()])
        ((coef, intercept),) = _ridge(table, np.arange(len(table.inputs)), np.array([self.alpha_]))
        self.coef_ = coef[0] if table.one_output else coef
        self.intercept_ = float(intercept[0]) if table.one_output else intercept
        self.budget_ = oracle.counts
        return self

    def predict(self, X: Any) -> Array:
        """Predict costs.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.

        Returns
        -------
        ndarray of shape (n, d), or (n,) if ``fit`` was given 1-d costs
            Costs in the units of those given to ``fit``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return X @ self.coef_.T + self.intercept_


def _ridge(table: Table, rows: Array, alphas: Array) -> list[tuple[Array, Array]]:
    """Return coefficients (d, p) and intercept (d,) for each penalty."""
    X = table.features(rows)
    costs = cast(Array, table.costs(rows)).reshape(len(X), -1)
    weights = table.row_weights(rows)
    if weights is not None and not weights.any():
        raise InvalidInputError("the sample weights of all instances to train on are zero")
    scaling, center = Scaling.of(X, None, 1, weights), np.average(costs, axis=0, weights=weights)
    root = np.ones((len(X), 1)) if weights is None else np.sqrt(weights)[:, None]
    left, singular, right = np.linalg.svd(root * scaling.features(X), full_matrices=False)
    # directions that rounding alone has made get no weight, as in least squares of least norm
    known = singular > max(X.shape) * np.finfo(float).eps * singular.max(initial=0.0)
    left, singular, right = left[:, known], singular[known], right[known]
    projected, total = left.T @ (root * (costs - center)), float(root[:, 0] @ root[:, 0])
    found = []
    for alpha in alphas:
        shrunk = (singular / (singular**2 + total * alpha))[:, None] * projected
        coef = (right.T @ shrunk).T / scaling.scale
        found.append((coef, center - coef @ scaling.mean))
    return found
