"""Sweeps: the same table from any number of processes, after kills, with failures in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
import yaml

from dfl_experiments.methods import TwoStage
from dfl_experiments.problems import PortfolioSP500Problem, ShortestPathProblem
from dfl_experiments.sweep.held_out import HeldOut
from dfl_experiments.sweep.plan import Pair, Trial, validation_regret

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
SWEEP: dict[str, Any] = {
    "name": "small",
    "problems": {
        "grid": {"kind": "shortest-path", "n_train": 40, "n_test": 20, "each": {"degree": [1, 6]}},
        "ball": {"kind": "portfolio", "n_train": 40, "n_test": 20, "n_assets": 4},
    },
    "predictors": {"linear": {"predictor": "linear"}, "mlp": {"predictor": "mlp"}},
    "methods": [
        {"name": "least squares", "estimator": "two-stage"},
        {
            "name": "spo+",
            "estimator": "decision-focused",
            "max_iter": 2,
            "tune": {"learning_rate": {"low": 0.001, "high": 1, "log": True}},
        },
        {
            "name": "cave",
            "estimator": "decision-focused",
            "loss": "cave",
            "max_iter": 1,
            "predictor": "linear",
            "tune": {"learning_rate": [0.01, 0.1]},
        },
    ],
    "tuner": "optuna",
    "trials": 2,
    "seeds": "0:2",
}


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., str]:
    def write(**changed: object) -> str:
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump({**SWEEP, **changed}, sort_keys=False))
        return str(path)

    return write


def table(folder: Path) -> pandas.DataFrame:
    """The table without times."""
    return pandas.read_parquet(folder / "results.parquet").drop(columns="seconds")


def n_cells(folder: Path) -> int:
    return len(list((folder / "cells").glob("*.json")))


def test_a_sweep_tunes_on_held_out_instances_and_lists_what_cannot_run(
    dfl: Callable, written: Callable, tmp_path: Path
) -> None:
    arguments = ["sweep", written(), "--out", "s", "--n-jobs", "1"]
    code, out, err = dfl(*arguments)
    assert (code, err) == (0, "")
    assert "grid degree=6: 2 seeds, 20 test instances" in out
    assert "cannot run: ball, cave | linear: " in out
    assert "does not go with Portfolio" in out
    found = pandas.read_parquet(tmp_path / "s" / "results.parquet")
    refused = found[found.status == "refused"]
    assert list(refused.problem + refused.method) == ["ballcave | linear"]
    trials = found[found.trial.notna()]
    final = found[found.trial.isna() & (found.status == "ok")]
    assert len(trials) == 2 * (2 * 3 + 2)  # numbers x (spo+ twice and cave; ball without cave)
    assert len(final) == 2 * (2 * 5 + 4)  # seeds x methods with the minimum
    assert not found.duplicated(["problem", "method", "seed", "metric", "trial"]).any()
    assert set(trials.metric) == {"validation-regret"}
    assert set(trials.seed) == {1000}
    for (problem, method), tried in trials.groupby(["problem", "method"]):
        best = tried.loc[tried.value.idxmin()]
        assert list(tried.chosen) == [k == best.trial for k in tried.trial]
        own = final[(final.problem == problem) & (final.method == method)]
        assert set(own["method.learning_rate"]) == {best["method.learning_rate"]}
        assert (own.solves > 0).all()
    assert set(final[final.method == "spo+ | mlp"].family) == {"spo+"}
    assert set(final[final.method == "spo+ | mlp"].predictor) == {"mlp"}
    record = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert record["cells"]["failed"] == {}
    assert list(record["cells"]["refused"]) == ["ball, cave | linear"]
    assert (tmp_path / "s" / "summary.csv").read_text().count("grid degree=1,") == 5

    # again: nothing is computed; a cell that was lost: only that
    before = table(tmp_path / "s")
    assert dfl(*arguments, "--quiet") == (0, "", "")
    pandas.testing.assert_frame_equal(before, table(tmp_path / "s"))
    for victim in sorted((tmp_path / "s" / "cells").glob("*.json"))[::5]:
        victim.unlink()
    assert dfl(*arguments, "--quiet") == (0, "", "")
    pandas.testing.assert_frame_equal(before, table(tmp_path / "s"))
    code, _, err = dfl("run", "shortest-path", "--out", "s")
    assert code == 2
    assert "holds the sweep 'small'" in err


def test_held_out_instances_are_the_last_of_the_training_table() -> None:
    problem = ShortestPathProblem(kind="shortest-path", n_train=50, n_test=7)
    (whole,) = problem.folds(3)
    (fold,) = HeldOut(problem=problem).folds(3)
    for name in ("X", "y", "expected"):
        seen = getattr(whole.train, name)
        numpy.testing.assert_array_equal(getattr(fold.train, name), seen[:40])
        numpy.testing.assert_array_equal(getattr(fold.test, name), seen[40:])


def test_where_time_goes_on_what_is_tested_first_is_never_learned_from() -> None:
    problem = PortfolioSP500Problem(
        kind="portfolio-sp500", first_test_year=2010, last_test_year=2012
    )
    (fold,) = HeldOut(problem=problem).folds(0)
    assert fold.train.X.index.max() < fold.test.X.index.min()
    assert fold.test.X.index.max().year == 2009


def test_a_trial_without_a_regret_is_not_chosen() -> None:
    problem = ShortestPathProblem(kind="shortest-path")
    method = TwoStage(name="a", estimator="two-stage", tune={"features": ["given", "spline"]})
    pair = Pair("grid", problem, method)
    for number, optimal in enumerate((0.0, 4.0)):
        cell = pair.trial({}, 1000)
        value = validation_regret(cell, {"regret": [optimal], "optimal": [optimal], "sign": 1})
        pair.trials.append(Trial(number, cell, {}, value))
    assert [trial.value for trial in pair.trials] == [None, 1.0]
    assert pair.best is pair.trials[1]


def test_failures_stay_in_the_table_until_they_are_retried(
    dfl: Callable, written: Callable, tmp_path: Path
) -> None:
    # a time that no training keeps
    endless = {
        "estimator": "decision-focused",
        "predictor": "mlp",
        "max_iter": 100000,
        "early_stopping": False,
    }
    methods = [
        {"name": "least squares", "estimator": "two-stage"},
        {"name": "spo+", **endless},
        {"name": "tuned", **endless, "tune": {"learning_rate": [0.1, 0.2, 0.3, 0.4, 0.5]}},
    ]
    problems = {"grid": SWEEP["problems"]["grid"] | {"each": {"degree": [1]}}}
    changed = {"methods": methods, "problems": problems, "predictors": {}, "timeout": 1}
    # what is imported and compiled once is no time of theirs
    file = written(**changed | {"methods": methods[:1], "timeout": 100}, tuner="grid", trials=None)
    assert dfl("sweep", file, "--out", "first", "--n-jobs", "1", "--quiet") == (0, "", "")
    file = written(**changed, tuner="grid", trials=5)
    arguments = ["sweep", file, "--out", "s", "--n-jobs", "1"]
    code, _, err = dfl(*arguments)
    assert code == 1
    assert "grid degree=1, tuned learning_rate=0.1, seed 1000 (and 4 more): it took longer" in err
    assert "--retry-failed" in err
    found = pandas.read_parquet(tmp_path / "s" / "results.parquet")
    own = found[found.method == "spo+"]
    assert list(own.status) == ["timeout"] * 2
    assert own.value.isna().all()
    assert set(own.error) == {"it took longer than 1.0 s"}
    # after three trials in vain there are no more; each seed says so
    tuned = found[found.method == "tuned"]
    assert list(tuned.trial.fillna(-1)) == [0, 1, 2, -1, -1]
    assert set(tuned.status) == {"timeout"}
    assert tuned.error.iloc[-1].startswith("none of its trials could be computed; the last: it")
    assert (found[found.method == "least squares"].status == "ok").all()

    # known by now: not tried again, also with a longer limit
    kept = sorted((tmp_path / "s" / "failures").glob("*.json"))
    assert len(kept) == 5
    before = [path.stat().st_mtime_ns for path in kept]
    assert dfl(*arguments, "--timeout", "20")[0] == 1
    assert [path.stat().st_mtime_ns for path in kept] == before
    code, _, err = dfl(*arguments, "--timeout", "0.9", "--retry-failed")
    assert "longer than 0.9 s" in err


# one process imports, and starts and kills others
KILLER = """
import glob, os, random, signal, sys, time
import dfl.estimators.decision_focused
from dfl_experiments import cli
rng = random.Random(0)
for _ in range(10):
    child = os.fork()
    if child == 0:
        os._exit(cli.main(["sweep", "sweep.yaml", "--out", "a", "--n-jobs", "1", "--quiet"]))
    enough = len(glob.glob("a/cells/*.json")) + rng.randint(1, 19)
    while len(glob.glob("a/cells/*.json")) < enough:
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            sys.exit("it ended before it was killed")
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


@posix
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_sweep_comes_to_the_table_of_an_unbroken_one(
    dfl: Callable, written: Callable, tmp_path: Path
) -> None:
    file = written(seeds="0:14")
    done = subprocess.run(
        [sys.executable, "-c", KILLER], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert 10 <= n_cells(tmp_path / "a") < 200
    assert not (tmp_path / "a" / "results.parquet").exists()
    for folder in ("a", "whole"):
        assert dfl("sweep", file, "--out", folder, "--n-jobs", "1", "--quiet") == (0, "", "")
    pandas.testing.assert_frame_equal(table(tmp_path / "a"), table(tmp_path / "whole"))
    assert n_cells(tmp_path / "a") == n_cells(tmp_path / "whole") >= 200


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A scheduler and two workers, each a process of its own."""
    pytest.importorskip("distributed")
    known = tmp_path / "scheduler.json"

    def begin(what: str, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([*command, "--no-dashboard"], **quiet)

    scheduler = begin("scheduler", "--port", "0", "--scheduler-file", str(known))
    options = ("--nthreads", "1", "--no-nanny", "--scheduler-file", str(known))
    workers = [begin("worker", *options) for _ in range(2)]
    deadline = time.monotonic() + 60
    while not known.exists() or not known.read_text():
        assert scheduler.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield json.loads(known.read_text())["address"], workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()


@posix
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_cluster_survives_the_death_of_a_worker(
    cluster: tuple[str, list[subprocess.Popen]],
    start: Callable,
    dfl: Callable,
    written: Callable,
    tmp_path: Path,
) -> None:
    address, workers = cluster
    file = written(seeds="0:2")
    process = start(
        "sweep", file, "--out", "dask", "--backend", "dask", "--address", address, "--quiet"
    )
    deadline = time.monotonic() + 400
    while n_cells(tmp_path / "dask") < 6:
        assert process.poll() is None, (tmp_path / "err").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(workers[0].pid, signal.SIGKILL)
    assert process.wait(timeout=400) == 0, (tmp_path / "err").read_text()
    assert dfl("sweep", file, "--out", "here", "--n-jobs", "1", "--quiet") == (0, "", "")
    pandas.testing.assert_frame_equal(table(tmp_path / "dask"), table(tmp_path / "here"))
    assert n_cells(tmp_path / "dask") == n_cells(tmp_path / "here")


def test_where_to_compute_is_checked(dfl: Callable, written: Callable, tmp_path: Path) -> None:
    for arguments, message in (
        (["--backend", "dask"], "expected an address for dask"),
        (["--address", "host:1"], "expected an address for dask"),
        (["--backend", "lokki", "--n-jobs", "2"], "backend: got 'lokki'"),
        (["--n-jobs", "0"], "expected a positive number or -1"),
    ):
        code, _, err = dfl("sweep", written(), "--out", "s", *arguments)
        assert (code, len(err.splitlines())) == (2, 1)
        assert message in err
    (tmp_path / "file").write_text("")
    code, _, err = dfl("sweep", written(), "--out", "file/s")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "cannot write" in err


def test_a_method_that_suits_no_problem_is_an_error(dfl: Callable, written: Callable) -> None:
    methods = [{"name": "a", "estimator": "decision-focused", "loss": "spo++"}]
    code, _, err = dfl("sweep", written(methods=methods), "--out", "s")
    assert code == 2
    assert "methods.a | linear: got loss 'spo++'" in err


def test_a_sweep_can_be_printed(dfl: Callable, written: Callable, tmp_path: Path) -> None:
    code, out, _ = dfl("sweep", written(), "--trials", "5", "--print-config")
    assert code == 0
    (tmp_path / "again.yaml").write_text(out)
    assert dfl("sweep", "again.yaml", "--print-config")[1] == out
    assert yaml.safe_load(out)["trials"] == 5
