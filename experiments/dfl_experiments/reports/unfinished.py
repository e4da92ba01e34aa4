"""Gathering what is there of a run or a sweep that is not finished, without computing anything."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dfl_experiments import workflow
from dfl_experiments.cells import CellStore
from dfl_experiments.config import Config
from dfl_experiments.execution import kept_failure
from dfl_experiments.runner import Cell, plan
from dfl_experiments.summary import Results
from dfl_experiments.sweep.config import SweepConfig
from dfl_experiments.sweep.plan import Pair, Trial, pairs, validation_regret
from dfl_experiments.sweep.results import records

Record = dict[str, Any]


def gather(config: Config | SweepConfig, folder: Path) -> tuple[list[Record], str]:
    """Make the rows of the results table from the cells in a folder.

    Parameters
    ----------
    config : RunConfig, DesignConfig, PolicyConfig or SweepConfig
        Of the run that was begun there.
    folder : Path
        Its folder.

    Returns
    -------
    records : list of dict
        A row each.
    state : str
        How much of it is there.
    """
    if not (folder / "cells").is_dir():
        return [], "none of its cells is there"
    store = CellStore(folder / "cells")
    if isinstance(config, SweepConfig):
        return _sweep(config, store, folder)
    cells = plan(config)
    found = _results(cells, store)
    return workflow.tidy(config, found), f"{len(found)} of {len(cells)} cells are here"


def _sweep(config: SweepConfig, store: CellStore, folder: Path) -> tuple[list[Record], str]:
    """Follow the trials as far as they are known: which cells come after depends on them."""
    failures = CellStore(folder / "failures") if (folder / "failures").is_dir() else None
    known: list[Pair] = []
    results: list[tuple[Cell, Mapping[str, Any]]] = []
    failed = {}
    n_here = n_cells = 0
    for pair in pairs(config):
        if pair.refused:
            known.append(pair)
            continue
        n_cells += len(config.seeds) + (config.n_trials if pair.method.tune else 0)
        if pair.method.tune and not _follow_trials(pair, config, store, failures):
            n_here += len(pair.trials)
            continue
        cells = [*(trial.cell for trial in pair.trials), *pair.cells(config.seeds)]
        found = _results(cells, store)
        here = {cell.key for cell, _ in found}
        n_here += len(found)
        for cell in cells:
            failure = None if cell.key in here else kept_failure(cell, failures)
            if failure is not None:
                failed[cell.key] = failure
        if found:
            known.append(pair)
            results += found
    return records(config, known, results, failed), f"{n_here} of {n_cells} cells are here"


def _follow_trials(
    pair: Pair, config: SweepConfig, store: CellStore, failures: CellStore | None
) -> bool:
    """Repeat the choice of settings from what was kept; False if a trial is still to come."""
    tuner = pair.tuner(config.tuner)
    for number in range(config.n_trials):
        if pair.hopeless:
            break
        setting = tuner.ask()
        cell = pair.trial(setting, config.trial_seed)
        found = _results([cell], store)
        if not found and kept_failure(cell, failures) is None:
            return False
        value = validation_regret(*found[0]) if found else None
        pair.trials.append(Trial(number, cell, setting, value))
        tuner.tell(value)
    return True


def _results(cells: Sequence[Cell], store: CellStore) -> Results:
    found = []
    for cell in cells:
        # a damaged one is computed anew by the run itself
        with contextlib.suppress(ValueError, OSError):
            content = store.load(cell.key)
            if content is not None:
                found.append((cell, content))
    return found
