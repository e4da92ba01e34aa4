"""The command ``dfl sweep``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from dfl.exceptions import InvalidInputError
from dfl_experiments.cells import StorageError, digest
from dfl_experiments.sweep.config import SweepConfig, load_sweep

_FAILED, _INTERRUPTED = 1, 130


def sweep(
    recipe: Annotated[str, typer.Argument(help="A recipe of `dfl list`, or a YAML file.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a key, e.g. problems.grid.degree=6."
        ),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds, e.g. 0:10 or 1,2,5.")] = None,
    tuner: Annotated[
        str | None, typer.Option(help="How `tune` is searched: grid or optuna.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Trials of each method on each problem.", min=1)
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that a cell may take.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder [default: in runs/].")] = None,
    n_jobs: Annotated[int, typer.Option(help="Processes; -1: one a core.")] = -1,
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
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar, no tables.")] = False,
) -> int:
    """Compare methods on several problems, tuned alike; a stopped sweep continues where it was."""
    config = load_sweep(recipe, settings or (), seeds, tuner=tuner, trials=trials, timeout=timeout)
    if print_config:
        import yaml

        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        typer.echo(text, nl=False)
        return 0
    if n_jobs == 0 or n_jobs < -1:
        raise typer.BadParameter(f"got {n_jobs}, expected a positive number or -1: --n-jobs")
    if (backend == "dask") != (address is not None):
        raise InvalidInputError(
            f"got --backend {backend} with --address {address}, expected an address for dask, and "
            "for dask only"
        )
    return _run(
        config,
        out or _default_folder(config),
        os.cpu_count() or 1 if n_jobs == -1 else n_jobs,
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
            hours = run.estimate(Console(stderr=True, quiet=quiet)) / 3600
            # a cluster has its own number of processes
            number = "one process" if address is not None else f"{n_jobs} processes"
            hours /= 1 if address is not None else n_jobs
            typer.echo(f"the whole would take some {hours:.2g} hours with {number}")
            return 0
        outcome = run.complete(Console(stderr=True, quiet=quiet))
    except KeyboardInterrupt:
        typer.echo(f"dfl: interrupted: {kept()}", err=True)
        return _INTERRUPTED
    except StorageError as error:
        raise StorageError(f"{error}; {kept()}") from error
    for note in run.ledger.notes:
        typer.echo(f"dfl: note: {note}", err=True)
    if not quiet:
        width = None if sys.stdout.isatty() else 100
        console = Console(file=sys.stdout, width=width, markup=False, highlight=False)
        for table in outcome.tables():
            console.print(table)
            console.print()
        for line in _without_result("cannot run", outcome.refused):
            typer.echo(line)
        typer.echo(f"results: {folder}")
    for line in _without_result("error", {str(f.cell): f.message for f in run.failed.values()}):
        typer.echo(f"dfl: {line}", err=True)
    if run.failed and not quiet:
        typer.echo("dfl: to compute them again: --retry-failed", err=True)
    return _FAILED if run.failed else 0


def _without_result(kind: str, reasons: dict[str, str]) -> Sequence[str]:
    """Say why, a line a reason."""
    lines = []
    for reason in dict.fromkeys(reasons.values()):
        names = [name for name, other in reasons.items() if other == reason]
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        lines.append(f"{kind}: {names[0]}{more}: {reason}")
    return lines


def _default_folder(config: SweepConfig) -> Path:
    """Return where a sweep is kept; more seeds or trials of the same sweep share the folder."""
    record: dict[str, Any] = config.model_dump(mode="json")
    known = {key: record[key] for key in ("problems", "methods", "tuner", "trial_seed")}
    return Path("runs") / f"{config.name}-{digest(known)[:8]}"
