"""Daily prices of twenty large American stocks, and weekly portfolio decisions on them."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from dfl.exceptions import InvalidInputError, MissingDependencyError
from dfl_solvers import Portfolio
from dfl_solvers.oracle import Array

# trading days that returns and volatility look back
_WEEK, _MONTH, _QUARTER = 5, 21, 63


def load_sp500() -> Bunch:
    """Load daily closing prices of 20 stocks of the S&P 500, 1990 to 2022.

    The prices are shipped inside the package ``skfolio``, which the extra ``experiments`` installs;
    only its data file is read.

    Returns
    -------
    Bunch
        ``prices`` (8313, 20), adjusted for splits and dividends, ``dates`` (8313,) and
        ``asset_names``. The 20 are survivors: they were chosen at the end of the period.

    Raises
    ------
    MissingDependencyError
        If ``skfolio`` is not installed.
    """
    found = importlib.util.find_spec("skfolio")
    if found is None or found.origin is None:
        raise MissingDependencyError(
            "skfolio is not installed; install it with: pip install 'dfl-opt[experiments]'"
        )
    path = Path(found.origin).parent / "datasets" / "data" / "sp500_dataset.csv.gz"
    try:
        text = gzip.decompress(path.read_bytes()).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}; install skfolio again") from error
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    return Bunch(
        prices=np.array([row[1:] for row in rows[1:]], dtype=float),
        dates=np.array([row[0] for row in rows[1:]], dtype="datetime64[D]"),
        asset_names=rows[0][1:],
    )


def load_sp500_weekly(*, window: int = 252, gamma: float = 2.25) -> Bunch:
    """Load weekly portfolio decisions on the stocks of ``load_sp500``.

    At the last close of each week, choose a portfolio for the next week. Everything the decision
    uses is known at that close: features, covariance and risk bound.

    Parameters
    ----------
    window : int, default=252
        Trading days of the trailing covariance.
    gamma : float, default=2.25
        The risk bound is ``gamma`` times the variance of the equally weighted portfolio.

    Returns
    -------
    Bunch
        ``X`` (n, 80) = returns over the past week, month and quarter, and volatility over the past
        quarter, of each stock; ``C`` (n, 20) = minus the next week's returns; ``instance`` =
        trailing weekly ``covariance`` (n, 20, 20) and ``risk`` (n,) for the oracle; ``dates`` (n,)
        of the decisions; ``asset_names``, ``feature_names``; ``oracle``, a ``Portfolio``.

    Raises
    ------
    MissingDependencyError
        If ``skfolio`` is not installed.
    InvalidInputError
        If the window is too short or ``gamma`` below one, so that the equally weighted portfolio
        would not be allowed.
    """
    data = load_sp500()
    weekly = weekly_decisions(data.prices, data.dates, window=window, gamma=gamma)
    names = ("return_week", "return_month", "return_quarter", "volatility")
    return Bunch(
        **weekly,
        asset_names=data.asset_names,
        feature_names=[f"{name}_{asset}" for name in names for asset in data.asset_names],
        oracle=Portfolio(weekly["instance"]["covariance"][0], weekly["instance"]["risk"][0]),
    )


def weekly_decisions(
    prices: Array, dates: Array, *, window: int = 252, gamma: float = 2.25
) -> Bunch:
    """Turn daily prices (n_days, d) into weekly decisions; see ``load_sp500_weekly``.

    Parameters
    ----------
    prices : ndarray of shape (n_days, d)
    dates : ndarray of shape (n_days,)
    window, gamma
        As in ``load_sp500_weekly``.

    Returns
    -------
    Bunch
        ``X``, ``C``, ``instance`` and ``dates``.

    Raises
    ------
    InvalidInputError
        If the window is too short or ``gamma`` below one.
    """
    if window < _QUARTER:
        raise InvalidInputError(f"got window={window}, expected at least {_QUARTER} trading days")
    if gamma < 1:
        raise InvalidInputError(f"got gamma={gamma}, expected at least 1")
    returns = prices[1:] / prices[:-1] - 1  # returns[t - 1] leads to the close of day t
    # 1970-01-01 was a Thursday: weeks run from Monday to Sunday
    week = (dates.astype("datetime64[D]").astype(int) + 3) // 7
    closes = np.flatnonzero(np.diff(week, append=week[-1] + 1))
    now, following = closes[:-1], closes[1:]
    enough = now >= window
    now, following = now[enough], following[enough]
    covariance = np.stack([_covariance(returns[t - window : t]) for t in now])
    volatility = np.stack([returns[t - _QUARTER : t].std(0) for t in now])
    past = [prices[now] / prices[now - days] - 1 for days in (_WEEK, _MONTH, _QUARTER)]
    return Bunch(
        X=np.hstack([*past, volatility]),
        C=-(prices[following] / prices[now] - 1),
        instance={"covariance": covariance, "risk": gamma * covariance.mean(axis=(1, 2))},
        dates=dates[now],
    )


def _covariance(returns: Array) -> Array:
    """Return the weekly covariance of daily returns, a tenth of it shrunk to its diagonal."""
    sample = _WEEK * np.cov(returns, rowvar=False)
    return 0.9 * sample + 0.1 * np.diag(np.diag(sample))
