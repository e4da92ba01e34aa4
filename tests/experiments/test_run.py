"""Runs: files, resuming, damage, full disks and interruption."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from dfl_experiments import cells
from dfl_experiments.cells import CellStore, StorageError, digest

# small enough for tests
TINY = [
    "--set", "problem.n_train=40", "--set", "problem.n_test=30",
    "--set", "methods.spo+.max_iter=2", "--set", "methods.perturbed-fenchel-young.max_iter=2",
]  # fmt: skip

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def stored(folder: Path) -> dict[str, float]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cells").glob("*.json")}


def test_a_run_leaves_all_its_files(dfl: Callable, tmp_path: Path) -> None:
    code, out, err = dfl(
        "run", "shortest-path", *TINY, "--seeds", "0:2", "--out", "r", "--n-jobs", "1"
    )
    assert (code, err) == (0, "")
    assert "least squares" in out
    assert "theoretical minimum" in out
    assert "[" in out
    folder = tmp_path / "r"
    table = pandas.read_parquet(folder / "results.parquet")
    assert {"problem", "method", "seed", "metric", "value", "seconds"} <= set(table.columns)
    assert len(table) == 2 * 4 * 2  # seeds x methods with the minimum x metrics
    with open(folder / "summary.csv", newline="") as file:
        summary = list(csv.DictReader(file))
    row = next(r for r in summary if r["method"] == "spo+" and r["metric"] == "normalized-regret")
    own = table[(table.method == "spo+") & (table.metric == "normalized-regret")].value
    base = table[(table.method == "least squares") & (table.metric == "normalized-regret")].value
    assert float(row["mean"]) == pytest.approx(own.mean())
    assert float(row["difference"]) == pytest.approx(own.mean() - base.mean())
    assert float(row["low"]) < float(row["mean"]) < float(row["high"])
    record = json.loads((folder / "run.json").read_text())
    assert record["seeds"] == [0, 1]
    assert record["versions"]["torch"]
    assert record["cells"] == {"total": 8, "reused": 0, "computed": 8, "failed": {}}
    for picture in ("summary.png", "time.png", "learning.png"):
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")
    assert not list(folder.rglob("*.tmp"))

    # again: nothing is computed; one seed more: only that
    before = stored(folder)
    dfl("run", "shortest-path", *TINY, "--seeds", "0:3", "--out", "r", "--n-jobs", "1", "--quiet")
    after = stored(folder)
    assert {name: after[name] for name in before} == before
    assert len(after) == 12

    # the same numbers from two processes
    code, _, err = dfl(
        "run", "shortest-path", *TINY, "--seeds", "0:2", "--out", "p", "--n-jobs", "2", "--quiet"
    )
    assert (code, err) == (0, "")
    other = pandas.read_parquet(tmp_path / "p" / "results.parquet")
    pandas.testing.assert_frame_equal(table.drop(columns="seconds"), other.drop(columns="seconds"))

    # a damaged cell is computed anew, with a note
    victim = sorted((folder / "cells").glob("*.json"))[0]
    whole = json.loads(victim.read_text())
    for damage in (victim.read_bytes()[:50], victim.read_bytes().replace(b"0.", b"1.", 1)):
        victim.write_bytes(damage)
        code, _, err = dfl(
            "run",
            "shortest-path",
            *TINY,
            "--seeds",
            "0:3",
            "--out",
            "r",
            "--n-jobs",
            "1",
            "--quiet",
        )
        assert code == 0
        assert "is damaged" in err
        assert json.loads(victim.read_text())["regret"] == whole["regret"]

    code, _, err = dfl("run", "portfolio-sp500", "--out", "r")
    assert code == 2
    assert "holds the run 'shortest-path'" in err


def test_nothing_is_half_written_on_a_full_disk(
    dfl: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("run", "shortest-path", *TINY, "--seeds", "0", "--out", "r", "--n-jobs", "1")
    calls = []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 3:  # the record and two cells still fit
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cells.os, "fsync", full)
    code, _, err = dfl(*arguments)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "No space left on device; free some space" in err
    assert "2 of 4 cells are saved" in err
    assert not list((tmp_path / "r").rglob("*.tmp"))
    kept = stored(tmp_path / "r")
    assert len(kept) == 2
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert dfl(*arguments)[0] == 0
    after = stored(tmp_path / "r")
    assert {name: after[name] for name in kept} == kept


def test_a_folder_that_cannot_be_written(dfl: Callable, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = dfl("run", "shortest-path", *TINY, "--out", "file/r")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "cannot write" in err


def test_cells_are_sealed(tmp_path: Path) -> None:
    store = CellStore(tmp_path / "cells")
    key = digest({"a": 1})
    assert store.load(key) is None
    store.save(key, {"key": key, "value": 1.5})
    assert store.load(key) == {"key": key, "value": 1.5}
    os.replace(store.path(key), store.path("other"))
    with pytest.raises(ValueError, match="another cell"):
        store.load("other")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        CellStore(tmp_path / "file" / "cells")


@posix
@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_goes_on_where_it_was(
    start: Callable, dfl: Callable, tmp_path: Path, kill: signal.Signals
) -> None:
    arguments = ["run", "shortest-path", "--seeds", "0:12", "--out", "r", "--n-jobs", "2"]
    process = start(*arguments)
    deadline = time.monotonic() + 120
    while len(stored(tmp_path / "r")) < 4:
        assert process.poll() is None, (tmp_path / "err").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(kill)
    process.wait(timeout=60)
    err = (tmp_path / "err").read_text()
    time.sleep(1)  # what still ran in the other processes may finish
    kept = stored(tmp_path / "r")
    if kill == signal.SIGINT:
        assert process.returncode == 130
        assert "cells are saved in r; the same command goes on from there" in err
        assert "Traceback" not in err
    assert 4 <= len(kept) < 48
    code, _, _ = dfl(*arguments[:-1], "1")  # whose number is no part of a result
    assert code == 0
    after = stored(tmp_path / "r")
    assert len(after) == 48
    assert {name: after[name] for name in kept} == kept


def test_a_cut_down_energy_run(
    dfl: Callable, data_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DFL_DATA", str(data_folder))
    code, out, err = dfl(
        "run", "energy", "--set", "problem.n_days=40", "--set", "problem.instances=[1, 3]",
        "--set", "methods.spo+.max_iter=2", "--out", "e", "--n-jobs", "1",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "energy-1: 1 seed, 12 test instances" in out
    table = pandas.read_parquet(tmp_path / "e" / "results.parquet")
    assert set(table.problem) == {"energy-1", "energy-3"}
    assert (table.value >= 0).all()
    monkeypatch.setenv("DFL_DATA", str(tmp_path))
    code, _, err = dfl("run", "energy", "--out", "f")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "has no file icon_energy.zip" in err


@pytest.mark.slow
def test_a_cut_down_portfolio_run(dfl: Callable, tmp_path: Path) -> None:
    code, _, err = dfl(
        "run", "portfolio-sp500", "--set", "problem.first_test_year=2021", "--set",
        "problem.years_between_refits=2", "--set", "methods.spo+.max_iter=2", "--out", "p",
        "--n-jobs", "1",
    )  # fmt: skip
    assert (code, err) == (0, "")
    table = pandas.read_parquet(tmp_path / "p" / "results.parquet").set_index(["method", "metric"])
    prices = pytest.importorskip("dfl.datasets").load_sp500_weekly()
    tested = prices.dates >= pandas.Timestamp("2021-01-01").to_datetime64()
    equal = -prices.C[tested].mean(1)
    assert table.value["equal weight", "annual-return"] == pytest.approx(52 * equal.mean())
    assert table.value["equal weight", "volatility"] == pytest.approx(52**0.5 * equal.std(ddof=1))


def test_list_and_doctor(dfl: Callable) -> None:
    code, out, _ = dfl("list")
    assert code == 0
    assert "shortest-path" in out
    code, out, _ = dfl("doctor")
    assert code == 0
    assert "passed: 20 shortest paths" in out
    for name in ("torch", "highspy", "Gurobi license", "DFL_DATA", "cores"):
        assert name in out
