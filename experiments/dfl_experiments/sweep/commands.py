"""The command ``dfl sweep``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dfl.exceptions import InvalidInputError
from dfl_experiments.cells import StorageError, digest
from dfl_experiments.sweep.config import SweepConfig, load_sweep
from dfl_experiments.terminal import (
    FAILED,
    INTERRUPTED,
    N_JOBS,
    QUIET,
    RECIPE,
    SEEDS,
    by_reason,
    complain,
    processes,
    progress_bar,
    screen,
    show_config,
)

_SETTINGS = typer.Option(
    "--set", metavar="KEY=VALUE", help="Change a key, e.g. problems.grid.degree=6."
)


def sweep(
    recipe: Annotated[str, RECIPE],
    settings: Annotated[list[str] | None, _SETTINGS] = None,
    seeds: Annotated[str | None, SEEDS] = None,
    tuner: Annotated[
        str | None, typer.Option(help="How `tune` is searched: grid or optuna.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Trials of each method on each problem.", min=1)
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that a cell may take.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder.", show_default="in runs/")] = None,
    n_jobs: Annotated[int, N_JOBS] = -1,
    backend: Annotated[
        str, typer.Option(help="Of joblib: loky, threading, dask, or a registered one.")
    ] = "loky",
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Scheduler of a Dask cluster.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Compute again what failed or took too long.")
    ] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Compute a first part, print the time, and stop.")
    ] = False,
    print_config: Annotated[
        bool, typer.Option(help="Print the configuration, written out, and stop.")
    ] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Compare methods on several problems, tuned alike; a stopped sweep continues where it was."""
    config = load_sweep(recipe, settings or (), seeds, tuner=tuner, trials=trials, timeout=timeout)
    if print_config:
        show_config(config)
        return 0
    n_jobs = processes(n_jobs)
    if (backend == "dask") != (address is not None):
        raise InvalidInputError(
            f"got --backend {backend} with --address {address}, expected an address for dask, and "
            "for dask only"
        )
    return _run(
        config,
        out or _default_folder(config),
        n_jobs,
        backend,
        address,
        retry_failed,
        estimate,
        quiet,
    )


def _run(
    config: SweepConfig,
    folder: Path,
    n_jobs: int,
    backend: str,
    address: str | None,
    retry_failed: bool,
    estimate: bool,
    quiet: bool,
) -> int:
    from dfl_experiments.sweep.sweep import Sweep

    command = ["dfl", *sys.argv[1:]]
    run = Sweep(config, folder, command, n_jobs, backend, address, retry_failed)

    def kept() -> str:
        return f"{run.saved()} cells are saved in {folder}; the same command goes on from there"

    try:
        if estimate:
            hours = run.estimate(progress_bar(quiet)) / 3600
            # a cluster has its own number of processes
            number = "one process" if address is not None else f"{n_jobs} processes"
            hours /= 1 if address is not None else n_jobs
            typer.echo(f"the whole would take some {hours:.2g} hours with {number}")
            return 0
        outcome = run.complete(progress_bar(quiet))
    except KeyboardInterrupt:
        return complain(f"interrupted: {kept()}", INTERRUPTED)
    except StorageError as error:
        raise StorageError(f"{error}; {kept()}") from error
    for note in run.ledger.notes:
        typer.echo(f"dfl: note: {note}", err=True)
    if not quiet:
        console = screen(sys.stdout)
        for table in outcome.tables():
            console.print(table)
            console.print()
        for line in by_reason(outcome.refused):
            typer.echo(f"cannot run: {line}")
        typer.echo(f"results: {folder}")
    for line in by_reason({str(each.cell): each.message for each in run.failed.values()}):
        complain(line, FAILED)
    if run.failed and not quiet:
        typer.echo("dfl: to compute them again: --retry-failed", err=True)
    return FAILED if run.failed else 0


def _default_folder(config: SweepConfig) -> Path:
    """Return where a sweep is kept; more seeds or trials of the same sweep share the folder."""
    record: dict[str, Any] = config.model_dump(mode="json")
    known = {key: record[key] for key in ("problems", "methods", "tuner", "trial_seed")}
    return Path("runs") / f"{config.name}-{digest(known)[:8]}"
