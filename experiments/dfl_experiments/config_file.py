"""Recipes and files: YAML and ``--set key=value`` in, checked models out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from dfl.exceptions import InvalidInputError
from dfl_experiments.base import AbstractModel
from dfl_experiments.catalog import TAGGED
from dfl_experiments.config import (
    Config,
    DesignConfig,
    PolicyConfig,
    RunConfig,
    SuiteConfig,
    parse_seeds,
)
from dfl_experiments.config_errors import explain, one_of, step
from dfl_experiments.design.study import AbstractDesignStudy
from dfl_experiments.policies.study import AbstractPolicyStudy
from dfl_experiments.yaml_text import parse_yaml


def recipes() -> dict[str, str]:
    """Return the shipped recipes: a name and a one-line description each."""
    found = {}
    for path in sorted(_folder().iterdir(), key=lambda path: path.name):
        if path.name.endswith(".yaml"):
            raw = _parse(path.read_text(encoding="utf-8"), path.name)
            found[path.name.removesuffix(".yaml")] = str(raw.get("description", ""))
    return found


def load(
    source: str, settings: Sequence[str] = (), seeds: str | None = None
) -> Config | SuiteConfig:
    """Read a recipe or a file, change it by settings, and check it.

    Parameters
    ----------
    source : str
        Name of a shipped recipe, or path of a YAML file.
    settings : sequence of str
        ``"key=value"``, the key a dotted path; an item of a list is addressed by its name or
        number, and a recipe of a suite by its name.
    seeds : str, optional
        Such as ``"0:10"`` or ``"1,2,5"``; for a suite, the seeds of each recipe that draws data.

    Raises
    ------
    InvalidInputError
        If anything is unknown or has a wrong value; the message names the key and near matches.
    """
    raw = read(source)
    if "problems" in raw:
        raise InvalidInputError(f"{source} is a sweep; run it by: dfl sweep {source}")
    if "recipes" not in raw:
        for setting in settings:
            set_key(raw, *split(setting))
        if seeds is not None:
            raw["seeds"] = parse_seeds(seeds, "--seeds")
        return _checked_run(raw, source)
    return _load_suite(raw, source, settings, seeds)


def _load_suite(
    raw: dict[str, Any], source: str, settings: Sequence[str], seeds: str | None
) -> SuiteConfig:
    for key in raw:
        if key not in SuiteConfig.model_fields:
            known = one_of(str(key), SuiteConfig.model_fields)
            raise InvalidInputError(f"{source}: {key}: unknown key, expected {known}")
    names = raw["recipes"]
    if not isinstance(names, list) or not names:
        raise InvalidInputError(f"{source}: recipes: got {names!r}, expected a list of recipes")
    members = {str(name): read(str(name)) for name in names}
    for setting in settings:
        path, value = split(setting)
        if path[0] not in members or len(path) < 2:
            raise InvalidInputError(
                f"--set {'.'.join(path)}: this is a suite: the key must begin with the name of a "
                f"recipe, {one_of(path[0], members)}"
            )
        set_key(members[path[0]], path[1:], value)
    checked = []
    for name, member in members.items():
        if "recipes" in member:
            raise InvalidInputError(f"{source}: recipes: {name!r} is a suite itself")
        run = _checked_run(member, name)
        if seeds is not None and run.problem.draws_data:
            run = _checked_run({**member, "seeds": parse_seeds(seeds, "--seeds")}, name)
        checked.append(run)
    return SuiteConfig(
        name=str(raw.get("name", source)),
        description=str(raw.get("description", "")),
        recipes=tuple(checked),
    )


def _folder() -> Any:
    return resources.files("dfl_experiments") / "configs"


def read(source: str) -> dict[str, Any]:
    """Read a recipe by its name, or a YAML file, unchecked."""
    if source.endswith((".yaml", ".yml")) or "/" in source or "\\" in source:
        try:
            text = Path(source).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"{source} is not a text file in UTF-8") from error
        except OSError as error:
            raise InvalidInputError(f"cannot read {source}: {error.strerror}") from error
        return _parse(text, source)
    known = [path.name.removesuffix(".yaml") for path in _folder().iterdir()]
    known = sorted(name for name in known if not name.startswith("_"))
    if source not in known:
        raise InvalidInputError(
            f"unknown recipe {source!r}, expected a .yaml file or {one_of(source, known)}"
        )
    return _parse((_folder() / f"{source}.yaml").read_text(encoding="utf-8"), source)


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        raw = parse_yaml(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise InvalidInputError(f"{source}{where}: not valid YAML: {problem}") from error
    if not isinstance(raw, dict):
        raise InvalidInputError(
            f"{source}: got {'an empty file' if raw is None else type(raw).__name__}, expected "
            "keys such as problem and methods"
        )
    return raw


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain scalars: 1.1 reads 1:10 as the number 70, and 1e-3 as a text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|", "~n"),
    ("bool", r"true|True|false|False", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(f"^(?:{_pattern})$"),
        [*_first, ""] if _tag == "null" else list(_first),
    )


def split(setting: str) -> tuple[list[str], Any]:
    """Read ``key=value``: the dotted path of the key, and the value."""
    key, equals, text = setting.partition("=")
    path = [part.strip() for part in key.split(".")]
    if not equals or not all(path):
        raise InvalidInputError(f"--set {setting}: expected key=value, such as problem.degree=6")
    try:
        return path, parse_yaml(text, _Loader)
    except yaml.YAMLError as error:
        raise InvalidInputError(f"--set {key}: {text!r} is not a YAML value") from error


def set_key(raw: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Change a value in what was read."""
    node: Any = raw
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        where = ".".join(path[: depth + 1])
        if isinstance(node, list):
            names = [item.get("name") for item in node if isinstance(item, dict)]
            if part in names:
                index = names.index(part)
            elif part.isdecimal() and int(part) < len(node):
                index = int(part)
            else:
                known = [str(name) for name in names]
                raise InvalidInputError(f"--set {where}: unknown, expected {one_of(part, known)}")
            if last:
                node[index] = value
            node = node[index]
        elif isinstance(node, dict):
            if last:
                node[part] = value
            node = node.setdefault(part, {})
        else:
            raise InvalidInputError(
                f"--set {where}: {'.'.join(path[:depth])} is a plain value without keys"
            )


def _checked_run(raw: Mapping[str, Any], source: str) -> Config:
    leaf = TAGGED.get(str(step(raw.get("problem"), "kind")), AbstractModel)
    model: type[Config] = RunConfig
    if issubclass(leaf, AbstractDesignStudy):
        model = DesignConfig
    elif issubclass(leaf, AbstractPolicyStudy):
        model = PolicyConfig
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise InvalidInputError(f"{source}: {explain(error, raw, model, TAGGED)}") from error
