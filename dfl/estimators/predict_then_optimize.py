"""The two-stage baseline."""

from __future__ import annotations

from typing import Any, Self, final

import numpy as np
from sklearn.base import RegressorMixin, clone
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    has_fit_parameter,
    validate_data,
)

from dfl.estimators._instance import InstanceData
from dfl.estimators._long import LongLayout, as_labels
from dfl.estimators._names import learn_names
from dfl.estimators._validated import validated
from dfl.estimators.base import BaseDecisionRegressor
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Oracle


@final
class PredictThenOptimizeRegressor(BaseDecisionRegressor):
    """Predict costs with any scikit-learn regressor, then optimize: the two-stage baseline.

    Use it first, and keep it as the yardstick: where a linear model is well specified or data are
    few and noisy, it is often the better choice.

    Parameters
    ----------
    oracle : Oracle
        The problem that the predicted costs feed.
    regressor : scikit-learn regressor, optional
        Fitted on costs, cloned first. Default: ordinary least squares.

    Attributes
    ----------
    regressor_ : scikit-learn regressor
        The fitted clone.
    n_features_in_ : int
        Number of features seen in ``fit``.
    cost_names_ : ndarray of str
        Names of the costs, if ``fit`` was given a data frame or a series with a name.

    References
    ----------
    Elmachtoub & Grigas, "Smart 'Predict, then Optimize'", arXiv 1710.08005.

    Examples
    --------
    >>> from dfl import PredictThenOptimizeRegressor
    >>> from dfl.datasets import make_shortest_path
    >>> data = make_shortest_path(200, random_state=0)
    >>> model = PredictThenOptimizeRegressor(data.oracle).fit(data.X, data.C)
    >>> bool(model.score(data.X, data.C) > 0.99)
    True
    """

    def __init__(
        self, oracle: Oracle | None = None, regressor: RegressorMixin | None = None
    ) -> None:
        self.oracle = oracle
        self.regressor = regressor

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        groups: Any = None,
        instance: InstanceData | None = None,
    ) -> Self:
        """Fit the regressor on costs; the oracle plays no part in it.

        Parameters
        ----------
        X : array-like of shape (n, p), or (n_rows, p) for long data
            Features.
        y : array-like of shape (n, d), or (n_rows,) for long data
            Costs (values, for a maximizing oracle).
        sample_weight : array-like of shape (n,), optional
            What each instance counts, for a regressor that takes weights. One per instance for long
            data too, in the order of their dates, else of their first appearance.
        groups : array-like, optional
            Long data: the instance each row belongs to; every row is a sample of the regressor.
        instance : mapping, optional
            Accepted so that both estimators are called alike; costs do not depend on it.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or y has NaN or infinite entries, or lengths differ.
        InvalidInputError
            If there is no oracle, y has another width than the oracle's costs, or the regressor
            takes no weights.
        """
        del instance
        self._checked_oracle()
        if isinstance(self.regressor, str | type):
            raise InvalidInputError(
                f"got regressor={self.regressor!r}, expected a scikit-learn regressor, such as "
                "sklearn.linear_model.Ridge()"
            )
        learn_names(self, y)
        X, y = validated(self, X, y)
        if groups is None or y.ndim == 2:
            self._check_width(1 if y.ndim == 1 else y.shape[1], "costs")
        if groups is not None:
            as_labels(groups, len(X))
        from sklearn.linear_model import LinearRegression  # imported late: it is slow to import

        regressor = LinearRegression() if self.regressor is None else clone(self.regressor)
        weights = self._row_weights(sample_weight, X, y, groups)
        if weights is None:
            self.regressor_ = regressor.fit(X, y)
        elif has_fit_parameter(regressor, "sample_weight"):
            self.regressor_ = regressor.fit(X, y, sample_weight=weights)
        else:
            raise InvalidInputError(
                f"got sample_weight, but fit of {type(regressor).__name__} takes none"
            )
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
        return self.regressor_.predict(X)

    def _row_weights(self, sample_weight: Any, X: Array, y: Array, groups: Any) -> Array | None:
        """Return what each row of X counts; None if all count the same."""
        if sample_weight is None:
            return None
        long = groups is not None and y.ndim == 1
        layout = LongLayout(groups, len(X), self._checked_oracle()) if long else None
        weights: Array = _check_sample_weight(
            sample_weight,
            X if layout is None else layout.labels,
            dtype=np.float64,
            ensure_non_negative=True,
        )
        if layout is None:
            return weights
        return layout.scatter(np.repeat(weights[:, None], layout.width, axis=1))
