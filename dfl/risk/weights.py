"""How much instances of the past tell about a new one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self, final

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_array, check_is_fitted

from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array

# new instances compared with all old ones at a time, so that memory stays bounded
_BLOCK = 256


class AbstractWeights(BaseEstimator, ABC):
    """Weights of old instances for each new one: not negative, and one in sum.

    A leaf writes ``_fit`` and ``_weights``.
    """

    @abstractmethod
    def _fit(self, X: Array, y: Array) -> None:
        """Learn from checked features (n, p) and outcomes (n, q)."""

    @abstractmethod
    def _weights(self, X: Array) -> Array:
        """Return weights (m, n) of the old instances for new features (m, p)."""

    def copy(self) -> Self:
        """Return an unfitted copy."""
        return clone(self)

    @final
    def fit(self, X: Any, y: Any) -> Self:
        """Remember the old instances.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features of the instances of the past.
        y : array-like of shape (n, ...)
            What happened, such as costs or demands. Only forests look at it.

        Returns
        -------
        self
            The weights themselves, fitted.
        """
        X = check_array(X, dtype=float)
        outcomes = np.asarray(y, dtype=float)
        if len(outcomes) != len(X):
            raise InvalidInputError(
                f"{type(self).__name__}: got {len(X)} rows of features and {len(outcomes)} of "
                "outcomes, expected as many of both"
            )
        self.n_features_in_ = X.shape[1]
        self._fit(X, outcomes.reshape(len(X), -1))
        return self

    @final
    def weights(self, X: Any) -> Array:
        """Return the weights of the n old instances.

        Parameters
        ----------
        X : array-like of shape (m, p)
            Features of new instances.

        Returns
        -------
        ndarray of shape (m, n)
            Weights that sum to one in each row.
        """
        check_is_fitted(self, "n_features_in_")
        X = check_array(X, dtype=float)
        if X.shape[1] != self.n_features_in_:
            raise InvalidInputError(
                f"{type(self).__name__}: got {X.shape[1]} features, expected {self.n_features_in_}"
            )
        blocks = [self._weights(X[lo : lo + _BLOCK]) for lo in range(0, len(X), _BLOCK)]
        return np.concatenate(blocks)


def squared_distances(a: Array, b: Array) -> Array:
    """Return distances (m, n) between rows (m, p) and (n, p)."""
    # written out: the shorter formula with products is inexact for points close together
    return np.square(a[:, None] - b).sum(axis=2)
