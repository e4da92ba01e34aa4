"""Knapsacks filled with half-hours of a day whose values follow real electricity prices."""

from __future__ import annotations

import os

import numpy as np
from sklearn.utils import Bunch

from dfl.datasets._files import locate
from dfl.exceptions import InvalidInputError
from dfl_solvers import Knapsack, Maximize

_FILE = (
    "predopt_knapsack.npz",
    "https://raw.githubusercontent.com/PredOpt/predopt-benchmarks/main/Knapsack/Trainer/Data.npz",
    "7b512a53d6568af4a5c9b4d600086dc7acf49903d67bd434a05ce55bd828e07e",
)
_ITEMS = 48
# the first column of the file is the number of the day
_FEATURES = (
    "HolidayFlag",
    "DayOfWeek",
    "WeekOfYear",
    "Month",
    "ForecastWindProduction",
    "SystemLoadEA",
    "SMPEA",
    "CO2Intensity",
)


def fetch_price_knapsack(
    *,
    capacity: float = 60.0,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
) -> Bunch:
    """Fetch the knapsacks of the 2024 survey: 789 days, the 48 half-hours of each are the items.

    Real and hard: features say little about values, so that two-stage models are strong.

    Parameters
    ----------
    capacity : float, default=60.0
        What fits; the weights of all items sum to 240. Published: 60, 120 and 180.
    data_home : path, optional
        Cache folder of downloads. Default: the user's cache folder.
    download_if_missing : bool, default=True
        If false, an archive that is not there is an error.

    Returns
    -------
    Bunch
        Long data, a row per item: ``X`` (37872, 8), ``y`` (37872,) **values**, ``groups``
        (37872,) number of the day, ``weights`` (48,) of 3, 5 and 7, ``oracle`` (a maximizing
        ``Knapsack``) and ``feature_names``.

    Raises
    ------
    InvalidInputError
        If the capacity is negative, or the file is missing, damaged, tampered with or cannot be
        downloaded. If the environment variable ``DFL_DATA`` names a folder, the file
        ``predopt_knapsack.npz`` is read from there.

    Notes
    -----
    Values are about weight times price, with noise that is part of the file. The survey shuffles
    the days; they are in the order of time here.

    References
    ----------
    Mandi et al., JAIR 80, 2024, doi 10.1613/jair.1.15320; prices of Ifrim, O'Sullivan & Simonis,
    "Properties of Energy-Price Forecasts for Scheduling", CP 2012,
    doi 10.1007/978-3-642-33558-7_68.
    """
    path = locate(*_FILE, data_home, download_if_missing)
    with np.load(path, allow_pickle=False) as file:
        X = np.concatenate([file["X_1gtrain"], file["X_1gtest"]])
        y = np.concatenate([file["y_train"], file["y_test"]])
        weights = np.asarray(file["weights"], dtype=float).ravel()
    if not 0 <= capacity < np.inf:
        raise InvalidInputError(f"got capacity={capacity!r}, expected a number from 0")
    n_days = len(y) // _ITEMS
    return Bunch(
        X=np.ascontiguousarray(X[:, 1:], dtype=float),
        y=np.ascontiguousarray(y.ravel(), dtype=float),
        groups=np.repeat(np.arange(n_days), _ITEMS),
        weights=weights,
        oracle=Maximize(Knapsack(weights[None], np.array([float(capacity)]))),
        feature_names=list(_FEATURES),
    )
