"""Irish electricity prices and the scheduling instances of the ICON challenge."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from collections.abc import Sequence

import numpy as np
from sklearn.utils import Bunch

from dfl.datasets._files import locate
from dfl.exceptions import InvalidInputError
from dfl_solvers import EnergyScheduling
from dfl_solvers.oracle import Array

_PRICES = (
    "icon_energy.zip",
    "https://raw.githubusercontent.com/JayMan91/aaai_predit_then_optimize/"
    "35b3ea7e28928a948e172bb5a0acb545763c69d3/EnergyCost/ICON_data.zip",
    "3ea0ecf68627d74f16e41b07c4a1a38fcd86e0e3477724e501a2aadd7ea94147",
)
_INSTANCES = (
    "770617778a56cf167d5ef389462e7ede95ac4a456eaa2cc6d3f68b60f62593d8",
    "63d4ddf681780fa72ae1bcfd663f9838feefde9abb7dda91d8a4ba3b7410ca2c",
    "0a73bbf82b49cb948f62e5ff1f64832f30f390d546a1d0ac91b752e4c5af9225",
)
_TABLE = "data/prices2013.dat"
_LOADS = range(1, 9)
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
_DAY_AHEAD = _FEATURES[:-1]
_TARGET = "SMPEP2"
_SLOTS = 48


def fetch_energy_prices(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
) -> Bunch:
    """Fetch half-hourly electricity prices of Ireland, November 2011 to December 2013.

    Long data: a row per half-hour, 48 rows a day, 789 days. Predict the price, decide by day.

    Parameters
    ----------
    data_home : path, optional
        Cache folder. Default: the user's cache folder. If the environment variable ``DFL_DATA``
        names a folder, the archive ``icon_energy.zip`` is read there and nothing is downloaded.
    download_if_missing : bool, default=True
        Download the file if it is not in the folder; else it is an error.

    Returns
    -------
    Bunch
        ``X`` (37872, 8), ``y`` (37872,) = the real-time price SMPEP2 in euros per megawatt-hour,
        ``groups`` (37872,) = the day of each row as a date, ``period`` (37872,) = its half-hour,
        ``feature_names``, and ``day_ahead``: the names of the features that are known the day
        before, which is all but the measured ``CO2Intensity``.

    Raises
    ------
    InvalidInputError
        If the archive is missing, damaged, tampered with or cannot be downloaded.

    Notes
    -----
    Cleaned as in the survey: actual values and weather left out, zeros and gaps of
    ``CO2Intensity`` interpolated, the three days with gaps dropped. Three prices are
    negative; they are left so.

    References
    ----------
    Ifrim, O'Sullivan & Simonis, "Properties of Energy-Price Forecasts for Scheduling", CP 2012,
    doi 10.1007/978-3-642-33558-7_68; Mandi et al., JAIR 80, 2024, doi 10.1613/jair.1.15320.
    """
    path = locate(*_PRICES, data_home, download_if_missing)
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(_TABLE).decode("utf-8")
    except (OSError, KeyError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} holds no readable {_TABLE}: {error}") from error
    columns = _columns(text)
    intensity = columns["CO2Intensity"]
    measured = np.flatnonzero((intensity != 0) & ~np.isnan(intensity))
    columns["CO2Intensity"] = np.interp(np.arange(len(intensity)), measured, intensity[measured])
    known = ~np.isnan(np.column_stack([columns[name] for name in (*_FEATURES, _TARGET)])).any(1)
    days = columns["days"]
    whole = known.reshape(-1, _SLOTS).all(1).repeat(_SLOTS)
    return Bunch(
        X=np.column_stack([columns[name] for name in _FEATURES])[whole],
        y=columns[_TARGET][whole],
        groups=days[whole],
        period=columns["PeriodOfDay"][whole].astype(int),
        feature_names=list(_FEATURES),
        day_ahead=list(_DAY_AHEAD),
    )


def fetch_scheduling_instance(
    number: int,
    *,
    relax: bool = False,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
) -> EnergyScheduling:
    """Fetch one of the three scheduling instances of the 2024 survey.

    Parameters
    ----------
    number : {1, 2, 3}
        10 tasks on 3 machines, 15 on 3, 20 on 5.
    relax : bool, default=False
        Return the linear relaxation.
    data_home, download_if_missing
        As in ``fetch_energy_prices``; in the folder ``DFL_DATA`` the files are
        ``predopt_scheduling/load1.txt`` and so on.

    Returns
    -------
    EnergyScheduling
        An oracle over 48 half-hourly energy uses.

    Raises
    ------
    InvalidInputError
        If the number is unknown, or the file is missing, damaged or cannot be downloaded.

    References
    ----------
    Mandi et al., JAIR 80, 2024, doi 10.1613/jair.1.15320.
    """
    if number not in (1, 2, 3):
        raise InvalidInputError(f"got scheduling instance {number!r}, expected 1, 2 or 3")
    path = locate(
        f"predopt_scheduling/load{number}.txt",
        "https://raw.githubusercontent.com/PredOpt/predopt-benchmarks/main/Energy/"
        f"SchedulingInstances/load{number}/day01.txt",
        _INSTANCES[number - 1],
        data_home,
        download_if_missing,
    )
    return EnergyScheduling.from_file(path, relax)


def fetch_scheduling_days(
    loads: Sequence[int] = (1,),
    *,
    relax: bool = False,
    time_limit: float | None = None,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
) -> Bunch:
    """Fetch scheduling instances of the ICON challenge, with other tasks every day.

    Days to train on with ``instance=``: a row of tasks for each day of prices. The days of load 6,
    and some of the loads 1, 3 and 5, are hard, so that ``time_limit`` matters.

    Parameters
    ----------
    loads : sequence of int from 1 to 8, default=(1,)
        Groups of 14 days each, with 10, 15, 20, 25, 30, 20, 30 and 50 tasks a day on 3, 3, 5, 5, 5,
        3, 10 and 10 machines.
    relax : bool, default=False
        Return the linear relaxation.
    time_limit : float, optional
        Seconds for an instance. Default: no limit.
    data_home, download_if_missing
        As in ``fetch_energy_prices``, which reads the same archive.

    Returns
    -------
    Bunch
        ``oracle``, an ``EnergyScheduling`` over 48 half-hourly energy uses; ``instance``, the data
        of all days with leading n; ``names``, such as ``"load1/day01"``, in the same order.

    Raises
    ------
    InvalidInputError
        If a load is unknown, or the archive is missing, damaged or cannot be downloaded.

    References
    ----------
    H. Simonis, B. O'Sullivan, D. Mehta, B. Hurley, M. De Cauwer. Energy-cost aware scheduling.
    CSPLib problem 059. https://www.csplib.org/Problems/prob059
    """
    unknown = [load for load in loads if load not in _LOADS]
    if unknown or not len(loads):
        raise InvalidInputError(f"got loads {tuple(loads)!r}, expected some of the numbers 1 to 8")
    path = locate(*_PRICES, data_home, download_if_missing)
    try:
        with zipfile.ZipFile(path) as archive:
            files = [
                file
                for load in loads
                for file in sorted(zipfile.Path(archive, f"load{load}/").iterdir(), key=str)
            ]
            oracle, instance = EnergyScheduling.from_files(files, relax, time_limit)
            names = [file.at.removesuffix(".txt") for file in files]
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InvalidInputError(f"{path} holds no readable load files: {error}") from error
    return Bunch(oracle=oracle, instance=instance, names=names)


def _columns(text: str) -> dict[str, Array]:
    """Read the table: numbers by column name, and the day of each row as ``days``."""
    rows = list(csv.reader(io.StringIO(text), delimiter=" ", skipinitialspace=True))
    names = [name.lstrip("#") for name in rows[0]]
    wanted = [*_FEATURES, _TARGET, "PeriodOfDay", "Day", "Year"]
    body = [row for row in rows[1:] if row]
    columns = {
        name: np.array([row[k] for row in body], dtype=float)
        for name, k in ((name, names.index(name)) for name in wanted)
    }
    columns["days"] = np.array(
        [
            f"{int(y):04d}-{int(m):02d}-{int(d):02d}"
            for y, m, d in zip(columns["Year"], columns["Month"], columns["Day"], strict=True)
        ],
        dtype="datetime64[D]",
    )
    return columns
