"""A description in JSON and arrays in one checked file, without pickle: a zip like NumPy's npz."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import secrets
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.oracle import Array

_NAME = "oracle.json"
_FORMAT = "dfl-oracle"
_VERSION = 1
# bytes of a description; an oracle's own is far below a thousandth of it
_LONGEST = 1 << 24
# what a damaged zip file raises when it is read
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, KeyError,
    IndexError, OverflowError, MemoryError,
)  # fmt: skip


def write_archive(path: str | os.PathLike[str], content: Any, arrays: Mapping[str, Array]) -> None:
    """Write a description and its arrays; a file of that name is replaced at once or not at all."""
    members = {f"{name}.npy": _to_npy(array) for name, array in arrays.items()}
    head = {
        "format": _FORMAT,
        "version": _VERSION,
        "content": content,
        "arrays": {name: _hash(data) for name, data in members.items()},
    }
    head["checksum"] = _hash(canonical(head))
    target = Path(path)
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with open(unfinished, "xb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                # ZipInfo's own date, so that equal oracles give equal files
                archive.writestr(zipfile.ZipInfo(_NAME), json.dumps(head, indent=1))
                for name, data in members.items():
                    archive.writestr(zipfile.ZipInfo(name), data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, target)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise


def read_archive(path: str | os.PathLike[str]) -> tuple[Any, dict[str, Array]]:
    """Read what ``write_archive`` wrote; anything else is an InvalidInputError."""
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _read(archive, os.fstat(file.fileno()).st_size)
        except InvalidInputError as error:
            raise InvalidInputError(f"{os.fspath(path)}: {error}") from error
        except _DAMAGE as error:
            raise InvalidInputError(
                f"{os.fspath(path)}: damaged, or no file of save_oracle: {error}"
            ) from error


def canonical(content: Any) -> bytes:
    """Write a description the one way in which its checksum is taken."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def hash_array(array: Array) -> str:
    """Checksum of an array with its dtype and shape."""
    return _hash(_to_npy(array))


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def _read(archive: zipfile.ZipFile, n_bytes: int) -> tuple[Any, dict[str, Array]]:
    infos = archive.infolist()
    sizes = {info.filename: info.file_size for info in infos}
    if _NAME not in sizes:
        raise InvalidInputError(f"no file of save_oracle: it holds no {_NAME}")
    # nothing is packed, so no small file unfolds into a large one
    if (
        len(sizes) < len(infos)
        or any(info.compress_type != zipfile.ZIP_STORED for info in infos)
        or sum(sizes.values()) > n_bytes
    ):
        raise InvalidInputError("no file of save_oracle: it is compressed, or parts overlap")
    if sizes[_NAME] > _LONGEST:
        raise InvalidInputError(
            f"no file of save_oracle: its {_NAME} has {sizes[_NAME]} bytes, expected at most "
            f"{_LONGEST}"
        )
    head = _head(archive.read(_NAME))
    if sizes.keys() - {_NAME} != head["arrays"].keys():
        odd = sorted(sizes.keys() ^ head["arrays"].keys() ^ {_NAME})
        raise InvalidInputError(f"damaged: parts missing or too many: {', '.join(odd)}")
    arrays = {}
    for name, checksum in head["arrays"].items():
        data = archive.read(name)
        if _hash(data) != checksum:
            raise InvalidInputError(f"damaged: the checksum of {name} is wrong")
        arrays[name.removesuffix(".npy")] = _from_npy(name, data)
    return head["content"], arrays


def _head(data: bytes) -> dict[str, Any]:
    """Read and check the description with all that goes with it."""
    try:
        head = json.loads(data)
    except RecursionError as error:
        raise InvalidInputError(f"no file of save_oracle: {_NAME} is nested too deep") from error
    if not isinstance(head, dict) or head.get("format") != _FORMAT:
        raise InvalidInputError(f"no file of save_oracle: {_NAME} is of another format")
    version = head.get("version")
    if version != _VERSION:
        raise InvalidInputError(
            f"it has version {version!r} of the format, expected {_VERSION}; a newer version of "
            "dfl-opt writes other ones"
        )
    checksum = head.pop("checksum", None)
    if _hash(canonical(head)) != checksum:
        raise InvalidInputError(f"damaged: the checksum of {_NAME} is wrong")
    if head.keys() != {"format", "version", "content", "arrays"} or not isinstance(
        head["arrays"], dict
    ):
        raise InvalidInputError(f"no file of save_oracle: {_NAME} has other parts")
    return head


def _to_npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asanyarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _from_npy(name: str, data: bytes) -> Array:
    """Read an array of plain numbers whose size is the one that its header states."""
    buffer = io.BytesIO(data)
    if np.lib.format.read_magic(buffer) != (1, 0):
        raise InvalidInputError(f"{name} is no array of numbers")
    shape, by_column, kind = np.lib.format.read_array_header_1_0(buffer)
    body = data[buffer.tell() :]
    plain = kind.kind in "biuf" and all(type(n) is int and n >= 0 for n in shape)
    if not plain or math.prod(shape) * kind.itemsize != len(body):
        raise InvalidInputError(
            f"{name} is no array of numbers, or has {len(body)} bytes for its shape {shape}"
        )
    flat = np.frombuffer(body, kind).copy()
    return flat.reshape(shape, order="F" if by_column else "C")
