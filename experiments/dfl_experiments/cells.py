"""Where finished work is kept: one file a cell, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from dfl.exceptions import DFLError

# raise it when the meaning of a cell's content changes: older cells are then computed anew
FORMAT = 2
# a temporary file older than this was left by a process that is gone
_STALE_SECONDS = 60.0


class StorageError(DFLError, OSError):
    """A result cannot be written; what was written before is whole and stays."""


def canonical(value: Any) -> bytes:
    """Write a value as JSON in the one form that its hash is taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(value: Any) -> str:
    """Hash a value by its canonical JSON.

    Examples
    --------
    >>> digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    True
    """
    return hashlib.sha256(canonical(value)).hexdigest()


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an error of the file system into one line that names the file and the reason."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        hint = "; free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise StorageError(f"cannot write {path}: {reason}{hint}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it appears whole under its name, or not at all.

    Raises
    ------
    StorageError
        If the folder is missing or unwritable, or the disk is full.
    """
    # not tempfile's, which only its owner may read
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    with explained(path):
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


@final
class CellStore:
    """The finished cells in a folder, by the hash of what determines them.

    Parameters
    ----------
    folder : Path
        Created if missing.

    Raises
    ------
    StorageError
        If the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob(".*.tmp"):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                        left.unlink()

    def path(self, key: str) -> Path:
        """Return the file of a cell."""
        return self.folder / f"{key}.json"

    def save(self, key: str, content: dict[str, Any]) -> None:
        """Write a finished cell, sealed by a hash of its content."""
        sealed = {**content, "seal": digest(content)}
        write_atomically(self.path(key), canonical(sealed) + b"\n")

    def load(self, key: str) -> dict[str, Any] | None:
        """Read a finished cell; None if there is none.

        Raises
        ------
        ValueError
            If the file is truncated, was altered or holds another cell.
        """
        try:
            text = self.path(key).read_bytes()
        except FileNotFoundError:
            return None
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("not a cell")
        seal = content.pop("seal", None)
        if seal != digest(content):
            raise ValueError("the content does not match its seal")
        if content.get("key") != key:
            raise ValueError("the file holds another cell")
        return content
