"""Public docstrings are complete, by the rules of numpydoc.

Public is every name of the reference, and of the command line, which has no reference, every name
without an underscore that a module makes.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import ERROR_MSGS, validate
from pydantic import BaseModel

ROOT = Path(__file__).parents[1]
# sections that numpydoc would have in every docstring, and that ours have where they help
HELPFUL = {"ES01", "SA01", "SA02", "SA03", "SA04", "EX01"}
RULES = set(ERROR_MSGS) - HELPFUL
# what is said of arguments and results: in the summary, of a method or of a function that is called
# from within the command line only, or in sections of their own
SECTIONS = {"PR01": "Parameters", "RT01": "Returns", "YD01": "Yields"}


def reference() -> dict[str, dict[str, list[str]]]:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from api_reference import API
    finally:
        sys.path.pop(0)
    return API


REFERENCE = reference()


APPLICATION = ROOT / "experiments" / "dfl_experiments"
MODULES = [
    ".".join(path.relative_to(APPLICATION.parent).with_suffix("").parts)
    for path in sorted(APPLICATION.rglob("[!_]*.py"))
]


def documented(package: str) -> Iterator[tuple[str, Any]]:
    """Yield the functions, classes and public methods of a package, with their full names."""
    module = importlib.import_module(package)
    for name in (name for names in REFERENCE[package].values() for name in names):
        value = getattr(module, name)
        if callable(value):
            yield from with_methods(f"{package}.{name}", value)


def made_by(module: str) -> Iterator[tuple[str, Any]]:
    """Yield the functions, classes and public methods that a module makes."""
    for name, value in vars(importlib.import_module(module)).items():
        made = inspect.isclass(value) or inspect.isfunction(value)
        if made and not name.startswith("_") and value.__module__ == module:
            yield from with_methods(f"{module}.{name}", value)


def with_methods(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a function, or a class and its public methods."""
    yield name, value
    fields = getattr(value, "__dataclass_fields__", {})
    for own, member in vars(value).items() if inspect.isclass(value) else ():
        if own.startswith("_") or own in fields:
            continue
        if isinstance(member, property):
            yield f"{name}.{own}", member.fget
        elif inspect.isfunction(member) or isinstance(member, (classmethod, staticmethod)):
            yield f"{name}.{own}", getattr(member, "__func__", member)


def elsewhere(name: str) -> set[str]:
    """Return the parameters whose description says where they are described."""
    described = get_doc_object(_found(name))["Parameters"]
    return {
        each
        for part in described
        if " ".join(part.desc).lower().startswith(("as in", "as for", "see "))
        for each in part.name.split(", ")
    }


def _found(name: str) -> Any:
    path = name.split(".")
    for k in range(len(path), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(path[:k]))
        except ModuleNotFoundError:
            continue
        for part in path[k:]:
            value = getattr(value, part)
        return value
    raise LookupError(name)


def begun(code: str, text: str) -> bool:
    """Say whether a docstring has the section that an error is about."""
    return f"\n{SECTIONS[code]}\n" in text


def wrong(name: str, value: Any) -> list[str]:
    """Return what is missing from a docstring."""
    text = inspect.getdoc(value) or ""
    found = [(code, what) for code, what in validate(name)["errors"] if code in RULES]
    if inspect.isclass(value):
        if getattr(value, "_is_protocol", False) or issubclass(value, int):
            found = [each for each in found if each[0] != "PR01"]  # nobody constructs these
        elif issubclass(value, BaseModel):
            # fields of a configuration are described beneath them, where names do not say it
            found = [each for each in found if each[0] != "PR01" or begun("PR01", text)]
        elif dataclasses.is_dataclass(value) or issubclass(value, tuple):
            # fields are parameters and attributes in one, and are described once
            stated = get_doc_object(value)["Attributes"]
            names = {each for entry in stated for each in entry.name.split(", ")}
            fields = set(inspect.signature(value).parameters)
            found = [each for each in found if each[0] != "PR01"]
            if not text.count("\nParameters\n") and fields - names:
                found.append(("PR01", f"Fields {sorted(fields - names)} not documented"))
    elif "." in value.__qualname__ or value.__module__ in MODULES:
        found = [each for each in found if each[0] not in SECTIONS or begun(each[0], text)]
    if any(code == "PR04" for code, _ in found):
        said = elsewhere(name)
        found = [
            (code, what) for code, what in found if code != "PR04" or what.split('"')[1] not in said
        ]
    return [f"{name}: {what}" for _, what in found]


@pytest.mark.parametrize("package", REFERENCE)
def test_public_docstrings_are_complete(package: str) -> None:
    missing = [each for name, value in documented(package) for each in wrong(name, value)]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("module", MODULES)
def test_docstrings_of_the_command_line_are_complete(module: str) -> None:
    missing = [each for name, value in made_by(module) for each in wrong(name, value)]
    assert not missing, "\n".join(missing)
