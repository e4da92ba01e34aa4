"""What a wheel holds, and that the public names are the documented ones."""

from __future__ import annotations

import ast
import configparser
import importlib
import inspect
import pkgutil
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import setuptools
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
ROOTS = {"dfl": ROOT, "dfl_solvers": ROOT / "solvers", "dfl_experiments": ROOT / "experiments"}
API = runpy.run_path(str(ROOT / "docs" / "api_reference.py"))["API"]


def public(package: str) -> dict[str, Any]:
    """Return the public classes and functions of a package by name."""
    names = [name for section in API[package].values() for name in section]
    module = importlib.import_module(package)
    return {name: getattr(module, name) for name in names if name != "__version__"}


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Return what setup.py tells setuptools."""
    given: dict[str, list[str]] = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
    runpy.run_path(str(ROOT / "setup.py"))
    return given


def test_every_folder_with_code_is_a_package_of_the_wheel(found: dict[str, list[str]]) -> None:
    expected = {
        ".".join(path.parent.relative_to(root).parts)
        for name, root in ROOTS.items()
        for path in (root / name).rglob("*.py")
    }
    assert set(found["packages"]) == expected


def test_files_that_are_no_code_reach_the_wheel(found: dict[str, list[str]]) -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    patterns = [item.strip() for item in config["options.package_data"]["*"].split(",")]
    packages = set(found["packages"])
    for name, root in ROOTS.items():
        assert (root / name / "py.typed").exists()
        for path in (root / name).rglob("*"):
            if path.suffix in {".py", ".pyc"} or path.is_dir() or "__pycache__" in path.parts:
                continue
            home = path.parent
            while ".".join(home.relative_to(root).parts) not in packages:
                home = home.parent
            inside = path.relative_to(home).as_posix()
            assert any(re.fullmatch(pattern.replace("*", "[^/]*"), inside) for pattern in patterns)


def test_everything_that_is_asked_for_is_pinned() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    asked = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    wanted = [
        Requirement(line)
        for part in asked
        for line in part.splitlines()
        if line and "==" not in line
    ]
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, version = line.split("==")
        assert re.fullmatch(r"[\w.]+", version), f"{line}: expected a plain version"
        pins[re.sub(r"[-_.]+", "-", name).lower()] = version
    for requirement in wanted:
        if requirement.name == "dfl-opt":
            continue
        version = pins[re.sub(r"[-_.]+", "-", requirement.name).lower()]
        assert requirement.specifier.contains(version), f"{requirement} is pinned at {version}"


def test_the_version_is_the_same_everywhere() -> None:
    import dfl
    import dfl_solvers

    citation = (ROOT / "CITATION.cff").read_text()
    assert f"version: {dfl.__version__}\n" in citation
    assert re.fullmatch(r"\d+\.\d+\.\d+", dfl.__version__)
    assert dfl.__version__ == dfl_solvers.__version__


def test_packages_with_public_names_are_those_of_the_reference() -> None:
    with_names = set()
    for name in ("dfl", "dfl_solvers"):
        top = importlib.import_module(name)
        for found in [name, *(m.name for m in pkgutil.walk_packages(top.__path__, f"{name}."))]:
            if hasattr(importlib.import_module(found), "__all__"):
                with_names.add(found)
    assert with_names == set(API)


@pytest.mark.parametrize("package", API)
def test_public_names_are_documented(package: str) -> None:
    names = [name for section in API[package].values() for name in section]
    exported = importlib.import_module(package).__all__
    assert sorted(names) == sorted(exported)
    assert len(set(exported)) == len(exported)


@pytest.mark.parametrize("package", API)
def test_public_objects_say_what_they_are(package: str) -> None:
    for name, value in public(package).items():
        # a class without a docstring of its own would show that of its base
        text = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
        assert text, name
        for member, method in vars(value).items() if inspect.isclass(value) else ():
            function = method.fget if isinstance(method, property) else method
            function = getattr(function, "__func__", getattr(function, "func", function))
            if not member.startswith("_") and inspect.isfunction(function):
                assert function.__doc__, f"{name}.{member}"


@pytest.mark.parametrize("package", API)
def test_parameters_are_named_in_the_docstring(package: str) -> None:
    for name, value in public(package).items():
        if inspect.isclass(value) and (
            "__init__" not in vars(value) or getattr(value, "_is_protocol", False)
        ):
            continue  # it has no constructor of its own
        parameters = inspect.signature(value).parameters
        text = inspect.getdoc(value)
        for parameter, details in parameters.items():
            named = rf"^(.*, )?{parameter}(,.*)?( : .*)?$"
            assert re.search(named, text, re.MULTILINE), f"{name}: {parameter}"
            # misspelled options would vanish in it
            assert details.kind is not inspect.Parameter.VAR_KEYWORD, f"{name}: **{parameter}"


@pytest.mark.parametrize("package", API)
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = importlib.import_module(package).no_such_name


def test_the_project_speaks_of_itself_alone() -> None:
    forbidden = re.compile(r"(?<![\w.])/(?:work|home|root|tmp)/")
    for pattern in ("*.md", "*.cfg", "*.toml", "Makefile", "docs/**/*.md", "**/*.yaml", "**/*.py"):
        for path in ROOT.glob(pattern):
            parts = path.relative_to(ROOT).parts
            hidden = any(part.startswith(".") for part in parts)  # environments and caches
            if not hidden and not {"_build", "build"} & set(parts):
                assert not forbidden.search(path.read_text(encoding="utf-8")), path


def test_no_code_prints_or_asserts_for_users() -> None:
    for name, root in ROOTS.items():
        for path in (root / name).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                where = f"{path}:{getattr(node, 'lineno', 0)}"
                assert not isinstance(node, ast.Assert), where
                called = getattr(getattr(node, "func", None), "id", None)
                assert called != "print", where
