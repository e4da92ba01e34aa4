"""Kernels survive forks, threads, nesting and an installation that cannot be written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import dfl_solvers
from dfl_solvers import GridShortestPath
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.kernels import n_threads, run, set_threads

SOLVE = """
import numpy as np
from dfl_solvers import GridShortestPath
costs = np.random.default_rng(0).normal(size=(3000, 40))
print(repr(GridShortestPath(5, 5).solve(costs).objectives.sum()))
"""


def big() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3000, 40))


@pytest.fixture
def two_threads():
    set_threads(2)
    yield
    set_threads(None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_use_after_fork() -> None:
    # in a process of its own, which has no other threads to lose
    code = SOLVE + (
        "import os\n"
        "from dfl_solvers.kernels import set_threads\n"
        "set_threads(2)\n"
        "before = GridShortestPath(5, 5).solve(costs).objectives\n"
        "pid = os.fork()\n"
        "after = GridShortestPath(5, 5).solve(costs).objectives\n"
        "assert (before == after).all()\n"
        "if pid == 0:\n"
        "    os._exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=environment())


def test_two_python_threads_at_once(two_threads: None) -> None:
    oracle, costs = GridShortestPath(5, 5), big()
    expected = oracle.solve(costs).decisions
    wrong: list[int] = []

    def work() -> None:
        for _ in range(20):
            if not np.array_equal(oracle.solve(costs).decisions, expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()
    assert not wrong


def test_nested_use_does_not_wait_for_itself(two_threads: None) -> None:
    oracle, costs = GridShortestPath(5, 5), big()

    def outer(lo: int, hi: int) -> None:
        for _ in range(lo, hi, 500):
            oracle.solve(costs)

    done = threading.Thread(target=lambda: run(outer, 4000), daemon=True)
    done.start()
    done.join(timeout=60)
    assert not done.is_alive()


def test_an_error_in_a_chunk_reaches_the_caller(two_threads: None) -> None:
    def failing(lo: int, hi: int) -> None:
        if hi > 2500:
            raise RuntimeError("chunk failed")

    with pytest.raises(RuntimeError, match="chunk failed"):
        run(failing, 3000)


def test_every_instance_is_handled_once(two_threads: None) -> None:
    for n in (1, 511, 512, 513, 1024, 5003):
        seen = np.zeros(n, int)

        def count(lo: int, hi: int, seen: np.ndarray) -> None:
            seen[lo:hi] += 1

        run(count, n, seen)
        assert (seen == 1).all()


def environment(**changes: str) -> dict[str, str]:
    package = Path(dfl_solvers.__file__).parent.parent
    return {**os.environ, "PYTHONPATH": str(package), **changes}


@pytest.mark.parametrize("kind", ["read-only folder", "cache folder that cannot be made"])
def test_an_installation_that_cannot_be_written(kind: str, tmp_path: Path) -> None:
    # a superuser may write anywhere, so the second kind fails for everybody
    home = tmp_path / "site"
    shutil.copytree(
        Path(dfl_solvers.__file__).parent,
        home / "dfl_solvers",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    changes = {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent", "PYTHONPATH": str(home)}
    if kind == "read-only folder":
        for path in sorted(home.rglob("*"), reverse=True):
            path.chmod(0o555 if path.is_dir() else 0o444)
    else:
        (tmp_path / "file").write_text("")
        changes["NUMBA_CACHE_DIR"] = str(tmp_path / "file" / "cache")
    found = subprocess.run(
        [sys.executable, "-c", SOLVE],
        env=environment(**changes, PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    for path in home.rglob("*"):
        path.chmod(0o755)
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == repr(GridShortestPath(5, 5).solve(big()).objectives.sum())


CALLER = """
import numpy as np
from dfl_solvers.kernels import kernel, part, run
from callee import number


@kernel
def fill(lo, hi, out):
    for i in range(lo, hi):
        out[i] = later()


@part
def later():
    return number()


out = np.zeros(3)
run(fill, 3, out)
print(out[0], sum(fill.stats.cache_hits.values()))
"""
CALLEE = """
from dfl_solvers.kernels import part


@part
def number():
    return {}
"""


def test_the_cache_knows_the_files_of_what_a_kernel_calls(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text(CALLER)
    found = []
    for number in (1.5, 1.5, 22.5):
        (tmp_path / "callee.py").write_text(CALLEE.format(number))
        os.utime(tmp_path / "callee.py", (1, 1))  # only its size tells
        done = subprocess.run(
            [sys.executable, "caller.py"],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(done.stdout.split())
    assert found == [["1.5", "0"], ["1.5", "1"], ["22.5", "0"]]


def test_code_that_is_not_compiled_answers_alike() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SOLVE.replace("3000", "3")],
        env=environment(NUMBA_DISABLE_JIT="1"),
        capture_output=True,
        text=True,
        check=True,
    )
    costs = np.random.default_rng(0).normal(size=(3, 40))
    assert float(done.stdout.strip().removeprefix("np.float64(").rstrip(")")) == pytest.approx(
        GridShortestPath(5, 5).solve(costs).objectives.sum()
    )


def test_the_number_of_threads_is_checked() -> None:
    with pytest.raises(InvalidInputError, match="got 0 threads"):
        set_threads(0)
    assert n_threads() >= 1
