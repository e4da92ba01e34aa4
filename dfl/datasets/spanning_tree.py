"""Synthetic data of networks that connect all nodes."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from sklearn.utils import Bunch

from dfl.datasets._draws import bundle, check_sizes, legacy_generator, polynomial_costs
from dfl.exceptions import InvalidInputError
from dfl_solvers.problems.spanning_tree import MinimumSpanningTree


def make_spanning_tree(
    n_samples: int,
    n_features: int = 5,
    *,
    n_nodes: int = 10,
    degree: int = 1,
    noise: float = 0.0,
    random_state: Any = None,
) -> Bunch:
    """Make costs of links that are polynomials of features, for minimum spanning trees.

    Any two nodes may be linked. As with shortest paths, least squares is well specified at degree
    1; the higher the degree, the more there is to gain from training for the decision.

    Parameters
    ----------
    n_samples : int
        Number n of instances.
    n_features : int, default=5
        Number p of features.
    n_nodes : int, default=10
        At least 2; there are d = n_nodes (n_nodes - 1) / 2 edges, (0, 1), (0, 2) and so on.
    degree : int, default=1
        Degree of the polynomial.
    noise : float, default=0.0
        Half-width of the multiplicative uniform noise.
    random_state : int, RandomState or None
        Seeds all that is drawn.

    Returns
    -------
    Bunch
        ``X`` (n, p), ``C`` (n, d), ``mean_costs`` (n, d) = E[c | x], ``oracle`` (a
        ``MinimumSpanningTree``), ``feature_names`` and ``cost_names``.

    Raises
    ------
    InvalidInputError
        If a size is below one, there are fewer than two nodes or the noise is negative.

    Notes
    -----
    Costs are those of ``make_shortest_path``: ``c_j = (((B x)_j / sqrt(p) + 3)^degree + 1) /
    3.5^degree * e_j`` with B of fair coin flips, x standard normal and e uniform on
    [1 - noise, 1 + noise].

    Examples
    --------
    >>> from dfl.datasets import make_spanning_tree
    >>> data = make_spanning_tree(10, n_nodes=6, degree=4, noise=0.5, random_state=0)
    >>> data.X.shape, data.C.shape
    ((10, 5), (10, 15))
    """
    sizes = {"n_samples": n_samples, "n_features": n_features, "degree": degree}
    check_sizes({**sizes, "n_nodes": n_nodes}, noise)
    if n_nodes < 2:
        raise InvalidInputError(f"got n_nodes={n_nodes!r}, expected an integer of at least 2")
    oracle = MinimumSpanningTree(n_nodes, list(combinations(range(n_nodes), 2)))
    rng = legacy_generator(random_state)
    drawn = polynomial_costs(rng, n_samples, n_features, oracle.n_costs, degree, noise)
    return bundle(*drawn, oracle)
