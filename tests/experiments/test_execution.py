"""Cells that fail, take too long or kill their process: each is told apart, the others go on."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, final

import cloudpickle
import pytest

from dfl.exceptions import InvalidInputError, TrainingError
from dfl_experiments import time_limit as limits
from dfl_experiments.cells import CellStore, StorageError
from dfl_experiments.execution import Engine, execute, kept_failure
from dfl_experiments.methods import AbstractMethod, Judgement
from dfl_experiments.problems.study import AbstractStudy
from dfl_experiments.runner import Cell
from dfl_experiments.time_limit import OutOfTime, time_limit

# other processes cannot import this file
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@final
class Fate(AbstractMethod):
    estimator: Literal["fate"] = "fate"

    def judge(self, fold: Any, optimal: Any, seed: int) -> Judgement:
        raise AssertionError("a fate is computed by its study")


@final
class Fates(AbstractStudy):
    kind: Literal["fates"] = "fates"

    def check(self, methods: Any, seed: int) -> None:
        """Nothing."""

    def compute(self, method: Any, seed: int) -> dict[str, Any]:
        if method.name.startswith("diverges"):
            raise TrainingError("the loss is\nnan")
        if method.name.startswith("is wrong"):
            raise KeyError("x")
        if method.name.startswith("loops"):
            while True:
                time.sleep(0.01)
        if method.name.startswith("hangs"):
            time.sleep(60)  # one call into compiled code
        if method.name.startswith("dies"):
            os.kill(os.getpid(), signal.SIGKILL)
        return {"value": method.name}


def cells(*names: str) -> list[Cell]:
    # names play no part in a key, seeds do
    return [Cell("fates", Fates(), Fate(name=name), seed) for seed, name in enumerate(names)]


def test_failures_are_kept_with_their_reason_in_one_process(tmp_path: Path) -> None:
    store, failures = CellStore(tmp_path / "cells"), CellStore(tmp_path / "failures")
    engine = Engine(timeout=0.3, failures=failures)
    done: list[int] = []
    planned = cells("works", "diverges", "is wrong", "loops", "works too")
    found = execute(planned, store, engine, lambda: done.append(1))
    assert len(done) == 5
    assert [(str(f.cell), f.status, f.message) for f in found] == [
        ("fates, diverges, seed 1", "failed", "the loss is nan"),
        ("fates, is wrong, seed 2", "failed", "KeyError: 'x'"),
        ("fates, loops, seed 3", "timeout", "it took longer than 0.3 s"),
    ]
    assert [store.load(cell.key) is not None for cell in planned] == [
        True,
        False,
        False,
        False,
        True,
    ]
    assert [kept_failure(cell, failures) for cell in planned] == [None, *found, None]
    # known failures are not tried again while they are on record
    assert execute(planned, store, Engine(failures=failures), lambda: None) == found


def test_without_a_record_an_unknown_error_ends_the_run(tmp_path: Path) -> None:
    store = CellStore(tmp_path / "cells")
    (found,) = execute(cells("diverges"), store, Engine(), lambda: None)
    assert found.message == "the loss is nan"
    with pytest.raises(KeyError):
        execute(cells("is wrong"), store, Engine(), lambda: None)
    with pytest.raises(InvalidInputError, match="backend: got 'lokki'"):
        execute(cells("works"), store, Engine(backend="lokki"), lambda: None)


def test_a_cell_that_cannot_be_read_is_computed_and_that_it_cannot_be_written_is_told(
    tmp_path: Path,
) -> None:
    store = CellStore(tmp_path / "cells")
    (cell,) = cells("works")
    store.path(cell.key).mkdir()
    with pytest.raises(StorageError, match="cannot write"):
        execute([cell], store, Engine(), lambda: None)


def test_a_time_limit_that_comes_at_the_very_end_kills_nothing_later(monkeypatch) -> None:
    class Late(threading.Event):
        calls = 0

        def set(self) -> None:
            self.calls += 1
            if self.calls == 1:
                raise OutOfTime
            super().set()

    late, killed = Late(), []
    # not in threading itself, whose threads have events of their own
    names = {name: getattr(threading, name) for name in ("Lock", "Thread", "get_ident")}
    monkeypatch.setattr(limits, "threading", SimpleNamespace(**names, Event=lambda: late))
    with pytest.raises(OutOfTime), time_limit(60, lambda: killed.append(1), 0):
        pass
    assert late.is_set()
    assert not killed


def test_a_time_limit_in_a_thread(tmp_path: Path) -> None:
    store, failures = CellStore(tmp_path / "cells"), CellStore(tmp_path / "failures")
    engine = Engine(2, "threading", timeout=0.3, failures=failures)
    found = execute(cells("loops", "works", "loops too"), store, engine, lambda: None)
    assert sorted(f.cell.method.name for f in found) == ["loops", "loops too"]
    assert {f.status for f in found} == {"timeout"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_process_that_dies_takes_no_other_cell_with_it(tmp_path: Path) -> None:
    store, failures = CellStore(tmp_path / "cells"), CellStore(tmp_path / "failures")
    engine = Engine(2, timeout=1.0, failures=failures, grace=1.0)
    done: list[int] = []
    names = ["works", "dies", "works 2", "hangs", "works 3"]
    planned = cells(*names)
    found = {f.cell.method.name: f for f in execute(planned, store, engine, lambda: done.append(1))}
    assert sorted(found) == ["dies", "hangs"]
    assert "its process died" in found["dies"].message
    assert found["hangs"].status == "timeout"
    assert len(done) == len(names)
    for cell in planned:
        assert (store.load(cell.key) is None) == (cell.method.name in found)
        assert (kept_failure(cell, failures) is None) == (cell.method.name not in found)
    # nor does one that is alone take this process with it
    (alone,) = execute([Cell("fates", Fates(), Fate(name="hangs"), 9)], store, engine, list)
    assert alone.status == "timeout"


def test_a_full_disk_ends_the_run_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dfl_experiments import ledger

    usage = type("Usage", (), {"free": 60_000})
    monkeypatch.setattr(ledger.shutil, "disk_usage", lambda folder: usage)
    kept = ledger.Ledger(tmp_path / "r", "run.json", {"name": "r"})
    done: list[int] = []
    with pytest.raises(StorageError, match="expected some 0 MB for 2 cells; free some space"):
        kept.compute(cells("works", "works 2"), Engine(), lambda: done.append(1))
    assert not done
    assert kept.compute(cells("works"), Engine(), lambda: done.append(1)) == []
    assert done


def test_a_time_limit_waits_for_an_import_to_end(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "slowly_imported.py").write_text("import time\ntime.sleep(0.4)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    start = time.monotonic()

    def compute() -> None:
        with time_limit(0.05, lambda: None, 60):
            importlib.import_module("slowly_imported")
            while time.monotonic() < start + 60:
                time.sleep(0.01)

    with pytest.raises(OutOfTime):
        compute()
    assert sys.modules["slowly_imported"].whole
    assert time.monotonic() < start + 50
