"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a fresh seeded generator for each test."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder of real data; absent on a user's machine, demanded in CI."""
    folder = os.environ.get("DFL_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder)
    if os.environ.get("CI") == "true":
        pytest.fail("DFL_DATA must name the folder of real data in CI")
    pytest.skip("DFL_DATA does not name a folder of real data")
