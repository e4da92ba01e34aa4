"""The state of a design in one checked file: written whole or not at all, no pickle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dfl.exceptions import InvalidInputError
from dfl_solvers._archive import read_archive, write_archive
from dfl_solvers.oracle import Array

NAME = "design.npz"
_KIND = "sequential-design"
_VERSION = 1
# the kinds of random bits that a state may hold
_BITS = {
    kind.__name__: kind
    for kind in (
        np.random.PCG64,
        np.random.PCG64DXSM,
        np.random.MT19937,
        np.random.Philox,
        np.random.SFC64,
    )
}


def write(folder: Path, content: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write the state to a folder; an older one there is replaced in one step.

    Raises
    ------
    InvalidInputError
        If the folder cannot be written; an older state is left as it was.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        head = {"kind": _KIND, "version": _VERSION, **content}
        write_archive(folder / NAME, head, arrays)
    except OSError as error:
        raise InvalidInputError(f"{folder / NAME} cannot be written: {error}") from error


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read what ``write`` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no state.
    InvalidInputError
        If it is damaged, of another kind or of a newer version. The file is left as it is.
    """
    path = folder / NAME
    try:
        content, arrays = read_archive(path)
    except InvalidInputError as error:
        raise InvalidInputError(
            f"{path} is damaged, or no state of a design; it was left as it is. Restore a copy, or "
            "move it away to start again"
        ) from error
    if not isinstance(content, dict) or content.get("kind") != _KIND:
        raise InvalidInputError(f"{path} is no state of a design; it was left as it is")
    if content.get("version") != _VERSION:
        raise InvalidInputError(
            f"{path}: got version {content.get('version')!r}, expected {_VERSION}; a newer version "
            "of dfl-opt writes other ones"
        )
    return content, arrays


def check_same(
    folder: str | os.PathLike[str], theirs: Mapping[str, Any], ours: Mapping[str, Any]
) -> None:
    """Refuse the state of a design that is made of other parts."""
    for name, value in ours.items():
        if theirs.get(name) != value:
            raise InvalidInputError(
                f"{folder} holds the state of another design: its {name} is {theirs.get(name)}, "
                f"that of this design {value}"
            )


def part(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """Return the arrays whose names begin so, by the rest of their names."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def generator_from(state: Mapping[str, Any]) -> np.random.Generator:
    """Return a generator in a state that was saved.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is no such state.
    """
    found = np.random.Generator(_BITS[state["bit_generator"]]())
    found.bit_generator.state = state
    return found


def stamp(folder: Path) -> tuple[int, ...] | None:
    """Return what changes when a state is replaced; None without one."""
    try:
        found = os.stat(folder / NAME)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
