"""Order n items: the permutations of given numbers."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from dfl_solvers._sizes import read_size
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Status
from dfl_solvers.program import Program


@final
class Ranking(AbstractOracle):
    r"""Rank n items: the dearest comes first.

    Search results, priorities, leagues. The decision is the rank of each item, a permutation of
    1, ..., n, so that the highest cost has rank 1. ``Maximize(Ranking(n))`` ranks upward: the
    highest value has rank n.

    Parameters
    ----------
    n : int
        Number of items.
    weights : array-like of shape (n,), optional
        What the ranks count, instead of 1, ..., n; in any order. With the discounts
        ``1 / log2(1 + rank)``, ``Maximize(Ranking(n, discounts))`` maximizes discounted gain.

    Attributes
    ----------
    n_costs : int
        Number n of items.
    ranks : ndarray of shape (n,)
        What the ranks count, in ascending order.

    Raises
    ------
    InvalidInputError
        If n is below 1, or the weights are not n finite numbers.

    Notes
    -----
    .. math::

        \min_w c^\top w \quad \text{over all permutations } w \text{ of the weights,}

    the vertices of the permutahedron: by the rearrangement inequality the least weight meets the
    highest cost. One sort an instance, O(n log n), by NumPy, which no kernel of ours could beat. Of
    items that cost the same, the first has the least weight. Takes float64 and float32.

    With k weights of one and n - k of zero, it is ``TopK``, which is faster. In ``program``, with
    one variable for each item and rank, the decision is a linear map of an assignment.

    References
    ----------
    M. Blondel, O. Teboul, Q. Berthet, J. Djolonga. Fast differentiable sorting and ranking. ICML
    (2020). arXiv:2002.08871

    M. Rolinek, V. Musil, A. Paulus, M. Vlastelica, C. Michaelis, G. Martius. Optimizing rank-based
    metrics with blackbox differentiation. CVPR (2020). arXiv:1912.03500

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import Maximize, Ranking
    >>> scores = np.array([[0.3, 0.9, -1.0, 0.5]])
    >>> Ranking(4).solve(scores).decisions
    array([[3., 1., 4., 2.]])
    >>> Maximize(Ranking(4)).solve(scores).decisions
    array([[2., 4., 1., 3.]])
    """

    dtypes: ClassVar[tuple[type, ...]] = (np.float64, np.float32)

    def __init__(self, n: int, weights: npt.ArrayLike | None = None) -> None:
        n = read_size("Ranking", "n", n)
        if weights is not None:
            try:
                weights = np.asarray(weights, dtype=float)
            except (TypeError, ValueError) as error:
                raise InvalidInputError(f"Ranking: weights are no numbers: {error}") from error
            if weights.shape != (n,) or not np.isfinite(weights).all():
                raise InvalidInputError(
                    f"Ranking: got weights {weights}, expected {n} finite numbers, one a rank"
                )
        self.n = n
        self.weights = weights
        self.n_costs = n
        self.ranks: Array = np.arange(1.0, n + 1.0) if weights is None else np.sort(weights)

    def _solve(self, costs: Array, instance: Instance) -> tuple[Array, Status]:
        order = np.argsort(-costs, axis=1, kind="stable")
        decisions = np.empty(costs.shape, costs.dtype)
        np.put_along_axis(decisions, order, self.ranks.astype(costs.dtype)[None], axis=1)
        return decisions, Status.OPTIMAL

    def permuted(self, d: int) -> Array:
        """Return the numbers (d,) whose permutations are the decisions for d costs."""
        del d  # it is n
        return self.ranks

    def program(self, instance: Instance | None = None) -> Program:
        """Return the assignment of items to ranks as a linear program, mapped to the weights."""
        n = self.n
        each, ones = sp.eye_array(n), np.ones((1, n))
        one = np.ones(2 * n)
        return Program(
            sp.vstack([sp.kron(each, ones), sp.kron(ones, each)]),
            one,
            one,
            np.zeros(n * n),
            np.ones(n * n),
            decision_map=sp.kron(each, self.ranks[None]),
        )
