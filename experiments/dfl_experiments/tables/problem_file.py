"""The optimization problem of a CSV user: a YAML file, a model file or a saved oracle."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import dfl_solvers
from dfl.exceptions import InvalidInputError
from dfl_experiments.tables.csv_file import CSVFile
from dfl_experiments.yaml_text import parse_yaml
from dfl_solvers.oracle import Oracle

_MODEL_FILES = (".mps", ".mps.gz", ".lp", ".lp.gz")
# they are made of matrices, which a model file holds better
_NOT_IN_YAML = {"LinearProgram", "MixedIntegerProgram"}


def read_problem(path: Path, costs: Sequence[str]) -> Oracle:
    """Make the oracle that a file describes.

    Parameters
    ----------
    path : Path
        ``.yaml``: ``kind`` is a problem of ``dfl_solvers`` such as ``knapsack`` or
        ``grid-shortest-path``; the other keys are its parameters, where the name of a ``.csv`` file
        beside stands for its numbers; ``maximize: true`` for values. ``.mps`` or ``.lp``: the
        variables named like the columns of costs have predicted costs. ``.npz``: what
        ``save_oracle`` wrote.
    costs : sequence of str
        Columns of costs.

    Raises
    ------
    InvalidInputError
        If the file cannot be read or describes no problem.
    """
    name = path.name.lower()
    if not path.is_file():
        raise InvalidInputError(f"{path}: there is no such file")
    if name.endswith(_MODEL_FILES):
        from dfl_solvers.imports import from_file

        return from_file(path, costs=costs)
    if name.endswith(".npz"):
        return dfl_solvers.load_oracle(path)
    if not name.endswith((".yaml", ".yml")):
        raise InvalidInputError(
            f"{path}: got a file of an unknown kind, expected .yaml, .mps, .lp or .npz"
        )
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInputError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, Mapping) or "kind" not in content:
        raise InvalidInputError(f"{path}: expected keys and values, among them `kind`")
    return _problem(path, {str(key): value for key, value in content.items()})


def kinds() -> dict[str, str]:
    """Return the kinds of problems that a YAML file may name, and their classes."""
    return {
        re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower(): name
        for name, home in sorted(dfl_solvers._HOMES.items())
        if home.startswith("problems.") and name not in _NOT_IN_YAML
    }


def _problem(path: Path, content: dict[str, Any]) -> Oracle:
    known = kinds()
    kind = content.pop("kind")
    if not isinstance(kind, str) or kind not in known:
        programs = "; a linear or mixed-integer program is given as an .mps or .lp file"
        raise InvalidInputError(
            f"{path}: kind: got {str(kind)[:40]!r}, expected one of: {', '.join(known)}"
            + (programs if str(kind).endswith("-program") else _near(str(kind), known))
        )
    maximize = content.pop("maximize", False)
    if not isinstance(maximize, bool):
        raise InvalidInputError(f"{path}: maximize: got {maximize!r}, expected true or false")
    leaf = getattr(importlib.import_module(f"dfl_solvers.{_home(known[kind])}"), known[kind])
    if kind == "energy-scheduling" and content.keys() == {"load_file"}:
        oracle = leaf.from_file(path.parent / str(content["load_file"]))
        return dfl_solvers.Maximize(oracle) if maximize else oracle
    parameters = inspect.signature(leaf).parameters
    for key in content:
        if key not in parameters:
            raise InvalidInputError(
                f"{path}: got the key {key!r}, expected of {kind}: "
                + ", ".join([*parameters, "maximize"])
                + _near(key, [*parameters, "maximize"])
            )
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in content:
            raise InvalidInputError(f"{path}: {kind} needs the key {key!r}")
    values = {key: _value(path, key, value) for key, value in content.items()}
    try:
        oracle = leaf(**values)
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        raise InvalidInputError(f"{path}: these keys make no {kind}: {error}") from error
    return dfl_solvers.Maximize(oracle) if maximize else oracle


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _home(name: str) -> str:
    return dfl_solvers._HOMES[name]


def _value(path: Path, key: str, value: Any) -> Any:
    """Return a parameter; numbers in a CSV file beside may stand for a list."""
    if isinstance(value, str) and value.endswith(".csv"):
        table = CSVFile.read(path.parent / value)
        return np.column_stack([table.numbers(name) for name in table.header])
    if isinstance(value, list):
        try:
            numbers = np.array(value)
        except ValueError:
            numbers = np.array([None])
        if numbers.dtype.kind not in "biuf":
            raise InvalidInputError(f"{path}: {key}: expected numbers, in rows of equal length")
        return numbers
    return value
