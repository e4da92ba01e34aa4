"""A fitted estimator as a folder: JSON, safetensors and npz; nothing in it is run."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dfl.exceptions import InvalidInputError

_DESCRIPTION = "model.json"
_FORMAT = "dfl-model"
_VERSION = 1


def write_folder(
    path: str | os.PathLike[str], content: Any, parts: Mapping[str, Callable[[Path], None]]
) -> None:
    """Write a folder, whole or not at all; an older model of that name is replaced.

    Parameters
    ----------
    path : path
    content : JSON-able
        The description; it goes to ``model.json`` with a checksum of every part.
    parts : mapping of file name to callable
        Each writes its file at the path it is given.

    Raises
    ------
    InvalidInputError
        If the path exists and is no model's folder.
    """
    target = Path(path)
    if target.exists() and not (target / _DESCRIPTION).is_file():
        raise InvalidInputError(
            f"{target} exists and is no model's folder; nothing was written, choose another path"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    old = unfinished.with_suffix(".old")
    try:
        unfinished.mkdir()
        for name, write in parts.items():
            write(unfinished / name)
        head = {
            "format": _FORMAT,
            "version": _VERSION,
            "content": content,
            "files": {name: _checksum((unfinished / name).read_bytes()) for name in parts},
        }
        head["checksum"] = _checksum(_canonical(head))
        (unfinished / _DESCRIPTION).write_text(json.dumps(head, indent=1), encoding="utf-8")
        if target.exists():
            os.replace(target, old)
        os.replace(unfinished, target)
    except BaseException:
        if old.exists() and not target.exists():
            os.replace(old, target)
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def read_folder(path: str | os.PathLike[str]) -> Any:
    """Return the description of a folder whose files are all as they were written.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    InvalidInputError
        If it is no model's folder, of a newer version, or a file is missing or was changed.
    """
    folder = Path(path)
    if not folder.exists():
        raise FileNotFoundError(f"{folder} does not exist")
    try:
        head = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{folder} is no model's folder: {error}") from error
    if not isinstance(head, dict) or head.get("format") != _FORMAT:
        raise InvalidInputError(f"{folder} is no model's folder: {_DESCRIPTION} is of another kind")
    if head.get("version") != _VERSION:
        raise InvalidInputError(
            f"{folder}: got version {head.get('version')!r} of the format, expected {_VERSION}; "
            "a newer version of dfl-opt writes other ones"
        )
    checksum = head.pop("checksum", None)
    if checksum != _checksum(_canonical(head)) or not isinstance(head.get("files"), dict):
        raise InvalidInputError(f"{folder}: {_DESCRIPTION} was changed after it was written")
    for name, expected in head["files"].items():
        if Path(name).name != name:
            raise InvalidInputError(f"{folder}: got a file named {name!r} outside of the folder")
        try:
            found = _checksum((folder / name).read_bytes())
        except OSError as error:
            raise InvalidInputError(f"{folder}: {name} cannot be read: {error}") from error
        if found != expected:
            raise InvalidInputError(f"{folder}: {name} was changed after it was written")
    return head["content"]


def _canonical(head: Any) -> bytes:
    return json.dumps(head, sort_keys=True, separators=(",", ":")).encode()


def _checksum(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=32).hexdigest()
