"""Synthetic returns for portfolios that have to stay diversified."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from dfl.datasets._draws import bundle, check_noise, check_sizes, generator
from dfl_solvers import EntropyBall


def make_entropy_portfolio(
    n_samples: int,
    n_features: int = 5,
    *,
    n_assets: int = 50,
    degree: int = 6,
    noise: float = 0.5,
    level: float | None = None,
    random_state: Any = None,
) -> Bunch:
    """Make asset returns that are polynomials of features, for entropy-constrained portfolios.

    Parameters
    ----------
    n_samples : int
        Number n of instances.
    n_features : int, default=5
        Number p of features.
    n_assets : int, default=50
        Number d of assets.
    degree : int, default=6
        Degree of the polynomial; a linear model is right for 1.
    noise : float, default=0.5
        Half-width of the uniform noise that multiplies the returns; at most 1.
    level : float, optional
        Largest divergence from equal weights; see ``dfl_solvers.EntropyBall``, whose default, of
        the published experiment, keeps all weights positive.
    random_state : int, Generator or None
        Seeds all that is drawn.

    Returns
    -------
    Bunch
        ``X`` (n, p), ``C`` (n, d) = minus the returns, ``mean_costs`` (n, d) = E[c | x],
        ``oracle`` (an ``EntropyBall``), ``feature_names`` and ``cost_names``.

    Raises
    ------
    InvalidInputError
        If a size is below one, the noise not between 0 and 1, or the random state none.

    Notes
    -----
    ``r_j = [(1 + b_j.x / sqrt(p))^degree + 1] e_j`` with b of zeros and ones, x standard normal and
    e uniform on ``[1 - noise, 1 + noise]``. (The authors' program draws ``1 + e``, of mean two;
    here it is e, of mean one, as the experiment is described.)

    References
    ----------
    Liu & Grigas, "Risk Bounds and Calibration for a Smart Predict-then-Optimize Method", NeurIPS
    2021, arXiv 2108.08887; reconstructed.

    Examples
    --------
    >>> from dfl.datasets import make_entropy_portfolio
    >>> make_entropy_portfolio(10, n_assets=8, random_state=0).C.shape
    (10, 8)
    """
    sizes = {"n_samples": n_samples, "n_features": n_features, "degree": degree}
    check_sizes({**sizes, "n_assets": n_assets}, noise)
    check_noise(noise, most=1)
    rng = generator(random_state)
    B = rng.integers(2, size=(n_assets, n_features))
    X = rng.normal(size=(n_samples, n_features))
    mean = (1 + X @ B.T / np.sqrt(n_features)) ** degree + 1
    returns = mean * rng.uniform(1 - noise, 1 + noise, size=mean.shape)
    return bundle(X, -returns, -mean, EntropyBall(n_assets, level))
