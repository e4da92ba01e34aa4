"""One run from its configuration to its folder: reuse, compute, report."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

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
from dfl_experiments import environment, report
from dfl_experiments.cells import CellStore, digest, write_atomically
from dfl_experiments.config import Config, DesignConfig, PolicyConfig
from dfl_experiments.design import report as design_report
from dfl_experiments.policies import report as policy_report
from dfl_experiments.policies.method import AbstractPolicyMethod
from dfl_experiments.policies.summary import PolicySummary
from dfl_experiments.policies.tuning import Trial, check_candidates, choose, trial_cells
from dfl_experiments.runner import Cell, Failure, check, execute, plan
from dfl_experiments.summary import Results, Row

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Finished:
    """What a run came to."""

    rows: list[Row] | PolicySummary
    failures: list[Failure]


def write(
    config: Config, results: Results, folder: Path, trials: Sequence[Trial] = ()
) -> list[Row] | PolicySummary:
    """Write tables and pictures into the folder of a run; return the summary."""
    if isinstance(config, PolicyConfig):
        return policy_report.write(config, results, folder, trials)
    if isinstance(config, DesignConfig):
        return design_report.write(config, results, folder)
    return report.write(config, results, folder)


def tables(config: Config, rows: list[Row] | PolicySummary) -> list[Table]:
    """Make the tables that are shown."""
    if isinstance(rows, PolicySummary):
        return policy_report.tables(rows)
    if isinstance(config, DesignConfig):
        return design_report.tables(config, rows)
    # a run of policies has the other kind of summary
    return [] if isinstance(config, PolicyConfig) else report.tables(config, rows)


def default_folder(config: Config) -> Path:
    """Return where a run is kept; more seeds of the same run share the folder."""
    problem = config.problem.model_dump(mode="json")
    methods = [method.model_dump(mode="json") for method in config.methods]
    return Path("runs") / f"{config.name}-{digest([problem, methods])[:8]}"


@final
@dataclass
class Run:
    """A run in its folder.

    Parameters
    ----------
    config : RunConfig, DesignConfig or PolicyConfig
    folder : Path
    command : sequence of str
        The command line, for the record.

    Raises
    ------
    InvalidInputError
        If the folder holds another run.
    StorageError
        If it cannot be written.
    """

    config: Config
    folder: Path
    command: Sequence[str]
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._refuse_foreign_folder()
        self.store = CellStore(self.folder / "cells")
        # those of tuned methods are known when their settings are
        self.cells = _once([*self._trials(), *_known(self.config)])
        self._record: dict[str, Any] = {
            "name": self.config.name,
            "config": self.config.model_dump(mode="json"),
            "seeds": list(self.config.seeds),
            "command": list(self.command),
            "versions": environment.versions(),
            "commit": environment.commit(),
            "started": _now(),
        }
        self._write_record({"finished": None})

    def saved(self) -> int:
        """Count the finished cells."""
        return sum(self.store.path(cell.key).exists() for cell in self.cells)

    def complete(self, n_jobs: int, console: Console) -> Finished:
        """Compute what is missing and write the report.

        Raises
        ------
        DFLError
            If nothing can be computed, because of bad input or a missing package.
        StorageError
            If a result cannot be written; finished cells are kept.
        """
        report.check()
        config: Config = self.config
        trials: list[Trial] = []
        if isinstance(config, PolicyConfig) and any(map(self._missing, self._trials())):
            check_candidates(config)
        done = [self._settle(self.cells, n_jobs, console)]
        if isinstance(config, PolicyConfig) and self._trials():
            config, trials = choose(config, self._results(self._trials()))
            self.cells = _once([*self._trials(), *plan(config)])
            failed = {failure.cell.key for _, found in done for failure in found}
            left = [cell for cell in _once(plan(config)) if cell.key not in failed]
            done.append(self._settle(left, n_jobs, console))
        failures = [failure for _, found in done for failure in found]
        results = self._results(plan(config))
        rows = write(config, results, self.folder, trials) if results else []
        computed = sum(missing for missing, _ in done)
        self._write_record(
            {
                "finished": _now(),
                "cells": {
                    "total": len(self.cells),
                    "reused": len(self.cells) - computed,
                    "computed": computed - len(failures),
                    "failed": {str(failure.cell): failure.message for failure in failures},
                },
            }
        )
        return Finished(rows, failures)

    def _trials(self) -> list[Cell]:
        return trial_cells(self.config) if isinstance(self.config, PolicyConfig) else []

    def _settle(
        self, cells: Sequence[Cell], n_jobs: int, console: Console
    ) -> tuple[int, list[Failure]]:
        """Compute those cells that are missing; return how many, and those that failed."""
        missing = [cell for cell in cells if self._load(cell, note=True) is None]
        if not missing:
            return 0, []
        check(missing)
        return len(missing), self._compute(missing, len(cells), n_jobs, console)

    def _missing(self, cell: Cell) -> bool:
        return self._load(cell) is None

    def _results(self, cells: Sequence[Cell]) -> Results:
        loaded = [(cell, self._load(cell)) for cell in cells]
        return [(cell, content) for cell, content in loaded if content is not None]

    def _compute(
        self, missing: Sequence[Cell], total: int, n_jobs: int, console: Console
    ) -> list[Failure]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        hidden = console.quiet or not console.is_terminal
        with Progress(*columns, console=console, disable=hidden, transient=True) as progress:
            task = progress.add_task(self.config.name, total=total, completed=total - len(missing))
            return execute(missing, self.store, n_jobs, lambda: progress.advance(task))

    def _load(self, cell: Cell, note: bool = False) -> dict[str, Any] | None:
        try:
            return self.store.load(cell.key)
        except (ValueError, OSError) as error:
            if note:
                self.notes.append(f"cell of {cell} is damaged ({error}): computed anew")
            return None

    def _refuse_foreign_folder(self) -> None:
        try:
            other = json.loads((self.folder / "run.json").read_bytes()).get("name")
        except (OSError, ValueError, AttributeError):
            return
        if other != self.config.name:
            raise InvalidInputError(
                f"{self.folder} holds the run {other!r}, not {self.config.name!r}; "
                "choose another --out"
            )

    def _write_record(self, more: Mapping[str, Any]) -> None:
        text = json.dumps({**self._record, **more}, indent=2)
        write_atomically(self.folder / "run.json", text.encode() + b"\n")


def _once(cells: Sequence[Cell]) -> list[Cell]:
    return list({cell.key: cell for cell in cells}.values())


def _known(config: Config) -> list[Cell]:
    """List the cells that do not wait for settings to be chosen."""
    tuned = [m.name for m in config.methods if isinstance(m, AbstractPolicyMethod) and m.settings]
    return [cell for cell in plan(config) if cell.method.name not in tuned]


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
