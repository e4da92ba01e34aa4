"""The Euclidean ball."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from dfl_solvers._sizes import read_size
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Instance, Status
from dfl_solvers.problems._smooth import AbstractSmoothOracle


@final
class Ball(AbstractSmoothOracle):
    """Go against the costs as far as a ball around the origin allows.

    The simplest strongly convex feasible set: decisions vary smoothly with the direction of the
    costs.

    Parameters
    ----------
    n : int, optional
        Number of coordinates; None if any number is accepted.
    radius : float, default=1.0
        Positive.

    Raises
    ------
    InvalidInputError
        If n is below one or the radius is not positive and finite.

    Notes
    -----
    ``w = -radius c / |c|``, and ``z* = -radius |c|``. For c = 0 every point is optimal; the origin
    is returned, and ``vector_jacobian_product`` returns zeros. Elsewhere it projects: with
    ``u = c / |c|``, the gradient of ``v.w`` is ``-radius (v - u (u.v)) / |c|``. The set is no
    polyhedron, so there is no ``program``.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import Ball
    >>> Ball(2).solve(np.array([[3.0, 4.0]])).decisions
    array([[-0.6, -0.8]])
    >>> Ball(2).vector_jacobian_product(np.array([[3.0, 4.0]]), np.array([[1.0, 0.0]])).round(3)
    array([[-0.128,  0.096]])
    """

    dtypes: ClassVar[tuple[type, ...]] = (np.float64, np.float32)

    def __init__(self, n: int | None = None, radius: float = 1.0) -> None:
        if n is not None:
            n = read_size("Ball", "n", n)
        if not 0 < radius < np.inf:
            raise InvalidInputError(f"Ball: got radius={radius}, expected a positive number")
        self.n = n
        self.radius = radius
        self.n_costs = n

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Status]:
        direction, _, _ = _directions(costs)
        return -self.radius * direction, Status.OPTIMAL

    def _pull_back(self, costs: Array, vectors: Array) -> Array:
        direction, largest, norm = _directions(costs)
        across = vectors - direction * np.vecdot(direction, vectors)[:, None]
        across[largest[:, 0] == 0] = 0
        with np.errstate(over="ignore"):  # costs near the smallest number have infinite gradients
            return -self.radius * across / norm / np.where(largest > 0, largest, 1)


def _directions(costs: Array) -> tuple[Array, Array, Array]:
    """Return costs (n, d) at length one, and the two numbers (n, 1) whose product was the length.

    Divided by the largest entry first, so that squares neither overflow nor vanish.
    """
    largest = np.abs(costs).max(axis=1, initial=0, keepdims=True)
    scaled = costs / np.where(largest > 0, largest, 1)
    norm = np.linalg.norm(scaled, axis=1, keepdims=True)
    norm = np.where(norm > 0, norm, 1)
    return scaled / norm, largest, norm
