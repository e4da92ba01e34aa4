"""The commands ``dfl run`` and ``dfl design run``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dfl.exceptions import InvalidInputError
from dfl_experiments import config_file
from dfl_experiments.cells import StorageError
from dfl_experiments.config import Config, DesignConfig, SuiteConfig
from dfl_experiments.terminal import (
    BAD_INPUT,
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

if TYPE_CHECKING:
    from dfl_experiments.workflow import Run

_SETTINGS = typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. problem.degree=6.")
_OUT = typer.Option(help="Folder of the run.", show_default="in runs/")
_PRINT = typer.Option(help="Print the configuration and stop.")


def run(
    recipe: Annotated[str, RECIPE],
    settings: Annotated[list[str] | None, _SETTINGS] = None,
    seeds: Annotated[str | None, SEEDS] = None,
    out: Annotated[Path | None, _OUT] = None,
    n_jobs: Annotated[int, N_JOBS] = -1,
    print_config: Annotated[bool, _PRINT] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Run a recipe; a run that was stopped continues where it was."""
    return _start(config_file.load(recipe, settings or (), seeds), out, n_jobs, print_config, quiet)


def run_design(
    recipe: Annotated[str, RECIPE],
    settings: Annotated[list[str] | None, _SETTINGS] = None,
    seeds: Annotated[str | None, SEEDS] = None,
    out: Annotated[Path | None, _OUT] = None,
    n_jobs: Annotated[int, N_JOBS] = -1,
    print_config: Annotated[bool, _PRINT] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Run a study of sequential design: regret against labels, criterion by criterion."""
    loaded = config_file.load(recipe, settings or (), seeds)
    if not isinstance(loaded, DesignConfig):
        raise InvalidInputError(
            f"{recipe} is no study of sequential design; run it by: dfl run {recipe}"
        )
    return _start(loaded, out, n_jobs, print_config, quiet)


def _start(
    loaded: Config | SuiteConfig, out: Path | None, n_jobs: int, print_config: bool, quiet: bool
) -> int:
    if print_config:
        show_config(loaded)
        return 0
    n_jobs = processes(n_jobs)
    from dfl_experiments.workflow import default_folder

    if not isinstance(loaded, SuiteConfig):
        return _run(loaded, out or default_folder(loaded), n_jobs, quiet)
    codes = []
    for member in loaded.recipes:
        folder = default_folder(member) if out is None else out / member.name
        codes.append(_run(member, folder, n_jobs, quiet))
    return max(codes)


def _run(config: Config, folder: Path, n_jobs: int, quiet: bool) -> int:
    from dfl_experiments.workflow import Run, tables

    run = Run(config, folder, ["dfl", *sys.argv[1:]])
    try:
        finished = run.complete(n_jobs, progress_bar(quiet))
    except KeyboardInterrupt:
        return complain(f"interrupted: {_kept(run)}", INTERRUPTED)
    except StorageError as error:
        return complain(f"{error}; {_kept(run)}", BAD_INPUT)
    for note in run.notes:
        typer.echo(f"dfl: note: {note}", err=True)
    if not quiet:
        console = screen(sys.stdout)
        for table in tables(config, finished.rows):
            console.print(table)
            console.print()
        typer.echo(f"results: {folder}")
    for line in by_reason({str(each.cell): each.message for each in finished.failures}):
        complain(line, FAILED)
    if not finished.failures:
        return 0
    return BAD_INPUT if all(failure.bad_input for failure in finished.failures) else FAILED


def _kept(run: Run) -> str:
    return (
        f"{run.saved()} of {len(run.cells)} cells are saved in {run.folder}; "
        "the same command goes on from there"
    )
