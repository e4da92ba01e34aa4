"""The standard synthetic portfolio data."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from sklearn.utils import Bunch

from dfl.datasets._draws import bundle, check_positive, check_sizes, legacy_generator
from dfl_solvers import Portfolio


def make_portfolio(
    n_samples: int,
    n_features: int = 5,
    *,
    n_assets: int = 50,
    degree: int = 1,
    noise: float = 1.0,
    gamma: float = 2.25,
    n_factors: int | None = None,
    budget: Literal["equal", "at_most"] = "equal",
    random_state: Any = None,
) -> Bunch:
    """Make asset returns that are polynomials of features, for risk-constrained portfolios.

    Parameters
    ----------
    n_samples : int
        Number n of instances.
    n_features : int, default=5
        Number p of features.
    n_assets : int, default=50
        Number d of assets.
    degree : int, default=1
        Degree of the polynomial.
    noise : float, default=1.0
        Level of the factor loadings and of the residuals; positive.
    gamma : float, default=2.25
        The risk bound is ``gamma`` times the mean entry of the covariance matrix, which is the
        variance of the equally weighted portfolio.
    n_factors : int, optional
        Number of factors that move all returns. Default: as many as features; the original has 4.
    budget : {"equal", "at_most"}, default="equal"
        Weights sum to 1, or, as in the original, to at most 1.
    random_state : int, RandomState or None
        A seed gives the returns that PyEPO 2 draws from it (there in single precision).

    Returns
    -------
    Bunch
        ``X`` (n, p), ``C`` (n, d) = minus the returns, ``mean_costs`` (n, d) = E[c | x],
        ``oracle`` (a ``Portfolio``), ``feature_names`` and ``cost_names``.

    Raises
    ------
    InvalidInputError
        If a size is below one, or the noise or ``gamma`` is not positive.

    Notes
    -----
    ``r = (0.05 B x / sqrt(p) + 0.1^(1/degree))^degree + L f + 0.01 noise e`` with loadings L
    uniform on +-0.0025 noise and f, e standard normal; ``Sigma = L L' + (0.01 noise)^2 I``.

    References
    ----------
    Elmachtoub & Grigas, arXiv 1710.08005, section 6.2; by default with as many factors as features
    and weights that sum to 1, as in Tang & Khalil, "PyEPO", arXiv 2206.14234.

    Examples
    --------
    >>> from dfl.datasets import make_portfolio
    >>> make_portfolio(10, n_assets=8, degree=4, random_state=0).C.shape
    (10, 8)
    """
    n_factors = n_features if n_factors is None else n_factors
    check_sizes(
        {"n_samples": n_samples, "n_features": n_features, "n_assets": n_assets, "degree": degree,
         "n_factors": n_factors}, noise,
    )  # fmt: skip
    check_positive({"noise": noise, "gamma": gamma})
    rng = legacy_generator(random_state)
    B = rng.binomial(1, 0.5, (n_assets, n_features))
    L = rng.uniform(-2.5e-3 * noise, 2.5e-3 * noise, (n_assets, n_factors))
    X = rng.normal(0, 1, (n_samples, n_features))
    draws = rng.randn(n_samples, n_factors + n_assets)
    factors, residuals = draws[:, :n_factors], draws[:, n_factors:]
    mean = (0.05 * X @ B.T / np.sqrt(n_features) + 0.1 ** (1 / degree)) ** degree
    returns = mean + factors @ L.T + 0.01 * noise * residuals
    covariance = L @ L.T + (0.01 * noise) ** 2 * np.eye(n_assets)
    oracle = Portfolio(covariance, gamma * float(covariance.mean()), budget)
    return bundle(X, -returns, -mean, oracle)
