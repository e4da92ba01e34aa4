"""YAML that anyone may have written."""

from __future__ import annotations

from typing import Any

import yaml


def parse_yaml(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Return what a text says.

    Raises
    ------
    yaml.YAMLError
        For anything that cannot be read. PyYAML itself leaves Python's own errors to the caller
        where a value does not suit its tag, as in ``!!int x``, or lists go too deep.

    Examples
    --------
    >>> parse_yaml("[1, two]")
    [1, 'two']
    """
    try:
        return yaml.load(text, loader)
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise yaml.YAMLError(f"a value does not suit its tag, or lies too deep: {error}") from error
