"""Synthetic rosters whose demands have to be predicted: a covering problem."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from dfl.datasets._draws import check_sizes, legacy_generator, polynomial_costs
from dfl.exceptions import InvalidInputError
from dfl_solvers import LinearProgram, Program

# a shift of eight hours covers so many periods of two hours
_PERIODS, _LENGTH = 12, 4
_NIGHT = 1.3


def make_staffing(
    n_samples: int,
    n_features: int = 5,
    *,
    degree: int = 4,
    noise: float = 0.5,
    random_state: Any = None,
) -> Bunch:
    """Make demands for staff that are polynomials of features; shifts and wages are known.

    A day has twelve periods of two hours and a shift type for each to start in. Shifts last eight
    hours and may end the next day; full-time equivalents may be fractional.

    Parameters
    ----------
    n_samples : int
        Number n of instances.
    n_features : int, default=5
        Number p of features.
    degree : int, default=4
        Degree of the polynomial.
    noise : float, default=0.5
        Half-width of the multiplicative uniform noise, below 1.
    random_state : int, RandomState or None
        Seeds all that is drawn.

    Returns
    -------
    Bunch
        ``X`` (n, p), ``y`` (n, 12) = **staff needed** in each period, ``mean_y`` (n, 12) = E[y |
        x], ``costs`` (12,) = wages of the shifts, ``oracle`` (a ``LinearProgram``), ``predicts`` =
        "row_lower" and ``feature_names``.

    Raises
    ------
    InvalidInputError
        If a size is below one or the noise is not in [0, 1).

    Notes
    -----
    ``y_t = s_t / 3.5^degree ((B x / sqrt(p) + 3)^degree + 1) e_t`` in absolute value, with sizes s
    uniform on [5, 20] and e uniform on [1 - noise, 1 + noise]. Shifts that start in the last four
    periods cost 1.3 instead of 1.

    Examples
    --------
    >>> from dfl.datasets import make_staffing
    >>> data = make_staffing(10, random_state=0)
    >>> data.y.shape, data.costs.shape, data.predicts
    ((10, 12), (12,), 'row_lower')
    """
    check_sizes({"n_samples": n_samples, "n_features": n_features, "degree": degree}, noise)
    if noise >= 1:
        raise InvalidInputError(f"got noise={noise!r}, expected less than 1: demand is positive")
    rng = legacy_generator(random_state)
    sizes = rng.uniform(5, 20, _PERIODS)
    X, factors, means = polynomial_costs(rng, n_samples, n_features, _PERIODS, degree, noise)
    periods = np.arange(_PERIODS)
    covers = (periods[:, None] - periods) % _PERIODS < _LENGTH  # row: period, column: shift
    mean = sizes * np.abs(means)
    program = Program(
        covers.astype(float),
        mean.mean(axis=0),
        np.full(_PERIODS, np.inf),
        np.zeros(_PERIODS),
        np.full(_PERIODS, np.inf),
    )
    return Bunch(
        X=X,
        y=sizes * np.abs(factors),
        mean_y=mean,
        costs=np.where(periods < _PERIODS - _LENGTH, 1.0, _NIGHT),
        oracle=LinearProgram(program),
        predicts="row_lower",
        feature_names=[f"x{j}" for j in range(n_features)],
    )
