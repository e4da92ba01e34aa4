"""What the commands have in common: options, exit codes, and how they write to the screen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO

import typer
from pydantic import BaseModel
from rich.console import Console

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

RECIPE = typer.Argument(help="A recipe of `dfl list`, or a YAML file.")
SEEDS = typer.Option(help="Seeds, e.g. 0:10 or 1,2,5.")
N_JOBS = typer.Option(help="Processes; -1: one a core.")
QUIET = typer.Option("--quiet", help="No progress bar, no tables.")


def processes(n_jobs: int) -> int:
    """Return how many processes ``--n-jobs`` asks for.

    Raises
    ------
    typer.BadParameter
        If it is zero, or below -1.
    """
    if n_jobs == 0 or n_jobs < -1:
        raise typer.BadParameter(f"got {n_jobs}, expected a positive number or -1: --n-jobs")
    return os.cpu_count() or 1 if n_jobs == -1 else n_jobs


def names(text: str) -> list[str]:
    """Split names at commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def show_config(config: BaseModel) -> None:
    """Write a configuration as YAML that runs as a file."""
    import yaml

    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    typer.echo(text, nl=False)


def by_reason(reasons: Mapping[str, str]) -> list[str]:
    """Write why what is named has no result, a line a reason."""
    lines = []
    for reason in dict.fromkeys(reasons.values()):
        own = [name for name, other in reasons.items() if other == reason]
        more = f" (and {len(own) - 1} more)" if len(own) > 1 else ""
        lines.append(f"{own[0]}{more}: {reason}")
    return lines


def complain(message: str, code: int) -> int:
    """Write one line on the standard error stream, and return the exit code."""
    kind = "" if code == INTERRUPTED else "error: "
    typer.echo(f"dfl: {kind}{' '.join(message.split())}", err=True)
    return code


def screen(stream: TextIO) -> Console:
    """Return where tables are shown."""
    # names come from the user: no markup in them; a file or a pipe has no width of its own
    width = None if stream.isatty() else 100
    return Console(file=stream, width=width, markup=False, highlight=False)


def progress_bar(quiet: bool) -> Console:
    """Return where progress is shown: apart from the results."""
    return Console(stderr=True, quiet=quiet)
