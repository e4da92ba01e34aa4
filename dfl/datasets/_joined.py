"""Tables that are joined from many published files, and kept as one with a known hash."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from dfl.datasets._files import download, locate
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
        Of the compressed file ``NAME.csv.gz``; see ``locate``.
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

    def fetch(path: Path) -> None:
        content = join(_download(name, sources)).encode()
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise InvalidInputError(
                f"{name}: the files it is joined from have changed: got SHA-256 {found} of the "
                f"joined table, expected {sha256}; nothing was kept"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            partial.write_bytes(gzip.compress(content, mtime=0))
            partial.replace(path)
        except OSError as error:
            reason = error.strerror or error
            raise InvalidInputError(f"{path} cannot be written: {reason}") from error

    path = locate(name, fetch, sha256, data_home, download_if_missing, gzip.decompress)
    return gzip.decompress(path.read_bytes()).decode("utf-8")


def _download(name: str, sources: Sequence[str]) -> list[str]:
    texts = []
    with tempfile.TemporaryDirectory() as folder:
        for number, url in enumerate(sources):
            path = Path(folder) / str(number)
            failure = f"{name}: {url} cannot be downloaded"
            # no hash of its own: that of the joined table covers what is used of it
            download(url, failure, path, None)
            try:
                texts.append(path.read_bytes().decode("utf-8"))
            except UnicodeDecodeError as error:
                raise InvalidInputError(f"{failure}: {error}") from error
    return texts
