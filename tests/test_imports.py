"""What importing loads, and that optional packages stay optional."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys

import pytest

PACKAGES = ("dfl_solvers", "dfl", "dfl_experiments")
OPTIONAL = (
    "gurobipy", "ortools", "cvxpy", "pyepo", "matplotlib", "pandas", "pyarrow", "skfolio",
    "transformers", "diffusers", "gymnasium", "stable_baselines3", "jax",
)  # fmt: skip


def modules() -> list[str]:
    """Name every module of the three packages."""
    found = []
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        found += [package, *(m.name for m in pkgutil.walk_packages(path, f"{package}."))]
    return [name for name in found if not name.endswith("__main__")]


def loaded(statement: str) -> set[str]:
    """Name the top-level packages that a statement loads in a fresh process."""
    code = f"{statement}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(found.stdout)}


def test_the_faces_are_lazy() -> None:
    heavy = {"torch", "sklearn", "scipy", "numba", "pandas", "matplotlib", "numpy", "highspy"}
    assert not loaded("import dfl") & heavy
    assert not loaded("import dfl_solvers") & heavy
    assert not loaded("from dfl import DecisionFocusedRegressor") & {
        "numba", "matplotlib", "highspy", "clarabel", "pooch", "typer", "pydantic",
    }  # fmt: skip
    assert not loaded("from dfl_solvers import GridShortestPath") & {"torch", "sklearn", "highspy"}


def test_every_module_imports_without_the_optional_packages() -> None:
    code = (
        "import sys, importlib, importlib.abc\n"
        "class Blocked(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {OPTIONAL!r}:\n"
        "            raise ModuleNotFoundError(f'{name} is blocked', name=name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        f"for name in {modules()!r}:\n"
        "    importlib.import_module(name)\n"
        "from dfl_solvers.exceptions import MissingDependencyError, import_optional\n"
        "try:\n"
        "    import_optional('matplotlib.figure', 'experiments')\n"
        "except MissingDependencyError as error:\n"
        "    assert 'dfl-opt[experiments]' in str(error)\n"
        "else:\n"
        "    raise AssertionError\n"
        "from dfl_experiments.doctor import examine\n"
        "from rich.console import Console\n"
        "assert examine(Console(quiet=True)) == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("package", ["dfl_solvers", "dfl", "dfl.losses", "dfl.training",
                                     "dfl.estimators", "dfl.metrics", "dfl.datasets"])  # fmt: skip
def test_public_names_exist_and_are_described(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        thing = getattr(module, name)
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue
        assert inspect.getdoc(thing), name
        if inspect.isfunction(thing) and inspect.signature(thing).parameters:
            assert "Parameters" in inspect.getdoc(thing), name
        for method, value in vars(thing).items() if inspect.isclass(thing) else ():
            if not method.startswith("_") and (
                inspect.isfunction(value) or isinstance(value, property | classmethod)
            ):
                assert inspect.getdoc(value), f"{name}.{method}"
    with pytest.raises(AttributeError):
        _ = module.no_such_name


def test_no_public_signature_takes_any_keyword() -> None:
    for package in ("dfl_solvers", "dfl.losses", "dfl.training", "dfl.estimators", "dfl.metrics"):
        module = importlib.import_module(package)
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing):
                kinds = {p.kind for p in inspect.signature(thing).parameters.values()}
                assert inspect.Parameter.VAR_KEYWORD not in kinds, name
