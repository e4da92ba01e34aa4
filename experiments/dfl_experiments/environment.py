"""What a result depends on beside its configuration: versions and the commit."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path

REQUIRED = ("numpy", "scipy", "torch", "numba", "scikit-learn", "highspy", "clarabel", "joblib")
# optional packages and the extra that brings them
OPTIONAL = {
    "gurobipy": "gurobi",
    "pyepo": "pyepo",
    "ortools": "ortools",
    "pandas": "experiments",
    "pyarrow": "experiments",
    "matplotlib": "experiments",
    "skfolio": "experiments",
    "optuna": "sweep",
    "distributed": "sweep",
}


def version(package: str) -> str | None:
    """Return the version of an installed distribution; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Return what a run stands on, by name."""
    from dfl import __version__

    found = {"dfl": __version__, "python": platform.python_version()}
    for package in (*REQUIRED, *OPTIONAL):
        installed = version(package)
        if installed is not None:
            found[package] = installed
    return found


def commit() -> str | None:
    """Return the commit of the working copy this package runs from, if it runs from one."""
    here = Path(__file__).resolve()
    # an installed package may lie inside somebody else's repository: only tracked files count
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None
    head = _git(here.parent, "rev-parse", "HEAD")
    changed = _git(here.parent, "status", "--porcelain", "--untracked-files=no", ":/")
    return f"{head} with changes" if changed else head


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
