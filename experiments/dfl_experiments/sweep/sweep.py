"""A sweep from its configuration to its table: try, choose, compute, and keep all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from rich.console import Console

from dfl_experiments.cells import CellStore, explained, write_atomically
from dfl_experiments.execution import Engine, Failure, kept_failure
from dfl_experiments.ledger import Ledger, now, once, progress, record_of
from dfl_experiments.report import csv_bytes
from dfl_experiments.runner import Cell
from dfl_experiments.sweep.config import SweepConfig
from dfl_experiments.sweep.outcome import SweepOutcome, outcome_of
from dfl_experiments.sweep.plan import HOPELESS, Pair, Trial, pairs, validation_regret
from dfl_experiments.sweep.results import parquet_bytes, records
from dfl_solvers.exceptions import import_optional

RECORD = "sweep.json"


@final
@dataclass
class Sweep:
    """A sweep in its folder.

    Parameters
    ----------
    config : SweepConfig
        What to compute.
    folder : Path
        For a cluster, one that all its machines see.
    command : sequence of str
        The command line, for the record.
    n_jobs : int, default=1
        Processes; a cluster has its own number.
    backend : str, default="loky"
        Name of a joblib back-end.
    address : str, optional
        Scheduler of a Dask cluster, ``"host:port"``.
    retry_failed : bool, default=False
        Whether what failed before is computed again.
    failed : dict of str to Failure, optional
        By the keys of the cells.

    Raises
    ------
    InvalidInputError
        If the folder holds something else.
    StorageError
        If it cannot be written.
    """

    config: SweepConfig
    folder: Path
    command: Sequence[str]
    n_jobs: int = 1
    backend: str = "loky"
    address: str | None = None
    retry_failed: bool = False
    failed: dict[str, Failure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        record = record_of(self.config, self.command)
        self.ledger = Ledger(self.folder, RECORD, record)
        failures = CellStore(self.folder / "failures")
        self._engine = Engine(
            self.n_jobs, self.backend, self.address, self.config.timeout, failures
        )
        if self.retry_failed:
            self._forget_failures()

    def complete(self, console: Console) -> SweepOutcome:
        """Compute what is missing, and write the table and the summary.

        Raises
        ------
        DFLError
            If nothing can be computed, because of bad input or a missing package.
        StorageError
            If a result cannot be written; finished cells are kept.
        """
        for module in ("pandas", "pyarrow"):
            import_optional(module, "experiments")
        found = pairs(self.config)
        able = [pair for pair in found if not pair.refused]
        tuned = [pair for pair in able if pair.method.tune]
        seeds = self.config.seeds
        total = self.config.n_trials * len(tuned) + len(seeds) * len(able)
        with progress(console, self.config.name, total, 0) as on_done:
            self._tune(tuned, on_done)
            final = once([cell for pair in able for cell in pair.cells(seeds)])
            self._settle(final, on_done)
        trials = once([trial.cell for pair in tuned for trial in pair.trials])
        results = self.ledger.results([*trials, *final])
        outcome = outcome_of(self.config, found, final, results)
        rows = records(self.config, found, results, self.failed)
        write_atomically(self.folder / "results.parquet", parquet_bytes(rows))
        write_atomically(self.folder / "summary.csv", csv_bytes(outcome.rows()))
        self.ledger.write(
            {
                "finished": now(),
                "cells": {
                    "total": len(trials) + len(final),
                    "failed": {str(each.cell): each.message for each in self.failed.values()},
                    "refused": outcome.refused,
                },
            }
        )
        return outcome

    def estimate(self, console: Console) -> float:
        """Compute the first cell of each pair, and return the seconds that all take, one by one.

        What is computed is needed in any case. The times are those of this machine as it is now;
        methods that stop early take less in some trials than in others.
        """
        able = [pair for pair in pairs(self.config) if not pair.refused]
        seeds, seed = self.config.seeds, self.config.trial_seed
        first = [
            pair.trial(pair.tuner(self.config.tuner).ask(), seed)
            if pair.method.tune
            else pair.cells(seeds)[0]
            for pair in able
        ]
        with progress(console, self.config.name, len(first), 0) as on_done:
            self._settle(first, on_done)
        total = 0.0
        for pair, cell in zip(able, first, strict=True):
            trials = self.config.n_trials if pair.method.tune else 0
            content = self.ledger.load(cell)
            if content is not None:
                total += content["took"] * (trials + len(seeds))
            elif self.failed[cell.key].status == "timeout":
                tries = min(trials, HOPELESS) or len(seeds)
                total += (self.config.timeout or 0.0) * tries
        return total

    def saved(self) -> int:
        """Count the cells in the folder."""
        return sum(1 for _ in self.ledger.store.folder.glob("*.json"))

    def _tune(self, tuned: Sequence[Pair], on_done: Callable[[], None]) -> None:
        """Try settings: one of each pair at a time, as the next depends on what it came to."""
        left = [(pair, pair.tuner(self.config.tuner)) for pair in tuned]
        for number in range(self.config.n_trials):
            asked = [(pair, tuner, tuner.ask()) for pair, tuner in left if not pair.hopeless]
            for _ in range(len(left) - len(asked)):
                on_done()
            seed = self.config.trial_seed
            cells = [pair.trial(setting, seed) for pair, _, setting in asked]
            self._settle(cells, on_done)
            for (pair, tuner, setting), cell in zip(asked, cells, strict=True):
                trial = Trial(number, cell, setting, self._value(cell))
                tuner.tell(trial.value)
                pair.trials.append(trial)

    def _value(self, cell: Cell) -> float | None:
        content = self.ledger.load(cell)
        return None if content is None else validation_regret(cell, content)

    def _settle(self, cells: Sequence[Cell], on_done: Callable[[], None]) -> None:
        """Compute those cells that are neither there nor known to fail."""
        missing = []
        for cell in self.ledger.missing(once(cells)):
            known = kept_failure(cell, self._engine.failures)
            if known is None:
                missing.append(cell)
            else:
                self.failed[cell.key] = known
        for _ in range(len(cells) - len(missing)):
            on_done()
        if missing:
            for failure in self.ledger.compute(missing, self._engine, on_done):
                self.failed[failure.cell.key] = failure

    def _forget_failures(self) -> None:
        failures = self.folder / "failures"
        with explained(failures):
            for path in failures.glob("*.json"):
                path.unlink()
