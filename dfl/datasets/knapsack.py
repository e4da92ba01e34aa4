"""The standard synthetic knapsack data."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from dfl.datasets._draws import bundle, check_positive, check_sizes, legacy_generator
from dfl_solvers import Knapsack, Maximize
from dfl_solvers.oracle import Array


def make_knapsack(
    n_samples: int,
    n_features: int = 5,
    *,
    n_items: int = 32,
    n_dimensions: int = 1,
    capacity: float = 20.0,
    degree: int = 1,
    noise: float = 0.0,
    random_state: Any = None,
) -> Bunch:
    """Make item values that are polynomials of features, for knapsacks to be filled.

    Parameters
    ----------
    n_samples : int
        Number n of instances.
    n_features : int, default=5
        Number p of features.
    n_items : int, default=32
        Number d of items.
    n_dimensions : int, default=1
        Number of capacities.
    capacity : float, default=20.0
        The same in every dimension; weights lie between 3 and 8.
    degree : int, default=1
        Degree of the polynomial.
    noise : float, default=0.0
        Half-width of the multiplicative uniform noise.
    random_state : int, RandomState or None
        A seed gives the data that PyEPO 2 draws from it.

    Returns
    -------
    Bunch
        ``X`` (n, p), ``C`` (n, d) = **values**, ``mean_costs`` (n, d) = E[v | x], ``oracle`` (a
        maximizing ``Knapsack``), ``feature_names`` and ``cost_names``.

    Raises
    ------
    InvalidInputError
        If a size is below one, the noise is negative or the capacity is not positive.

    Notes
    -----
    ``v_j = ceil(5 / 3.5^degree * ((B x / sqrt(p) + 3)^degree + 1) * e_j)`` with e uniform on
    [1 - noise, 1 + noise]. The expectation of the rounded value is exact.

    References
    ----------
    Tang & Khalil, "PyEPO", arXiv 2206.14234.

    Examples
    --------
    >>> from dfl.datasets import make_knapsack
    >>> data = make_knapsack(10, degree=4, random_state=0)
    >>> data.C.shape, data.oracle.sign
    ((10, 32), -1)
    """
    check_sizes(
        {"n_samples": n_samples, "n_features": n_features, "n_items": n_items,
         "n_dimensions": n_dimensions, "degree": degree}, noise,
    )  # fmt: skip
    check_positive({"capacity": capacity})
    rng = legacy_generator(random_state)
    weights = rng.choice(range(300, 800), size=(n_dimensions, n_items)) / 100
    B = rng.binomial(1, 0.5, (n_items, n_features))
    X = rng.normal(0, 1, (n_samples, n_features))
    factors = rng.uniform(1 - noise, 1 + noise, (n_samples, n_items))
    base = 5 / 3.5**degree * ((X @ B.T / np.sqrt(n_features) + 3) ** degree + 1)
    oracle = Maximize(Knapsack(weights, np.full(n_dimensions, float(capacity))))
    return bundle(X, np.ceil(base * factors), _mean_of_ceil(base, noise), oracle)


def _mean_of_ceil(base: Array, noise: float) -> Array:
    """Return E[ceil(base * e)] for e uniform on [1 - noise, 1 + noise]."""
    if noise == 0:
        return np.ceil(base)
    low, high = base * (1 - noise), base * (1 + noise)
    low, high = np.minimum(low, high), np.maximum(low, high)
    width = high - low
    # the mean of a step function is the difference of its integral at the two ends
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (_integral_of_ceil(high) - _integral_of_ceil(low)) / width
    return np.where(width > 0, mean, np.ceil(base))


def _integral_of_ceil(x: Array) -> Array:
    """Return the integral of ceil from 0 to x."""
    k = np.floor(x)
    return k * (k + 1) / 2 + (x - k) * (k + 1)
