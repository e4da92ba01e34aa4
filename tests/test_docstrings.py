"""Public docstrings are complete: every name of the reference, by the rules of numpydoc."""

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

ROOT = Path(__file__).parents[1]
# sections that numpydoc would have in every docstring, and that ours have where they help
HELPFUL = {"ES01", "SA01", "SA02", "SA03", "SA04", "EX01"}
RULES = set(ERROR_MSGS) - HELPFUL
# what is said of arguments and results: in the summary of a method, or in sections of their own
SECTIONS = {"PR01": "Parameters", "RT01": "Returns", "YD01": "Yields"}


def reference() -> dict[str, dict[str, list[str]]]:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from api_reference import API
    finally:
        sys.path.pop(0)
    return API


REFERENCE = reference()


def documented(package: str) -> Iterator[tuple[str, Any]]:
    """Yield the functions, classes and public methods of a package, with their full names."""
    module = importlib.import_module(package)
    for name in (name for names in REFERENCE[package].values() for name in names):
        value = getattr(module, name)
        if not callable(value):
            continue
        yield f"{package}.{name}", value
        for own, member in vars(value).items() if inspect.isclass(value) else ():
            if own.startswith("_"):
                continue
            if isinstance(member, property):
                yield f"{package}.{name}.{own}", member.fget
            elif inspect.isfunction(member) or isinstance(member, (classmethod, staticmethod)):
                yield f"{package}.{name}.{own}", getattr(member, "__func__", member)


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


def wrong(name: str, value: Any) -> list[str]:
    """Return what is missing from a docstring."""
    text = inspect.getdoc(value) or ""
    found = [(code, what) for code, what in validate(name)["errors"] if code in RULES]
    if inspect.isclass(value):
        if getattr(value, "_is_protocol", False) or issubclass(value, int):
            found = [each for each in found if each[0] != "PR01"]  # nobody constructs these
        elif dataclasses.is_dataclass(value) or issubclass(value, tuple):
            # fields are parameters and attributes in one, and are described once
            stated = get_doc_object(value)["Attributes"]
            names = {each for entry in stated for each in entry.name.split(", ")}
            fields = set(inspect.signature(value).parameters)
            found = [each for each in found if each[0] != "PR01"]
            if not text.count("\nParameters\n") and fields - names:
                found.append(("PR01", f"Fields {sorted(fields - names)} not documented"))
    elif "." in value.__qualname__:
        found = [
            (code, what)
            for code, what in found
            if code not in SECTIONS or f"\n{SECTIONS[code]}\n" in text
        ]
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
