"""The folder of a run or a sweep: its record, its finished cells, and what is missing."""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dfl.exceptions import InvalidInputError
from dfl_experiments import environment
from dfl_experiments.cells import CellStore, StorageError, write_atomically
from dfl_experiments.config import AbstractConfig
from dfl_experiments.execution import Engine, Failure, execute
from dfl_experiments.runner import Cell
from dfl_experiments.summary import Results

# what a cell with a thousand test instances takes on the disk
_BYTES_A_CELL = 50_000


@final
@dataclass
class Ledger:
    """What is kept in a folder.

    Parameters
    ----------
    folder : Path
        Made if missing.
    file : str
        Name of the record in it.
    record : mapping
        What is known beforehand; has ``name``, by which a folder is told from another's.
    notes : list of str, optional
        What a user should know of; a damaged cell adds a line.

    Raises
    ------
    InvalidInputError
        If the folder holds something else.
    StorageError
        If it cannot be written.
    """

    folder: Path
    file: str
    record: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._refuse_foreign_folder()
        self.store = CellStore(self.folder / "cells")
        self.record = {
            **self.record,
            "versions": environment.versions(),
            "commit": environment.commit(),
            "started": now(),
        }
        self.write({"finished": None})

    def write(self, more: Mapping[str, Any]) -> None:
        """Write the record with what has become known."""
        text = json.dumps({**self.record, **more}, indent=2)
        write_atomically(self.folder / self.file, text.encode() + b"\n")

    def load(self, cell: Cell, note: bool = False) -> dict[str, Any] | None:
        """Return a finished cell; None if it is missing or damaged."""
        try:
            return self.store.load(cell.key)
        except (ValueError, OSError) as error:
            if note:
                self.notes.append(f"cell of {cell} is damaged ({error}): computed anew")
            return None

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells that are not there, and note those that are damaged."""
        return [cell for cell in cells if self.load(cell, note=True) is None]

    def results(self, cells: Sequence[Cell]) -> Results:
        """Return the cells that are there, with their content."""
        loaded = [(cell, self.load(cell)) for cell in cells]
        return [(cell, content) for cell, content in loaded if content is not None]

    def saved(self, cells: Sequence[Cell]) -> int:
        """Count the finished cells."""
        return sum(self.store.path(cell.key).exists() for cell in cells)

    def compute(
        self, missing: Sequence[Cell], engine: Engine, on_done: Callable[[], None]
    ) -> list[Failure]:
        """Compute cells; see ``execute``.

        Raises
        ------
        StorageError
            Before anything is computed, if the disk has no place for them.
        """
        need, free = _BYTES_A_CELL * len(missing), shutil.disk_usage(self.folder).free
        if free < need:
            raise StorageError(
                f"{self.folder} has {free / 1e6:.0f} MB free, expected some {need / 1e6:.0f} MB "
                f"for {len(missing)} cells; free some space"
            )
        return execute(missing, self.store, engine, on_done)

    def _refuse_foreign_folder(self) -> None:
        for file in ("run.json", "sweep.json"):
            try:
                other = json.loads((self.folder / file).read_bytes()).get("name")
            except (OSError, ValueError, AttributeError):
                continue
            kind, name = file.removesuffix(".json"), self.record["name"]
            if other != name or file != self.file:
                raise InvalidInputError(
                    f"{self.folder} holds the {kind} {other!r}, not {name!r}; choose another --out"
                )


@contextlib.contextmanager
def progress(console: Console, name: str, total: int, done: int) -> Iterator[Callable[[], None]]:
    """Show how many cells are done and the time left, on a terminal; yield what advances it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    hidden = console.quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=hidden, transient=True) as bar:
        task = bar.add_task(name, total=total, completed=done)
        yield lambda: bar.advance(task)


def once(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells without repetitions."""
    return list({cell.key: cell for cell in cells}.values())


def record_of(config: AbstractConfig, command: Sequence[str]) -> dict[str, Any]:
    """Return what is known of a run or a sweep before it begins."""
    return {
        "name": config.name,
        "config": config.model_dump(mode="json"),
        "seeds": list(config.seeds),
        "command": list(command),
    }


def now() -> str:
    """Return the time, for a record."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
