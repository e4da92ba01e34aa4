"""From the short form of a sweep, with grids, to a plain list of problems and of methods."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from dfl.exceptions import InvalidInputError
from dfl_experiments.catalog import TAGGED
from dfl_experiments.config_errors import one_of
from dfl_experiments.methods import AbstractMethod
from dfl_experiments.space import grid, merged

# between the name of a method and that of its predictor class
SEPARATOR = " | "


def expand(raw: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Write out ``each`` of problems and methods, and the methods times ``predictors``.

    What is not of the right form stays as it is: the models say what is wrong with it.

    Parameters
    ----------
    raw : mapping
        What was read from YAML.
    source : str
        For messages.

    Raises
    ------
    InvalidInputError
        If ``each`` or ``predictors`` are not of their form.
    """
    found = copy.deepcopy(dict(raw))
    predictors = found.pop("predictors", {})
    if not isinstance(predictors, dict) or not all(
        isinstance(fields, dict) for fields in predictors.values()
    ):
        raise InvalidInputError(
            f"{source}: predictors: got {predictors!r}, expected names with fields of methods, "
            "such as {linear: {predictor: linear}}"
        )
    _check_fields(predictors, source)
    if isinstance(found.get("problems"), dict):
        found["problems"] = {
            f"{name}{note}": spec
            for name, entry in found["problems"].items()
            for note, spec in _each(entry, f"{source}: problems.{name}")
        }
    if isinstance(found.get("methods"), list):
        found["methods"] = [
            crossed
            for place, entry in enumerate(found["methods"])
            for note, spec in _each(entry, f"{source}: methods.{place}")
            for crossed in _crossed(_renamed(spec, note), predictors)
        ]
    return found


def _check_fields(predictors: Mapping[str, Mapping[str, Any]], source: str) -> None:
    methods = [leaf for leaf in TAGGED.values() if issubclass(leaf, AbstractMethod)]
    known = dict.fromkeys(name for leaf in methods for name in leaf.model_fields)
    for fields in predictors.values():
        for field in fields:
            if field not in known:
                raise InvalidInputError(
                    f"{source}: predictors: got the field {field!r}, expected "
                    f"{one_of(str(field), known)}"
                )


def _each(entry: Any, where: str) -> list[tuple[str, Any]]:
    """Return an entry with each combination of its lists, and what tells them apart."""
    if not isinstance(entry, dict) or "each" not in entry:
        return [("", entry)]
    lists, rest = entry["each"], {key: value for key, value in entry.items() if key != "each"}
    well_formed = isinstance(lists, dict) and all(
        isinstance(values, list) and values for values in lists.values()
    )
    if not well_formed:
        raise InvalidInputError(
            f"{where}.each: got {lists!r}, expected fields with lists, such as {{degree: [1, 4]}}"
        )
    try:
        return [
            ("".join(f" {key}={value}" for key, value in chosen.items()), merged(rest, chosen))
            for chosen in grid(lists)
        ]
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}.each: {error}") from error


def _renamed(spec: Any, note: str) -> Any:
    if not note or not isinstance(spec.get("name"), str):
        return spec
    return {**spec, "name": f"{spec['name']}{note}"}


def _crossed(spec: Any, predictors: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    """Return a method with each class of predictors, if it has the fields that make them."""
    leaf = TAGGED.get(str(spec.get("estimator"))) if isinstance(spec, dict) else None
    fields = {field for each in predictors.values() for field in each}
    if not fields or leaf is None or not fields <= set(leaf.model_fields):
        return [spec]
    if not isinstance(spec.get("name"), str):
        return [spec]
    crossed = [
        {**spec, **each, "name": f"{spec['name']}{SEPARATOR}{name}"}
        for name, each in predictors.items()
        # what the method says itself is not changed
        if not any(field in spec and spec[field] != each[field] for field in each)
    ]
    return crossed or [spec]  # of a class of its own


def family(name: str) -> tuple[str, str | None]:
    """Return what a method is called without its class of predictors, and that class.

    Examples
    --------
    >>> family("spo+ | mlp"), family("least squares")
    (('spo+', 'mlp'), ('least squares', None))
    """
    own, separator, predictor = name.rpartition(SEPARATOR)
    return (own, predictor) if separator else (name, None)
