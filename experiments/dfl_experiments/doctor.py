"""What this installation has, and whether it works."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfl_experiments import environment

# models of the license that comes with gurobipy stop here
_GUROBI_LIMIT = 2000
_GUROBI_TOO_LARGE = 10010


def examine(console: Console) -> int:
    """Print the state of the installation; return 0 if it works, else 1."""
    works, verdict = _self_test()
    table = Table(show_header=False, box=None)
    for name, text in (*_packages(), *_surroundings(), ("self-test", verdict)):
        table.add_row(name, Text(text))  # as it is: [extra] is no markup
    console.print(table)
    return 0 if works else 1


def _packages() -> list[tuple[str, str]]:
    found = list(environment.versions().items())
    names = {name for name, _ in found}
    for package in environment.REQUIRED:
        if package not in names:
            found.append((package, "MISSING: reinstall dfl-opt"))
    for package, extra in environment.OPTIONAL.items():
        if package not in names:
            found.append((package, f"not installed (optional: pip install 'dfl-opt[{extra}]')"))
    return found


def _surroundings() -> list[tuple[str, str]]:
    import torch

    data = os.environ.get("DFL_DATA")
    if data is None:
        shown = "not set: data are downloaded when needed"
    else:
        shown = data if Path(data).is_dir() else f"{data} (no such folder)"
    return [
        ("platform", platform.platform()),
        ("cores", f"{os.cpu_count()}, of which usable {_usable_cores()}"),
        ("torch threads", str(torch.get_num_threads())),
        ("DFL_DATA", shown),
        ("Gurobi license", _gurobi()),
    ]


def _usable_cores() -> int:
    import joblib

    return int(joblib.cpu_count())


def _gurobi() -> str:
    try:
        import gurobipy
    except ImportError:
        return "gurobipy is not installed; nothing here needs it"
    try:
        with gurobipy.Env(empty=True) as env:
            env.setParam("OutputFlag", 0)
            env.start()
            with gurobipy.Model(env=env) as model:
                model.addVars(_GUROBI_LIMIT + 1)
                model.optimize()
    except gurobipy.GurobiError as error:
        if error.errno == _GUROBI_TOO_LARGE:
            return f"limited: models of up to {_GUROBI_LIMIT} variables and constraints"
        return f"none that works: {error}"
    return "full"


def _self_test() -> tuple[bool, str]:
    """Solve shortest paths by dynamic programming and as linear programs, and compare."""
    try:
        import numpy as np

        from dfl_solvers import GridShortestPath, LinearProgram

        oracle = GridShortestPath(5, 5)
        costs = np.random.default_rng(0).uniform(1, 2, (20, 40))
        start = time.perf_counter()
        paths = oracle.solve(costs).objectives
        seconds = time.perf_counter() - start
        programs = LinearProgram(oracle.program()).solve(costs).objectives
        worst = float(abs(paths - programs).max())
    except Exception as error:
        # a broken installation fails in any way; naming it is what this command is for
        return False, f"FAILED: {type(error).__name__}: {error}"
    if worst > 1e-9:
        return False, f"FAILED: dynamic programming and HiGHS differ by {worst:g}"
    return True, f"passed: 20 shortest paths, the same as by HiGHS ({seconds:.2f} s)"
