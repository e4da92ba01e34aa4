"""One run from its configuration to its folder: reuse, compute, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from rich.console import Console

from dfl_experiments import report
from dfl_experiments.cells import digest
from dfl_experiments.config import Config, DesignConfig, PolicyConfig
from dfl_experiments.design import report as design_report
from dfl_experiments.execution import Engine, Failure
from dfl_experiments.ledger import Ledger, now, once, progress, record_of
from dfl_experiments.policies import report as policy_report
from dfl_experiments.policies.method import AbstractPolicyMethod
from dfl_experiments.policies.summary import PolicySummary
from dfl_experiments.policies.tuning import Trial, check_candidates, choose, trial_cells
from dfl_experiments.runner import Cell, check, plan
from dfl_experiments.summary import Results, Row
from dfl_experiments.summary import tidy as run_tidy

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Finished:
    """What a run came to.

    Attributes
    ----------
    rows : list of Row or PolicySummary
        Measures of all methods.
    failures : list of Failure
        Cells that could not be computed.
    """

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


def tidy(config: Config, results: Results) -> list[dict[str, Any]]:
    """Make the records of ``results.parquet``."""
    if isinstance(config, PolicyConfig):
        return policy_report.tidy(results)
    if isinstance(config, DesignConfig):
        return design_report.tidy(results)
    return run_tidy(config, results)


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
        What to compute.
    folder : Path
        Made if missing.
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

    def __post_init__(self) -> None:
        record = record_of(self.config, self.command)
        self.ledger = Ledger(self.folder, "run.json", record)
        # those of tuned methods are known when their settings are
        self.cells = once([*self._trials(), *_known(self.config)])

    @property
    def notes(self) -> list[str]:
        """What a user should know of, such as damaged cells."""
        return self.ledger.notes

    def saved(self) -> int:
        """Count the finished cells."""
        return self.ledger.saved(self.cells)

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
        ledger = self.ledger
        config: Config = self.config
        trials: list[Trial] = []
        if isinstance(config, PolicyConfig) and len(ledger.results(self._trials())) < len(
            self._trials()
        ):
            check_candidates(config)
        done = [self._settle(self.cells, n_jobs, console)]
        if isinstance(config, PolicyConfig) and self._trials():
            config, trials = choose(config, ledger.results(self._trials()))
            self.cells = once([*self._trials(), *plan(config)])
            failed = {failure.cell.key for _, found in done for failure in found}
            left = [cell for cell in once(plan(config)) if cell.key not in failed]
            done.append(self._settle(left, n_jobs, console))
        failures = [failure for _, found in done for failure in found]
        results = ledger.results(plan(config))
        rows = write(config, results, self.folder, trials) if results else []
        computed = sum(missing for missing, _ in done)
        ledger.write(
            {
                "finished": now(),
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
        missing = self.ledger.missing(cells)
        if not missing:
            return 0, []
        check(missing)
        with progress(console, self.config.name, len(cells), len(cells) - len(missing)) as on_done:
            return len(missing), self.ledger.compute(missing, Engine(n_jobs), on_done)


def _known(config: Config) -> list[Cell]:
    """List the cells that do not wait for settings to be chosen."""
    tuned = [m.name for m in config.methods if isinstance(m, AbstractPolicyMethod) and m.settings]
    return [cell for cell in plan(config) if cell.method.name not in tuned]
