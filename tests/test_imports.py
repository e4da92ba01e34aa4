"""Importing is cheap, and needs no optional package."""

from __future__ import annotations

import ast
import configparser
import importlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
FOLDERS = [str(ROOT), str(ROOT / "solvers"), str(ROOT / "experiments")]
OPTIONAL = (
    "accelerate",
    "cvxpy",
    "dask",
    "datasets",
    "diffusers",
    "distributed",
    "gurobipy",
    "gymnasium",
    "jax",
    "math_verify",
    "matplotlib",
    "optuna",
    "ortools",
    "pandas",
    "peft",
    "pyarrow",
    "pyepo",
    "skfolio",
    "stable_baselines3",
    "transformers",
    "trl",
)
EVERYTHING = """
import importlib, pkgutil
import dfl, dfl_solvers, dfl_experiments
names = []
for package in (dfl, dfl_solvers, dfl_experiments):
    names += [m.name for m in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
for package in (dfl, dfl_solvers):
    for name in dir(package):
        getattr(package, name)
from rich.console import Console
from dfl_experiments.doctor import examine
assert examine(Console(quiet=True)) == 0
print(len(names))
"""


def run(script: str, blocked: tuple[str, ...] = ()) -> str:
    """Run a script in a fresh interpreter in which some packages cannot be imported."""
    start = f"import sys\nsys.path[:0] = {FOLDERS!r}\n"
    start += "".join(f"sys.modules[{name!r}] = None\n" for name in blocked)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", start + script], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(script: str) -> set[str]:
    # scikit-learn itself loads pandas, which loads more, where it is installed
    return set(run(script + "\nprint(*sys.modules)", ("pandas",)).split()) - {"pandas"}


def test_the_face_of_the_library_loads_nothing_heavy() -> None:
    heavy = {"numpy", "scipy", "torch", "numba", "sklearn", "highspy", "clarabel", "joblib"}
    assert not loaded("import dfl, dfl_solvers, dfl_experiments") & (heavy | set(OPTIONAL))


def test_the_estimator_loads_no_solver_and_no_room_it_does_not_need() -> None:
    modules = loaded("from dfl import DecisionFocusedRegressor")
    late = {"numba", "highspy", "clarabel", "pooch", "typer", "pydantic", "yaml"}
    assert not modules & (late | set(OPTIONAL))
    assert not modules & {"sklearn.linear_model", "sklearn.model_selection", "sklearn.ensemble"}
    assert "dfl.datasets" not in modules


def test_oracles_load_no_learning() -> None:
    modules = loaded("import dfl_solvers\nfor name in dir(dfl_solvers): getattr(dfl_solvers, name)")
    assert "dfl_solvers.problems.portfolio" in modules
    assert not modules & {"torch", "sklearn", "dfl"}


def test_everything_can_be_imported_without_optional_packages() -> None:
    assert int(run(EVERYTHING, OPTIONAL)) > 50


@pytest.mark.parametrize(
    ("script", "package", "extra"),
    [
        ("from dfl.datasets import load_sp500; load_sp500()", "skfolio", "experiments"),
        ("from dfl_experiments import report; report.check()", "pandas", "experiments"),
        ("from dfl_experiments import report; report.check()", "matplotlib", "experiments"),
    ],
)
def test_a_missing_package_names_its_extra(script: str, package: str, extra: str) -> None:
    caught = f"""
from dfl.exceptions import MissingDependencyError
try:
    {script}
except MissingDependencyError as error:
    print(error)
"""
    message = run(caught, (package,))
    assert package in message
    assert f"dfl-opt[{extra}]" in message


def test_the_doctor_names_the_extra_of_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from dfl_experiments import doctor, environment

    monkeypatch.setattr(environment, "version", lambda package: None)
    shown = io.StringIO()
    doctor.examine(Console(file=shown, width=200))
    for package, extra in environment.OPTIONAL.items():
        line = next(line for line in shown.getvalue().splitlines() if f" {package} " in line)
        assert f"pip install 'dfl-opt[{extra}]'" in line


def test_what_is_imported_late_names_an_extra_that_brings_it() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    brought = {
        extra: {Requirement(line).name for line in lines.splitlines() if line}
        for extra, lines in config["options.extras_require"].items()
    }
    brings = {"cvxpy": "cvxpy-base", "tokenizers": "transformers"}  # where names differ
    calls = 0
    for folder in FOLDERS:
        for path in sorted(Path(folder).glob("dfl*/**/*.py")):
            text = path.read_text(encoding="utf-8")
            if "import_optional(" not in text:
                continue
            home = ".".join(path.relative_to(folder).with_suffix("").parts)
            for node in ast.walk(ast.parse(text)):
                if getattr(getattr(node, "func", None), "id", None) != "import_optional":
                    continue
                module, extra = (
                    vars(importlib.import_module(home)).get(value.id)
                    if isinstance(value, ast.Name)
                    else value.value
                    for value in (*node.args, *(keyword.value for keyword in node.keywords))
                )
                where = f"{path}:{node.lineno}: {module} by {extra}"
                assert extra in brought, where
                if module is not None:  # not one name of a loop
                    name = module.partition(".")[0]
                    assert {name, name.replace("_", "-"), brings.get(name)} & brought[extra], where
                    calls += 1
    assert calls > 30
