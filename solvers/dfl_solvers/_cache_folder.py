"""Answers of an oracle on disk, one small file a row, safe with many processes at once."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import secrets
import struct
import time
import warnings
from pathlib import Path
from typing import final

import numpy as np

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.oracle import Status

_MAGIC = b"dflrow1\n"
_CHECK = 16
# seconds after which the unfinished file of a killed process is swept away
_STALE = 86_400.0


@final
class Folder:
    """A folder of answers of one oracle: ``fingerprint/xx/digest`` holds a row and its answer.

    A file is written under another name and then renamed, so readers see all of it or nothing. It
    repeats the whole question and ends with a checksum: what does not fit is no answer.

    Parameters
    ----------
    root : Path
        Made if it does not exist.
    fingerprint : str
        Of the oracle; oracles that differ may share the root.

    Raises
    ------
    InvalidInputError
        If the folder cannot be made or written.
    """

    def __init__(self, root: Path, fingerprint: str) -> None:
        self._home = root.absolute() / fingerprint
        self._unfinished = self._home / "unfinished"
        self._token = secrets.token_hex(8)
        self._numbers = itertools.count()
        self._writes = True
        self.damaged = 0
        try:
            self._unfinished.mkdir(parents=True, exist_ok=True)
            self._write(self._unfinished / f"{self._token}-trial", b"")
            (self._unfinished / f"{self._token}-trial").unlink()
        except OSError as error:
            raise InvalidInputError(f"Cached: the folder {root} cannot be written: {error}") from (
                error
            )
        self._sweep()

    def get(self, question: bytes) -> tuple[np.dtype, bytes] | None:
        """Return the layout of an answer and its bytes; None if there is none, or a damaged one."""
        try:
            data = self._path(question).read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            data = b""
        found = _read(data, question)
        if found is None:
            self.damaged += 1
        return found

    def put(self, question: bytes, layout: np.dtype, answer: bytes) -> None:
        """Write an answer; where that fails, warn once and write no more."""
        if not self._writes:
            return
        path = self._path(question)
        data = _head(question) + _describe(layout) + answer
        data += _digest(data)
        try:
            try:
                self._write(path, data)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._unfinished.mkdir(parents=True, exist_ok=True)
                self._write(path, data)
        except OSError as error:
            self._writes = False
            warnings.warn(
                f"Cached: the folder {self._home} cannot be written any more, answers are kept in "
                f"memory only: {error}",
                RuntimeWarning,
                stacklevel=4,
            )

    def _path(self, question: bytes) -> Path:
        name = hashlib.blake2b(question, digest_size=20).hexdigest()
        return self._home / name[:2] / name[2:]

    def _write(self, path: Path, data: bytes) -> None:
        name = f"{self._token}-{os.getpid()}-{next(self._numbers)}"
        unfinished = self._unfinished / name
        try:
            with open(unfinished, "xb") as file:
                file.write(data)
            os.replace(unfinished, path)
        except OSError:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise

    def _sweep(self) -> None:
        """Remove what killed processes left unfinished."""
        with contextlib.suppress(OSError):  # another process may be sweeping
            for path in self._unfinished.iterdir():
                if time.time() - path.stat().st_mtime > _STALE:
                    path.unlink()


def _head(question: bytes) -> bytes:
    return _MAGIC + struct.pack("<Q", len(question)) + question


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_CHECK).digest()


def _describe(layout: np.dtype) -> bytes:
    """Write a layout as three fields of fixed length."""
    decisions, objectives = layout["decisions"], layout["objectives"]
    kinds = decisions.base.str.encode().ljust(4) + objectives.str.encode().ljust(4)
    return kinds + struct.pack("<Q", decisions.shape[0])


def layout_of(decisions: np.dtype, d: int, objectives: np.dtype) -> np.dtype:
    """Return the layout of an answer: d decision coordinates, an objective and a status."""
    return np.dtype(
        [("decisions", decisions, (d,)), ("objectives", objectives), ("status", np.int8)]
    )


def _read(data: bytes, question: bytes) -> tuple[np.dtype, bytes] | None:
    """Take a file apart; None if it is not what was written for this question."""
    head = _head(question)
    body = data[len(head) : -_CHECK]
    if not data.startswith(head) or len(body) < 16 or _digest(data[:-_CHECK]) != data[-_CHECK:]:
        return None
    kinds = body[:4].decode("ascii", "replace").strip(), body[4:8].decode("ascii", "replace")
    (d,) = struct.unpack("<Q", body[8:16])
    answer = body[16:]
    if d > len(answer):
        return None
    try:
        numbers = np.dtype(kinds[0]), np.dtype(kinds[1].strip())
    except TypeError:
        return None
    if any(kind.kind not in "biuf" for kind in numbers):
        return None
    layout = layout_of(numbers[0], d, numbers[1])
    if layout.itemsize != len(answer) or answer[-1] > Status.FEASIBLE:
        return None
    return layout, answer
