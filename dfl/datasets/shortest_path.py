"""The standard synthetic shortest-path data."""

from __future__ import annotations

from typing import Any

from sklearn.utils import Bunch

from dfl.datasets._draws import (
    bundle,
    check_sizes,
    legacy_generator,
    polynomial_costs,
    read_grid,
)
from dfl_solvers import GridShortestPath


def make_shortest_path(
    n_samples: int,
    n_features: int = 5,
    *,
    grid: tuple[int, int] = (5, 5),
    degree: int = 1,
    noise: float = 0.0,
    random_state: Any = None,
) -> Bunch:
    """Make edge costs that are polynomials of features, for shortest paths on a grid.

    The most used test problem of the field. Least squares is well specified at degree 1; the
    higher the degree, the more there is to gain from training for the decision.

    Parameters
    ----------
    n_samples : int
        Number n of instances.
    n_features : int, default=5
        Number p of features.
    grid : (int, int), default=(5, 5)
        Rows and columns of nodes.
    degree : int, default=1
        Degree of the polynomial.
    noise : float, default=0.0
        Half-width of the multiplicative uniform noise.
    random_state : int, RandomState or None
        A seed gives the data that PyEPO 2 draws from it (there in single precision).

    Returns
    -------
    Bunch
        ``X`` (n, p), ``C`` (n, d), ``mean_costs`` (n, d) = E[c | x], ``oracle``,
        ``feature_names`` and ``cost_names``.

    Raises
    ------
    InvalidInputError
        If a size is below one or the noise is negative.

    Notes
    -----
    ``c_j = (((B x)_j / sqrt(p) + 3)^degree + 1) / 3.5^degree * e_j`` with B of fair coin flips,
    x standard normal and e uniform on [1 - noise, 1 + noise].

    References
    ----------
    Elmachtoub & Grigas, arXiv 1710.08005, section 6.1; scaled as in Tang & Khalil, "PyEPO",
    arXiv 2206.14234.

    Examples
    --------
    >>> from dfl.datasets import make_shortest_path
    >>> data = make_shortest_path(10, degree=4, noise=0.5, random_state=0)
    >>> data.X.shape, data.C.shape
    ((10, 5), (10, 40))
    """
    rows, cols = read_grid(grid)
    check_sizes(
        {"n_samples": n_samples, "n_features": n_features, "degree": degree, "rows": rows,
         "cols": cols}, noise,
    )  # fmt: skip
    oracle = GridShortestPath(rows, cols)
    rng = legacy_generator(random_state)
    drawn = polynomial_costs(rng, n_samples, n_features, oracle.n_costs, degree, noise)
    return bundle(*drawn, oracle)
