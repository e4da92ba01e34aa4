"""What is wrong with a configuration, in its own words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from dfl_experiments.base import AbstractModel
from dfl_experiments.problems.study import AbstractStudy


def explain(
    error: ValidationError,
    raw: Any,
    model: type[AbstractModel],
    tagged: Mapping[str, type[AbstractModel]],
) -> str:
    """Say in one line what is wrong first, in the words of the configuration.

    Parameters
    ----------
    error : ValidationError
        What pydantic found.
    raw : mapping
        What was validated.
    model : type
        By which it was.
    tagged : mapping
        The models behind the tags that pydantic puts into the location of an error.

    Returns
    -------
    str
        The key, and what is wrong with its value.
    """
    first = error.errors(include_url=False)[0]
    kind, location = first["type"], first["loc"]
    node = raw
    shown: list[str] = []
    for part in location:
        own = isinstance(node, Mapping) and part in node
        if isinstance(part, str) and part in tagged and not own:
            continue  # the tag that chose the model is no key
        if isinstance(part, str) and shown and not isinstance(node, Mapping | list | tuple):
            continue  # pydantic's name for one of the types that a plain value may have
        node = step(node, part)
        named = isinstance(part, int) and isinstance(node, Mapping) and "name" in node
        shown.append(str(node["name"] if named else part))
    key = ".".join(shown)
    if kind == "extra_forbidden":
        # the innermost model
        inner = (p for p in reversed(location[:-1]) if isinstance(p, str) and p in tagged)
        owner = next((tagged[p] for p in inner), model)
        return f"{key}: unknown key, expected {one_of(str(location[-1]), owner.model_fields)}"
    if kind == "missing":
        return f"{key}: missing"
    if kind == "union_tag_not_found":
        return f"{key}: missing {first['ctx']['discriminator']}, which says what it is"
    if kind == "union_tag_invalid":
        tag, field = first["ctx"]["tag"], first["ctx"]["discriminator"].strip("'")
        tags = re.findall(r"'([^']*)'", first["ctx"]["expected_tags"])
        if field == "kind":
            tags = [name for name, leaf in tagged.items() if issubclass(leaf, AbstractStudy)]
        return f"{key}.{field}: got {tag!r}, expected {one_of(tag, tags)}"
    if kind == "literal_error":
        # numbers stand there without quotes
        choices = [each.strip("'") for each in re.split(", | or ", first["ctx"]["expected"])]
        return f"{key}: got {first['input']!r}, expected {one_of(str(first['input']), choices)}"
    if kind == "value_error":  # of this project: it says all of it
        return str(first["ctx"]["error"])
    if kind == "config":
        return f"{key}: {first['msg']}" if key else first["msg"]
    return f"{key}: got {_short(first['input'])}, expected {_expected(first['msg'])}"


def _expected(message: str) -> str:
    """Turn a message of pydantic into the end of a sentence, in the words of YAML."""
    text = message.removeprefix("Input should be ").partition(", unable to parse")[0]
    text = text[:1].lower() + text[1:]
    if text.startswith(("greater", "less")):
        return f"a number {text}"
    for theirs, ours in (
        ("tuple", "list"),
        ("a valid dictionary or object to extract fields from", "keys with values"),
        (" after validation, not 0", ""),
    ):
        text = text.replace(theirs, ours)
    return text


def step(node: Any, part: Any) -> Any:
    """Return an item of a mapping or a list; None if there is none."""
    try:
        return node[part]
    except (KeyError, IndexError, TypeError):
        return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def custom(message: str) -> PydanticCustomError:
    """Make an error for a validator whose message stays as it is."""
    return PydanticCustomError("config", "{message}", {"message": message})


def one_of(got: str, known: Iterable[str]) -> str:
    """List what is known, and what was perhaps meant."""
    known = list(known)
    near = difflib.get_close_matches(got, known, n=2, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    return f"one of: {', '.join(known)}{hint}"
