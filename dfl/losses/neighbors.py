"""Labels that hold for the neighbors of an instance too."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfl._validation import check_share
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array


def mix_with_neighbors(
    X: Any, y: Any, n_neighbors: int = 10, weight: float = 0.5
) -> tuple[Array, Array]:
    """Mix the costs of each row with those of its nearest rows, to train against noisy labels.

    Where data are few and noisy, the optimal decision of a single row says little. This makes
    ``n_neighbors`` rows of each, with costs between its own and those of a neighbor; any loss is
    trained on them. A step costs what it did, a pass over the rows ``n_neighbors`` times as much.

    Parameters
    ----------
    X : array-like of shape (n, p)
        Features; bring them to comparable units first.
    y : array-like of shape (n, d)
        Costs (values, for a maximizing oracle).
    n_neighbors : int, default=10
        Neighbors of a row, below n.
    weight : float, default=0.5
        Share of a row's own costs, from 0 to 1; at 1 rows are repeated unchanged.

    Returns
    -------
    rows : ndarray of shape (n n_neighbors,) of int
        The row of X that each mixture belongs to; pass it as ``groups``, so that a validation split
        does not separate the mixtures of a row.
    costs : ndarray of shape (n n_neighbors, d)
        The mixtures, row by row, in no order among neighbors.

    Raises
    ------
    ValueError
        If X or y has NaN or infinite entries, or lengths differ.
    InvalidInputError
        If a parameter is out of its range.

    Notes
    -----
    ``c_ij = g c_i + (1 - g) c_j`` for the neighbors j of i in Euclidean distance, itself excluded.
    The mean regret over j is that of the mean mixture up to a constant; for a surrogate it is the
    mean of its values. Published code instead gives a surrogate the means of ``c_ij`` and of their
    optimal decisions.

    References
    ----------
    Schutte, Postek & Yorke-Smith, "Robust Losses for Decision-Focused Learning", IJCAI 2024,
    doi 10.24963/ijcai.2024/538.

    Examples
    --------
    >>> from dfl.losses import mix_with_neighbors
    >>> X, C = [[0.0], [1.0], [5.0]], [[2.0, 0.0], [4.0, 2.0], [0.0, 8.0]]
    >>> rows, costs = mix_with_neighbors(X, C, n_neighbors=1)
    >>> rows, costs
    (array([0, 1, 2]), array([[3., 1.],
           [3., 1.],
           [2., 5.]]))
    """
    # imported here: scikit-learn is slow to load
    from sklearn.neighbors import NearestNeighbors
    from sklearn.utils.validation import check_X_y

    features, costs = check_X_y(X, y, dtype=float, multi_output=True)
    if costs.ndim != 2:
        raise InvalidInputError(
            f"mix_with_neighbors: got y of shape {costs.shape}, expected (n, d), a row of costs an "
            "instance"
        )
    n = len(features)
    if not 1 <= n_neighbors < n:
        raise InvalidInputError(
            f"mix_with_neighbors: got n_neighbors={n_neighbors} for {n} rows, expected from 1 to "
            f"{n - 1}"
        )
    check_share("mix_with_neighbors", weight=weight)
    near = NearestNeighbors(n_neighbors=n_neighbors).fit(features).kneighbors(return_distance=False)
    mixed = weight * costs[:, None] + (1 - weight) * costs[near]
    return np.repeat(np.arange(n), n_neighbors), mixed.reshape(n * n_neighbors, -1)
