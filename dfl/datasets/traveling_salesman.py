"""The standard synthetic data of traveling salesmen."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from dfl.datasets._draws import bundle, check_sizes, legacy_generator
from dfl.exceptions import InvalidInputError
from dfl_solvers.problems.traveling_salesman import TravelingSalesman


def make_traveling_salesman(
    n_samples: int,
    n_features: int = 10,
    *,
    n_cities: int = 20,
    degree: int = 1,
    noise: float = 0.0,
    random_state: Any = None,
) -> Bunch:
    """Make costs of travel that are distances plus polynomials of features, for round trips.

    Parameters
    ----------
    n_samples : int
        Number n of instances.
    n_features : int, default=10
        Number p of features.
    n_cities : int, default=20
        At least 3.
    degree : int, default=1
        Degree of the polynomial.
    noise : float, default=0.0
        Half-width of the multiplicative uniform noise.
    random_state : int, RandomState or None
        A seed gives the data that PyEPO 2 draws from it (there in single precision).

    Returns
    -------
    Bunch
        ``X`` (n, p), ``C`` (n, d) with d = n_cities (n_cities - 1) / 2, ``mean_costs`` (n, d) =
        E[c | x] before rounding, ``oracle`` (a ``TravelingSalesman``), ``feature_names`` and
        ``cost_names``.

    Raises
    ------
    InvalidInputError
        If a size is below one, there are fewer than three cities or the noise is negative.

    Notes
    -----
    ``c_j = dist_j + (B x / sqrt(p) + 3)_j^degree / 3^(degree - 1) * e_j``, rounded to four
    decimals, with e uniform on [1 - noise, 1 + noise]. B is zero or uniform on [-2, 2], with equal
    odds; half of the cities are uniform on the square [-2, 2]^2, the others standard normal.

    References
    ----------
    Tang & Khalil, "PyEPO", arXiv 2206.14234.

    Examples
    --------
    >>> from dfl.datasets.traveling_salesman import make_traveling_salesman
    >>> data = make_traveling_salesman(10, n_cities=8, degree=4, random_state=0)
    >>> data.X.shape, data.C.shape
    ((10, 10), (10, 28))
    """
    check_sizes(
        {"n_samples": n_samples, "n_features": n_features, "n_cities": n_cities, "degree": degree},
        noise,
    )
    if n_cities < 3:
        raise InvalidInputError(f"got n_cities={n_cities!r}, expected an integer of at least 3")
    oracle = TravelingSalesman(n_cities)
    d = oracle.n_costs
    rng = legacy_generator(random_state)
    near = rng.uniform(-2, 2, (n_cities // 2, 2))
    coordinates = np.concatenate([near, rng.normal(0, 1, (n_cities - n_cities // 2, 2))])
    i, j = oracle.edges().T
    distances = np.linalg.norm(coordinates[i] - coordinates[j], axis=1)
    B = rng.binomial(1, 0.5, (d, n_features)) * rng.uniform(-2, 2, (d, n_features))
    X = rng.normal(0, 1, (n_samples, n_features))
    factors = rng.uniform(1 - noise, 1 + noise, (n_samples, d))
    base = (X @ B.T / np.sqrt(n_features) + 3) ** degree / 3 ** (degree - 1)
    C = np.around(distances + base * factors, decimals=4)
    return bundle(X, C, distances + base, oracle)
