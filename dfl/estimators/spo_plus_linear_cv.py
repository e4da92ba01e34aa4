"""The linear model of least SPO+ risk, with the penalty chosen by regret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self, final

import numpy as np
from sklearn.model_selection import check_cv
from sklearn.utils.validation import check_is_fitted, validate_data

from dfl.estimators._instance import InstanceData, as_instance
from dfl.estimators._reading import read
from dfl.estimators._validation import held_out_regrets
from dfl.estimators.base import BaseDecisionRegressor
from dfl.estimators.spo_plus_linear import SPOPlusLinearRegressor
from dfl_solvers.oracle import Array, Oracle
from dfl_solvers.wrappers import Counting

_ALPHAS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


@final
class SPOPlusLinearRegressorCV(BaseDecisionRegressor):
    """Linear costs of least SPO+ risk; the weight of the penalty is chosen by held-out regret.

    Use it where rows are few and the exact minimum of the risk would overfit. Each fold walks one
    regularization path, which costs little more than a fit; ``GridSearchCV`` over ``alpha`` finds
    the same with a fit a weight.

    Parameters
    ----------
    oracle : Oracle
        The problem that the predicted costs feed; ``Maximize(...)`` of it for values.
    penalty : {"l2", "l1"}, default="l2"
    alphas : sequence of float, optional
        Weights to choose from; 0 is allowed. Default: powers of ten from 1 to 1e-5.
    cv : int or scikit-learn splitter, optional
        Default: five folds. For dated rows ``TimeSeriesSplit()``.
    tol, max_iter
        As in ``SPOPlusLinearRegressor``.

    Attributes
    ----------
    alpha_ : float
        The chosen weight: the least mean regret, and the largest weight where several have it.
    alphas_ : ndarray of shape (k,)
        Weights, from the largest.
    regret_path_ : ndarray of shape (k, n_folds)
        Normalized regret of each weight on each held-out fold.
    coef_, intercept_, objective_, duality_gap_, n_iter_
        Of the fit on all rows with ``alpha_``; see ``SPOPlusLinearRegressor``.
    budget_ : Counts
        Oracle calls, instances solved and seconds spent in the oracle during ``fit``, the folds
        included.
    n_features_in_ : int
        Number of features seen in ``fit``.
    cost_names_ : ndarray of str
        Names of the costs, if ``fit`` was given a data frame or a series with a name.

    See Also
    --------
    SPOPlusLinearRegressor : One weight; what the penalty is, exactly.

    References
    ----------
    Elmachtoub & Grigas, "Smart 'Predict, then Optimize'", Management Science 2022,
    arXiv 1710.08005 (penalty weights chosen by held-out regret).

    Examples
    --------
    >>> from dfl import SPOPlusLinearRegressorCV
    >>> from dfl.datasets import make_shortest_path
    >>> data = make_shortest_path(60, grid=(3, 3), noise=0.5, random_state=0)
    >>> model = SPOPlusLinearRegressorCV(data.oracle, alphas=[1.0, 0.1, 0.01], cv=3)
    >>> model.fit(data.X, data.C).regret_path_.shape
    (3, 3)
    """

    def __init__(
        self,
        oracle: Oracle | None = None,
        *,
        penalty: Literal["l1", "l2"] = "l2",
        alphas: Sequence[float] | None = None,
        cv: Any = None,
        tol: float = 1e-6,
        max_iter: int = 100,
    ) -> None:
        self.oracle = oracle
        self.penalty = penalty
        self.alphas = alphas
        self.cv = cv
        self.tol = tol
        self.max_iter = max_iter

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        groups: Any = None,
        instance: InstanceData | None = None,
    ) -> Self:
        """Choose the weight of the penalty, then fit on all rows.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.
        y : array-like of shape (n, d), or (n,) for one cost
            Costs (values, for a maximizing oracle).
        sample_weight : array-like of shape (n,), optional
            Weights of the rows, in the risk and in the held-out regret.
        groups : array-like of shape (n,), optional
            For a splitter that keeps groups together.
        instance : mapping of str to ndarray, data frame or structured array, optional
            Per-instance data of the oracle, each array with leading n.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError, InvalidInputError, InfeasibleError, UnboundedError
            As in ``SPOPlusLinearRegressor.fit``.
        """
        oracle, instance = Counting(self._checked_oracle()), as_instance(instance)
        table = read(self, X, y, sample_weight=sample_weight, instance=instance)
        X, costs = table.inputs, table.truth
        weights = np.ones(len(X)) if table.weights is None else table.weights
        fields = {name: np.asarray(value) for name, value in (instance or {}).items()}
        alphas = np.sort(np.asarray(_ALPHAS if self.alphas is None else self.alphas, float))[::-1]
        model = SPOPlusLinearRegressor(
            oracle, penalty=self.penalty, tol=self.tol, max_iter=self.max_iter
        )
        columns = []
        for train, held in check_cv(self.cv).split(X, costs, groups):
            own = {name: value[train] for name, value in fields.items()}
            path = model.path(X[train], costs[train], alphas, weights[train], instance=own)
            own = {name: value[held] for name, value in fields.items()}
            predicted = np.einsum("np,kdp->knd", X[held], path.coefs) + path.intercepts[:, None]
            columns.append(held_out_regrets(oracle, predicted, costs[held], own, weights[held]))
        self.alphas_ = alphas
        self.regret_path_ = np.array(columns).T
        self.alpha_ = float(alphas[self.regret_path_.mean(axis=1).argmin()])
        model.set_params(alpha=self.alpha_).fit(
            X, costs[:, 0] if table.one_output else costs, sample_weight, instance=instance
        )
        for name in ("coef_", "intercept_", "objective_", "duality_gap_", "n_iter_"):
            setattr(self, name, getattr(model, name))
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
