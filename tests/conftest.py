"""Shared fixtures."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

# taken at once, since tests change the working folder
_DATA = os.environ.get("DFL_DATA")
_FOLDER = Path(_DATA).resolve() if _DATA else None

# a shell lets what it runs in the background ignore Ctrl-C, which tests send and children inherit
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a fresh seeded generator for each test."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder of real data; absent on a user's machine, demanded in CI."""
    if _FOLDER is not None and _FOLDER.is_dir():
        return _FOLDER
    if os.environ.get("CI") == "true":
        pytest.fail("DFL_DATA must name the folder of real data in CI")
    pytest.skip("DFL_DATA does not name a folder of real data")
