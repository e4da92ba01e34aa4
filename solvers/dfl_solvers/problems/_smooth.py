"""What the sets with differentiable decisions share."""

from __future__ import annotations

from abc import abstractmethod
from typing import final

import numpy as np

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import kernel
from dfl_solvers.oracle import AbstractOracle, Array


class AbstractSmoothOracle(AbstractOracle):
    """Base of oracles whose decision is a differentiable function of the costs.

    A leaf writes ``_solve`` and ``_pull_back``.
    """

    @abstractmethod
    def _pull_back(self, costs: Array, vectors: Array) -> Array:
        """Gradient (n, d) of ``vectors . w*(costs)`` for checked float64 arrays, n >= 1."""

    @final
    def vector_jacobian_product(self, costs: Array, vectors: Array) -> Array:
        """Gradient of ``vectors . w*(costs)`` with respect to the costs, the vectors held fixed.

        It carries the derivative of any function of the decisions back to the costs.

        Parameters
        ----------
        costs : ndarray of shape (n, d)
            One cost vector a row; finite.
        vectors : ndarray of shape (n, d)
            Derivatives of that function by the decisions, one row an instance; finite.

        Returns
        -------
        ndarray of shape (n, d)
            In float64. Zeros where the decision is not differentiable, as for costs that are all
            equal or all zero; the notes of the class say where.

        Raises
        ------
        InvalidInputError
            If the two shapes differ or a number is not finite.
        """
        name = f"{type(self).__name__}.vector_jacobian_product"
        costs = self._check_costs(costs).astype(float, copy=False)
        try:
            vectors = np.asarray(vectors, dtype=float)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"{name}: vectors are no numbers: {error}") from error
        if vectors.shape != costs.shape:
            raise InvalidInputError(
                f"{name}: got vectors of shape {vectors.shape}, expected {costs.shape}, "
                "the shape of the costs"
            )
        wrong = np.argwhere(~np.isfinite(vectors))
        if len(wrong):
            row, column = wrong[0]
            raise InvalidInputError(
                f"{name}: got {vectors[row, column]} in the vectors at instance {row}, "
                f"coordinate {column}; expected finite numbers"
            )
        if not len(costs):
            return np.zeros(costs.shape)
        return self._pull_back(np.ascontiguousarray(costs), np.ascontiguousarray(vectors))


@kernel
def spread(costs: Array, x: Array) -> tuple[float, float]:
    """Write costs to x, shifted and scaled to [0, 1]; return the two numbers to divide x by.

    In two steps, since the range of finite costs may overflow. A second number of zero says that
    the costs are all equal.
    """
    largest = 0.0
    least = np.inf
    for j in range(len(costs)):
        largest = max(largest, abs(costs[j]))
        least = min(least, costs[j])
    if largest == 0.0:
        return 1.0, 0.0
    least /= largest
    span = 0.0
    for j in range(len(costs)):
        x[j] = costs[j] / largest - least
        span = max(span, x[j])
    if span > 0.0:
        for j in range(len(costs)):
            x[j] /= span
    return largest, span
