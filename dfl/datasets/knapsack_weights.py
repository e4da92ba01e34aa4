"""Synthetic knapsacks whose weights have to be predicted."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from dfl.datasets._draws import (
    check_positive,
    check_sizes,
    legacy_generator,
    polynomial_costs,
)
from dfl.exceptions import InvalidInputError
from dfl_solvers import Knapsack, Maximize


def make_knapsack_weights(
    n_samples: int,
    n_features: int = 5,
    *,
    n_items: int = 16,
    fill: float = 0.5,
    degree: int = 4,
    noise: float = 0.5,
    random_state: Any = None,
) -> Bunch:
    """Make item weights that are polynomials of features; values and the capacity are known.

    Parameters
    ----------
    n_samples : int
        Number n of instances.
    n_features : int, default=5
        Number p of features.
    n_items : int, default=16
        Number d of items.
    fill : float, default=0.5
        The capacity as a share of the mean total weight.
    degree : int, default=4
        Degree of the polynomial.
    noise : float, default=0.5
        Half-width of the multiplicative uniform noise, below 1.
    random_state : int, RandomState or None
        Seeds all that is drawn.

    Returns
    -------
    Bunch
        ``X`` (n, p), ``y`` (n, d) = **weights**, ``mean_y`` (n, d) = E[weights | x], ``costs`` (d,)
        = values of the items, ``oracle`` (a maximizing ``Knapsack``), ``predicts`` = "weights" and
        ``feature_names``.

    Raises
    ------
    InvalidInputError
        If a size is below one, the noise is not in [0, 1) or the fill is not positive.

    Notes
    -----
    ``w_j = s_j / 3.5^degree ((B x / sqrt(p) + 3)^degree + 1) e_j`` in absolute value, with sizes s
    uniform on [3, 8] and e uniform on [1 - noise, 1 + noise]; values are ``s_j`` times a factor
    uniform on [0.8, 1.2], so that large items are worth more. The form is that of the standard
    shortest path data.

    Examples
    --------
    >>> from dfl.datasets import make_knapsack_weights
    >>> data = make_knapsack_weights(10, random_state=0)
    >>> data.y.shape, data.costs.shape, data.predicts
    ((10, 16), (16,), 'weights')
    """
    check_sizes(
        {"n_samples": n_samples, "n_features": n_features, "n_items": n_items, "degree": degree},
        noise,
    )
    if noise >= 1:
        raise InvalidInputError(f"got noise={noise!r}, expected less than 1: weights are positive")
    check_positive({"fill": fill})
    rng = legacy_generator(random_state)
    sizes = rng.uniform(3, 8, n_items)
    values = sizes * rng.uniform(0.8, 1.2, n_items)
    X, factors, means = polynomial_costs(rng, n_samples, n_features, n_items, degree, noise)
    weights, mean = sizes * np.abs(factors), sizes * np.abs(means)
    capacity = fill * float(mean.sum(axis=1).mean())
    return Bunch(
        X=X,
        y=weights,
        mean_y=mean,
        costs=values,
        oracle=Maximize(Knapsack(mean.mean(axis=0)[None], [capacity])),
        predicts="weights",
        feature_names=[f"x{j}" for j in range(n_features)],
    )
