"""Files of real data: a folder the user names, or a download with a known hash."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable
from pathlib import Path

from dfl.exceptions import InvalidInputError


def locate(
    name: str,
    source: str | Callable[[Path], None],
    sha256: str,
    data_home: str | os.PathLike[str] | None,
    download_if_missing: bool,
    unpack: Callable[[bytes], bytes] = bytes,
) -> Path:
    """Return the path of a data file whose content has the expected hash.

    Parameters
    ----------
    name : str
        Path of the file within the folder that the environment variable ``DFL_DATA`` names; if it
        names one, nothing is ever downloaded.
    source : str or callable
        Where the file comes from otherwise: its URL, or what checks it and puts it at a path.
    sha256 : str
        Hash of its content, unpacked.
    data_home : path, optional
        Cache folder of downloads. Default: the user's cache folder.
    download_if_missing : bool
        If false, a file that is not there is an error.
    unpack : callable, optional
        Takes the bytes of the file, returns what the hash is of. Default: the same.

    Raises
    ------
    InvalidInputError
        If the file is missing, unreadable, damaged or tampered with, or cannot be downloaded.
    """
    folder = os.environ.get("DFL_DATA")
    if folder:
        path = Path(folder) / name
        if not path.is_file():
            raise InvalidInputError(
                f"DFL_DATA names the folder {folder}, which has no file {name}; "
                "put it there, or unset DFL_DATA to download it"
            )
        _verify(path, sha256, unpack, "restore the original file")
        return path
    import pooch

    home = Path(data_home) if data_home is not None else Path(pooch.os_cache("dfl"))
    path = home / name
    if path.is_file():
        _verify(path, sha256, unpack, "delete it, and it is downloaded again")
        return path
    if not download_if_missing:
        raise InvalidInputError(f"{path} does not exist, and download_if_missing is False")
    if isinstance(source, str):
        # pooch writes beside the file, checks the hash, and only then moves it into place
        download(source, f"{name} cannot be downloaded to {path.parent}", path, sha256)
    else:
        source(path)
    return path


def download(url: str, failure: str, path: Path, sha256: str | None) -> None:
    """Download a file; without a hash its content is for the caller to check.

    Raises
    ------
    InvalidInputError
        If it cannot be downloaded, or has another hash; the message begins with ``failure``.
    """
    import pooch

    known = None if sha256 is None else f"sha256:{sha256}"
    try:
        pooch.retrieve(url, known_hash=known, fname=path.name, path=path.parent)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInputError(f"{failure}: {reason}") from error


def _verify(path: Path, sha256: str, unpack: Callable[[bytes], bytes], remedy: str) -> None:
    try:
        found = hashlib.sha256(unpack(path.read_bytes())).hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}; {remedy}") from error
    if found != sha256:
        raise InvalidInputError(
            f"{path} is damaged or was changed: got SHA-256 {found}, expected {sha256}; {remedy}"
        )
