"""What the benchmarks share: silence around chatty peers, and the script's only option."""

from __future__ import annotations

import argparse
import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep what a peer prints and warns of off the terminal."""
    sink = io.StringIO()
    with (
        contextlib.redirect_stdout(sink),
        contextlib.redirect_stderr(sink),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def report(description: str | None, table: Callable[[], str]) -> None:
    """Print a table, and write it if asked to by ``--write``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--write", type=Path, help="a Markdown file to write the table to")
    arguments = parser.parse_args()
    result = table()
    print(result)
    if arguments.write:
        arguments.write.parent.mkdir(parents=True, exist_ok=True)
        arguments.write.write_text(result + "\n", encoding="utf-8")
