"""Real data: what is read, what is refused, and that nothing looks ahead."""

from __future__ import annotations

import importlib.util
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dfl import DecisionFocusedRegressor
from dfl.datasets import (
    fetch_energy_prices,
    fetch_scheduling_days,
    fetch_scheduling_instance,
    load_sp500,
    load_sp500_weekly,
)
from dfl.datasets.sp500 import weekly_decisions
from dfl.exceptions import InvalidInputError, MissingDependencyError
from dfl_solvers import EnergyScheduling, Parallel, Status


@pytest.fixture
def energy_folder(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DFL_DATA", str(data_folder))
    return data_folder


@pytest.fixture(scope="module")
def stocks():
    if importlib.util.find_spec("skfolio") is None:
        assert os.environ.get("CI") != "true", "the extra experiments must be installed in CI"
        pytest.skip("the extra experiments is not installed")
    return load_sp500()


def test_energy_prices_are_cleaned_as_published(energy_folder: Path) -> None:
    data = fetch_energy_prices()
    assert data.X.shape == (789 * 48, 8)
    assert len(np.unique(data.groups)) == 789
    assert (data.groups[::48][1:] > data.groups[::48][:-1]).all()
    np.testing.assert_array_equal(data.period, np.tile(np.arange(48), 789))
    assert np.isfinite(data.X).all()
    assert (data.y.min(), data.y.max()) == (-47.74, 1000.0)
    assert (data.y < 0).sum() == 3
    np.testing.assert_allclose(data.y[:2], [54.32, 54.23])
    assert data.X[0].tolist() == [0, 1, 44, 11, 315.31, 3388.77, 49.26, 600.71]
    assert "CO2Intensity" not in data.day_ahead
    assert (data.X[:, data.feature_names.index("CO2Intensity")] > 0).all()


@pytest.mark.parametrize(("number", "tasks", "machines"), [(1, 10, 3), (2, 15, 3), (3, 20, 5)])
def test_scheduling_instances(energy_folder: Path, number: int, tasks: int, machines: int) -> None:
    oracle = fetch_scheduling_instance(number)
    assert (len(oracle.durations), len(oracle.capacities)) == (tasks, machines)
    assert oracle.n_costs == 48
    prices = fetch_energy_prices().y[: 48 * 5].reshape(5, 48)
    relaxed = fetch_scheduling_instance(number, relax=True).solve(prices).objectives
    exact = oracle.solve(prices).objectives
    assert (relaxed <= exact + 1e-6 * np.abs(exact)).all()
    energy = (oracle.durations * oracle.powers).sum() / 2
    np.testing.assert_allclose(oracle.solve(prices).decisions.sum(1), energy)


def test_scheduling_days(energy_folder: Path) -> None:
    data = fetch_scheduling_days((6, 5), time_limit=0.05)
    assert data.names[:2] == ["load6/day01", "load6/day02"]
    assert (data.names[13:15], len(data.names)) == (["load6/day14", "load5/day01"], 28)
    assert {name: values.shape for name, values in data.instance.items()} == {
        "durations": (28, 30),
        "earliest": (28, 30),
        "latest": (28, 30),
        "powers": (28, 30),
        "usage": (28, 30, 1),
        "capacities": (28, 5, 1),
    }
    assert (data.oracle.time_limit, data.oracle.durations.shape) == (0.05, (20,))
    assert (np.count_nonzero(data.instance["durations"], axis=1) == [20] * 14 + [30] * 14).all()
    # a group that is easy: the days alone, one by one, are the days of the batch
    easy = fetch_scheduling_days((7,))
    prices = fetch_energy_prices().y[: 48 * 14].reshape(14, 48)
    found = easy.oracle.solve(prices, easy.instance)
    with zipfile.ZipFile(energy_folder / "icon_energy.zip") as archive:
        for i in (0, 5, 13):
            text = archive.read(f"{easy.names[i]}.txt").decode()
            own = EnergyScheduling.from_text(text).solve(prices[i : i + 1])
            np.testing.assert_array_equal(found.decisions[i], own.decisions[0])
    for loads in ((), (0,), (1, 9)):
        with pytest.raises(InvalidInputError, match=r"got loads .*, expected some of the numbers"):
            fetch_scheduling_days(loads)


def test_every_real_day_has_a_schedule_within_the_limit(energy_folder: Path) -> None:
    prices = fetch_energy_prices().y.reshape(-1, 48)
    data = fetch_scheduling_days(range(1, 9), time_limit=0.05)
    days = np.arange(112)
    found = data.oracle.solve(prices[100 + 6 * days], data.instance)
    assert set(found.status.tolist()) <= {Status.OPTIMAL, Status.FEASIBLE}
    instance = data.instance
    energy = (instance["durations"] * instance["powers"]).sum(1) / 2
    np.testing.assert_allclose(found.decisions.sum(1), energy)


def test_hard_days_train_to_the_end_and_say_what_was_cut_short(energy_folder: Path) -> None:
    data = fetch_energy_prices()
    rows = slice(48 * 20)
    days = fetch_scheduling_days((6, 5), time_limit=0.05)
    instance = {name: values[:20] for name, values in days.instance.items()}
    estimator = DecisionFocusedRegressor(
        Parallel(days.oracle), max_iter=2, batch_size=10, early_stopping=False, random_state=0
    )
    estimator.fit(data.X[rows], data.y[rows], groups=data.groups[rows], instance=instance)
    assert len(estimator.history_) == 2
    # the labels, and every instance in both epochs
    assert estimator.budget_.instances == 60
    assert 0 < estimator.budget_.interrupted < 60
    planned = estimator.decide(data.X[rows], groups=data.groups[rows], instance=instance)
    energy = (instance["durations"] * instance["powers"]).sum(1) / 2
    np.testing.assert_allclose(np.reshape(planned, (20, 48)).sum(1), energy)


def test_damaged_archives_are_refused(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFL_DATA", str(tmp_path))
    with pytest.raises(InvalidInputError, match=r"has no file icon_energy.zip"):
        fetch_energy_prices()
    whole = (data_folder / "icon_energy.zip").read_bytes()
    for content in (whole[:1000], whole[:-1] + b"x", b"", b"not a zip"):
        (tmp_path / "icon_energy.zip").write_bytes(content)
        with pytest.raises(InvalidInputError, match=r"got SHA-256 .*expected 3ea0ecf.*restore"):
            fetch_energy_prices()
    with pytest.raises(InvalidInputError, match="expected 1, 2 or 3"):
        fetch_scheduling_instance(4)


def test_downloads_go_to_a_cache_with_a_known_hash(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    monkeypatch.delenv("DFL_DATA")
    with pytest.raises(InvalidInputError, match="download_if_missing is False"):
        fetch_scheduling_instance(1, data_home=tmp_path, download_if_missing=False)
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash))
        Path(path).mkdir(parents=True, exist_ok=True)
        shutil.copy(data_folder / "predopt_scheduling" / fname, path)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    oracle = fetch_scheduling_instance(1, data_home=tmp_path)
    assert len(oracle.durations) == 10
    assert asked[0][1].startswith("sha256:7706177")
    fetch_scheduling_instance(1, data_home=tmp_path)
    assert len(asked) == 1
    (tmp_path / "predopt_scheduling" / "load1.txt").write_text("30")
    with pytest.raises(InvalidInputError, match="delete it"):
        fetch_scheduling_instance(1, data_home=tmp_path)

    def failing(url, known_hash, fname, path):
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(pooch, "retrieve", failing)
    with pytest.raises(InvalidInputError, match=r"cannot be downloaded to .*: no route to host$"):
        fetch_scheduling_instance(2, data_home=tmp_path)


def test_stock_prices_are_whole(stocks) -> None:
    assert stocks.prices.shape == (len(stocks.dates), 20)
    assert stocks.asset_names[:2] == ["AAPL", "AMD"]
    assert (stocks.prices > 0).all()
    assert stocks.dates[0] == np.datetime64("1990-01-02")
    assert stocks.dates[-1] == np.datetime64("2022-12-28")


def test_weekly_decisions_do_not_look_ahead(stocks) -> None:
    end = 1500
    base = weekly_decisions(stocks.prices[:end], stocks.dates[:end])
    cut = 1300
    changed = stocks.prices[:end].copy()
    changed[cut:] *= np.random.default_rng(0).uniform(0.5, 2, changed[cut:].shape)
    other = weekly_decisions(changed, stocks.dates[:end])
    before = base.dates < stocks.dates[cut]
    assert 0 < before.sum() < len(before)
    np.testing.assert_array_equal(base.X[before], other.X[before])
    for name in ("covariance", "risk"):
        np.testing.assert_array_equal(base.instance[name][before], other.instance[name][before])
    # the outcome is the future, and only that
    last = np.flatnonzero(before)[-1]
    np.testing.assert_array_equal(base.C[:last], other.C[:last])
    assert not np.array_equal(base.C[last], other.C[last])
    assert not np.array_equal(base.X[~before], other.X[~before])


def test_weekly_decisions_by_hand(stocks) -> None:
    data = load_sp500_weekly()
    day = int(np.flatnonzero(stocks.dates == data.dates[100])[0])
    following = int(np.flatnonzero(stocks.dates == data.dates[101])[0])
    assert 4 <= following - day <= 5
    np.testing.assert_allclose(data.C[100], 1 - stocks.prices[following] / stocks.prices[day])
    np.testing.assert_allclose(data.X[100, :20], stocks.prices[day] / stocks.prices[day - 5] - 1)
    equal = np.full(20, 1 / 20)
    variance = equal @ data.instance["covariance"][100] @ equal
    assert data.instance["risk"][100] == pytest.approx(2.25 * variance)
    assert (np.linalg.eigvalsh(data.instance["covariance"])[:, 0] > 0).all()
    w = data.oracle.solve(data.C, data.instance).decisions
    np.testing.assert_allclose(w.sum(1), 1)
    risks = np.einsum("ni,nij,nj->n", w, data.instance["covariance"], w)
    assert (risks <= data.instance["risk"] * (1 + 1e-9)).all()
    assert data.X.shape == (len(data.dates), len(data.feature_names))


def test_bad_windows_and_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    prices, dates = np.ones((300, 2)), np.arange(300).astype("datetime64[D]")
    with pytest.raises(InvalidInputError, match="window=10"):
        weekly_decisions(prices, dates, window=10)
    with pytest.raises(InvalidInputError, match=r"gamma=0\.5"):
        weekly_decisions(prices, dates, gamma=0.5)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"dfl-opt\[experiments\]"):
        load_sp500()
