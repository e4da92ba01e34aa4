"""Weights that fall with the distance."""

from __future__ import annotations

from typing import final

import numpy as np
from sklearn.preprocessing import StandardScaler

from dfl.exceptions import InvalidInputError
from dfl.risk.weights import AbstractWeights, squared_distances
from dfl_solvers.oracle import Array


@final
class KernelWeights(AbstractWeights):
    r"""All old instances count, those close by more.

    Parameters
    ----------
    bandwidth : float, optional
        In standard deviations of the features. Default: ``n ** (-1 / (p + 4))`` for n instances and
        p features.

    Raises
    ------
    InvalidInputError
        By ``fit``, if ``bandwidth`` is not positive.

    Notes
    -----
    Weights are proportional to :math:`\exp(-\|x - x_i\|^2 / (2 p b^2))` for standardized features:
    distances grow with the number p of features, and with them what is close. Far from all old
    instances the nearest one counts most.

    References
    ----------
    D. Bertsimas, N. Kallus. From Predictive to Prescriptive Analytics. Management Science 66
    (2020). arXiv:1402.5481

    Examples
    --------
    >>> from dfl.risk import KernelWeights
    >>> weights = KernelWeights(0.5).fit([[0.0], [1.0], [5.0]], [1.0, 2.0, 3.0])
    >>> weights.weights([[0.2]]).round(2)
    array([[0.56, 0.44, 0.  ]])
    """

    def __init__(self, bandwidth: float | None = None) -> None:
        self.bandwidth = bandwidth

    def _fit(self, X: Array, y: Array) -> None:
        del y
        if self.bandwidth is not None and not self.bandwidth > 0:
            raise InvalidInputError(
                f"KernelWeights: got bandwidth={self.bandwidth!r}, expected a positive number"
            )
        n, p = X.shape
        self.bandwidth_ = n ** (-1 / (p + 4)) if self.bandwidth is None else self.bandwidth
        self._scaler = StandardScaler().fit(X)
        self._old = self._scaler.transform(X)

    def _weights(self, X: Array) -> Array:
        distances = squared_distances(self._scaler.transform(X), self._old)
        # relative to the nearest one, so that not all of them vanish
        nearest = distances.min(axis=1, keepdims=True)
        weights = np.exp((nearest - distances) / (2 * X.shape[1] * self.bandwidth_**2))
        return weights / weights.sum(axis=1, keepdims=True)
