"""A run small enough for tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dfl_experiments import cli


@pytest.fixture
def dfl(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch) -> Callable:
    """Run the command line in this process; return its code, output and error lines."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(list(arguments))
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen]:
    """Start the command line as a process of its own; its errors go to the file ``err``."""

    def begin(*arguments: str) -> subprocess.Popen:
        # not a pipe, whose end its workers would hold for some seconds more
        with open(tmp_path / "err", "w") as err:
            return subprocess.Popen(
                [sys.executable, "-m", "dfl_experiments", *arguments],
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=err,
            )

    return begin
