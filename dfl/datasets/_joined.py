"""Tables that are joined from many published files, and kept as one with a known hash."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from dfl.exceptions import InvalidInputError


def locate_table(
    name: str,
    sha256: str,
    sources: Sequence[str],
    join: Callable[[Sequence[str]], str],
    data_home: str | os.PathLike[str] | None,
    download_if_missing: bool,
) -> str:
    """Return the text of a table whose content has the expected hash.

    Parameters
    ----------
    name : str
        Of the compressed file ``NAME.csv.gz``, within the folder that ``DFL_DATA`` names, or within
        the cache folder.
    sha256 : str
        Hash of the text. What is joined from other files than it should be has another one.
    sources : sequence of str
        Where the parts come from.
    join : callable
        Makes the text from the texts of the parts, in the order of the sources.
    data_home : path, optional
    download_if_missing : bool

    Raises
    ------
    InvalidInputError
        If the file is missing, damaged or tampered with, or its parts cannot be downloaded or are
        no longer what they were.
    """
    folder = os.environ.get("DFL_DATA")
    if folder:
        path = Path(folder) / name
        if not path.is_file():
            raise InvalidInputError(
                f"DFL_DATA names the folder {folder}, which has no file {name}; "
                "put it there, or unset DFL_DATA to download it"
            )
        return _read(path, sha256, "restore the original file")
    import pooch

    path = (Path(data_home) if data_home is not None else Path(pooch.os_cache("dfl"))) / name
    if path.is_file():
        return _read(path, sha256, "delete it, and it is downloaded again")
    if not download_if_missing:
        raise InvalidInputError(f"{path} does not exist, and download_if_missing is False")
    text = join(_download(name, sources))
    content = text.encode()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InvalidInputError(
            f"{name}: the files it is joined from have changed: got SHA-256 {found} of the joined "
            f"table, expected {sha256}; nothing was kept"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        partial.write_bytes(gzip.compress(content, mtime=0))
        partial.replace(path)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be written: {error.strerror or error}") from error
    return text


def _download(name: str, sources: Sequence[str]) -> list[str]:
    import pooch

    texts = []
    with tempfile.TemporaryDirectory() as folder:
        for number, url in enumerate(sources):
            try:
                # no hash of its own: that of the joined table covers what is used of it
                path = pooch.retrieve(url, known_hash=None, fname=str(number), path=folder)
                texts.append(Path(path).read_bytes().decode("utf-8"))
            except (OSError, ValueError) as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise InvalidInputError(f"{name}: {url} cannot be downloaded: {reason}") from error
    return texts


def _read(path: Path, sha256: str, remedy: str) -> str:
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, ValueError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}; {remedy}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InvalidInputError(
            f"{path} is damaged or was changed: got SHA-256 {found} of its text, expected "
            f"{sha256}; {remedy}"
        )
    return content.decode("utf-8")
