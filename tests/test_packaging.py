"""What reaches the wheel, and that the documents say what the code does."""

from __future__ import annotations

import importlib
import importlib.util
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_setup_finds_every_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import setuptools

    given: dict = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    on_disk = {
        ".".join(path.parent.relative_to(ROOT / root).parts)
        for name, root in (
            ("dfl", "."),
            ("dfl_solvers", "solvers"),
            ("dfl_experiments", "experiments"),
        )
        for path in (ROOT / root / name).rglob("__init__.py")
    }
    assert set(given["packages"]) == on_disk
    for name, folder in given["package_dir"].items():
        assert (ROOT / folder / "py.typed").exists(), name
    assert list((ROOT / "experiments/dfl_experiments/configs").glob("*.yaml"))


def test_the_reference_names_every_public_name() -> None:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "api_reference.py")
    reference = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(reference)  # type: ignore[union-attr]
    for package, sections in reference.API.items():
        listed = [name for names in sections.values() for name in names]
        public = set(importlib.import_module(package).__all__) - {"__version__"}
        assert sorted(listed) == sorted(public), package


def test_the_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(example, {})
    first, second = re.findall(r"(\w+): ([\d.]+) %", capsys.readouterr().out)
    assert (first[0], second[0]) == ("PredictThenOptimizeRegressor", "DecisionFocusedRegressor")
    assert float(second[1]) < float(first[1])


def test_the_project_speaks_of_itself_alone() -> None:
    forbidden = re.compile(r"(?<![\w.])/(?:work|home|root)/")
    for pattern in ("*.md", "*.cfg", "*.toml", "Makefile", "docs/**/*.md", "**/*.yaml"):
        for path in ROOT.glob(pattern):
            if ".venv" not in path.parts and "_build" not in path.parts:
                assert not forbidden.search(path.read_text()), path
