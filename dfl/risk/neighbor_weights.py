"""Weights of the nearest instances."""

from __future__ import annotations

from typing import final

import numpy as np
from sklearn.preprocessing import StandardScaler

from dfl._validation import check_at_least
from dfl.risk.weights import AbstractWeights, squared_distances
from dfl_solvers.oracle import Array


@final
class NeighborWeights(AbstractWeights):
    """The nearest old instances count, all the same.

    Parameters
    ----------
    n_neighbors : int, default=30
        How many; all, if there are fewer.

    Raises
    ------
    InvalidInputError
        By ``fit``, if ``n_neighbors`` is not positive.

    Notes
    -----
    Distances are Euclidean between standardized features; ties go to the earlier instances.

    References
    ----------
    D. Bertsimas, N. Kallus. From Predictive to Prescriptive Analytics. Management Science 66
    (2020). arXiv:1402.5481

    Examples
    --------
    >>> from dfl.risk import NeighborWeights
    >>> weights = NeighborWeights(2).fit([[0.0], [1.0], [5.0]], [1.0, 2.0, 3.0])
    >>> weights.weights([[0.2]])
    array([[0.5, 0.5, 0. ]])
    """

    def __init__(self, n_neighbors: int = 30) -> None:
        self.n_neighbors = n_neighbors

    def _fit(self, X: Array, y: Array) -> None:
        del y
        check_at_least(1, self, n_neighbors=self.n_neighbors)
        self._scaler = StandardScaler().fit(X)
        self._old = self._scaler.transform(X)

    def _weights(self, X: Array) -> Array:
        distances = squared_distances(self._scaler.transform(X), self._old)
        k = min(self.n_neighbors, len(self._old))
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
        weights = np.zeros(distances.shape)
        np.put_along_axis(weights, nearest, 1 / k, axis=1)
        return weights
