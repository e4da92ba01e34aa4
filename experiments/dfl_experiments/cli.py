"""The command line ``dfl``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer
from rich.console import Console

from dfl.exceptions import DFLError, InvalidInputError
from dfl_experiments import config as configuration
from dfl_experiments import config_file
from dfl_experiments.cells import StorageError
from dfl_experiments.design.commands import app as design_app
from dfl_experiments.reports.commands import write_report
from dfl_experiments.sweep.commands import sweep

if TYPE_CHECKING:
    from dfl_experiments.config import Config, SuiteConfig
    from dfl_experiments.workflow import Run

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130

app = typer.Typer(
    name="dfl",
    help="Decision-focused learning: run experiments and compare methods by their decisions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(design_app)
app.command("report")(write_report)
app.command("sweep")(sweep)
_RECIPE = typer.Argument(help="A recipe of `dfl list`, or a YAML file.")
_SETTINGS = typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. problem.degree=6.")
_SEEDS = typer.Option(help="Seeds, e.g. 0:10 or 1,2,5.")
_OUT = typer.Option(help="Folder of the run [default: in runs/].")
_N_JOBS = typer.Option(help="Processes; -1: one a core.")
_PRINT = typer.Option(help="Print the configuration and stop.")
_QUIET = typer.Option("--quiet", help="No progress bar, no tables.")


@app.command()
def run(
    recipe: Annotated[str, _RECIPE],
    settings: Annotated[list[str] | None, _SETTINGS] = None,
    seeds: Annotated[str | None, _SEEDS] = None,
    out: Annotated[Path | None, _OUT] = None,
    n_jobs: Annotated[int, _N_JOBS] = -1,
    print_config: Annotated[bool, _PRINT] = False,
    quiet: Annotated[bool, _QUIET] = False,
) -> int:
    """Run a recipe; a run that was stopped continues where it was."""
    return _start(config_file.load(recipe, settings or (), seeds), out, n_jobs, print_config, quiet)


@design_app.command("run")
def run_design(
    recipe: Annotated[str, _RECIPE],
    settings: Annotated[list[str] | None, _SETTINGS] = None,
    seeds: Annotated[str | None, _SEEDS] = None,
    out: Annotated[Path | None, _OUT] = None,
    n_jobs: Annotated[int, _N_JOBS] = -1,
    print_config: Annotated[bool, _PRINT] = False,
    quiet: Annotated[bool, _QUIET] = False,
) -> int:
    """Run a study of sequential design: regret against labels, criterion by criterion."""
    loaded = config_file.load(recipe, settings or (), seeds)
    if not isinstance(loaded, configuration.DesignConfig):
        raise InvalidInputError(
            f"{recipe} is no study of sequential design; run it by: dfl run {recipe}"
        )
    return _start(loaded, out, n_jobs, print_config, quiet)


@app.command("list")
def list_recipes() -> int:
    """List the recipes."""
    found = config_file.recipes()
    width = max(map(len, found))
    for name, description in found.items():
        typer.echo(f"{name:<{width}}  {description}")
    return 0


@app.command()
def doctor() -> int:
    """Show versions, solvers and licenses found, and solve a small problem."""
    from dfl_experiments.doctor import examine

    return examine(_console(sys.stdout))


@app.command()
def fit(
    table: Annotated[Path, typer.Argument(help="CSV file: a row an instance, or an item.")],
    problem: Annotated[Path, typer.Option(help="problem.yaml, model.mps, model.lp or oracle.npz.")],
    features: Annotated[str, typer.Option(help="Columns, e.g. wind,load or 'f_*'.")],
    costs: Annotated[str, typer.Option(help="Columns of costs, in the problem's order.")],
    out: Annotated[Path, typer.Option(help="Folder of the model.")],
    instance: Annotated[
        str | None, typer.Option(help="Long table: the column that says which instance.")
    ] = None,
    item: Annotated[
        str | None, typer.Option(help="Long table: the column that says which item.")
    ] = None,
    loss: Annotated[str, typer.Option(help="The loss to train with.")] = "spo+",
    predictor: Annotated[str, typer.Option(help="linear or mlp.")] = "linear",
    max_iter: Annotated[int, typer.Option(help="Largest number of epochs.")] = 100,
    seed: Annotated[int, typer.Option(help="Random seed.", min=0)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar, no summary.")] = False,
) -> int:
    """Train a model on a CSV file for the decisions that its predictions cause."""
    from dfl_experiments.tables import commands

    found = commands.fit(
        table,
        problem,
        _names(features),
        _names(costs),
        out,
        instance=instance,
        item=item,
        loss=loss,
        predictor=predictor,
        max_iter=max_iter,
        seed=seed,
        verbose=not quiet,
    )
    if not quiet:
        typer.echo(
            f"{found.n_instances} instances, {found.n_features} features; {found.n_epochs} epochs, "
            + (f"kept epoch {found.best_epoch}" if found.best_epoch else "kept the start")
            + (
                ""
                if found.validation is None
                else f" (validation regret {100 * found.validation:.2f} %)"
            )
        )
        typer.echo(f"model: {found.folder}")
    return 0


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="Folder that `dfl fit` wrote.")],
    table: Annotated[Path, typer.Argument(help="CSV file with the features.")],
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write [default: TABLE.decisions.csv].")
    ] = None,
) -> int:
    """Predict costs and decide, row by row of a CSV file."""
    from dfl_experiments.tables import commands

    target = out or table.with_name(f"{table.stem}.decisions.csv")
    typer.echo(f"{commands.predict(model, table, target)} rows: {target}")
    return 0


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="Folder that `dfl fit` wrote.")],
    table: Annotated[Path, typer.Argument(help="CSV file with features and true costs.")],
    picture: Annotated[
        Path | None, typer.Option(help="PNG file to write [default: in the folder].")
    ] = None,
) -> int:
    """Judge a model on new data, against least squares on the same instances."""
    from dfl_experiments.tables import commands

    found = commands.evaluate(model, table, picture)
    typer.echo(f"normalized regret on {found.n_instances} instances, % [95 %]")
    for name, interval in found.intervals.items():
        mean, low, high = (100 * v for v in (interval.mean, interval.low, interval.high))
        typer.echo(f"  {name:<14} {mean:6.2f} [{low:.2f}, {high:.2f}]")
    typer.echo(f"  {'difference':<14} {found.difference}")
    typer.echo(f"picture: {found.picture}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: done. 1: some cells failed. 2: bad input, or a result that cannot be written. 130: Ctrl-C.
    Expected errors are one line on the standard error stream.
    """
    command = typer.main.get_command(app)
    # the base of all usage errors, which typer does not name in public
    usage_error = typer.BadParameter.__mro__[2]
    try:
        code = command.main(args=arguments, prog_name="dfl", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted", INTERRUPTED)
    except DFLError as error:
        return _complain(str(error), BAD_INPUT)
    except BrokenPipeError:
        # the reader of our output has gone, as `dfl list | head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if not isinstance(error, usage_error):
            raise
        return _complain(error.format_message(), BAD_INPUT)  # type: ignore[attr-defined]
    return code if isinstance(code, int) else 0


def _start(
    loaded: Config | SuiteConfig, out: Path | None, n_jobs: int, print_config: bool, quiet: bool
) -> int:
    if print_config:
        import yaml

        text = yaml.safe_dump(loaded.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        typer.echo(text, nl=False)
        return 0
    if n_jobs == 0 or n_jobs < -1:
        raise typer.BadParameter(f"got {n_jobs}, expected a positive number or -1: --n-jobs")
    from dfl_experiments.workflow import default_folder

    if not isinstance(loaded, configuration.SuiteConfig):
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
        finished = run.complete(os.cpu_count() or 1 if n_jobs == -1 else n_jobs, _errors(quiet))
    except KeyboardInterrupt:
        return _complain(f"interrupted: {_kept(run)}", INTERRUPTED)
    except StorageError as error:
        return _complain(f"{error}; {_kept(run)}", BAD_INPUT)
    for note in run.notes:
        typer.echo(f"dfl: note: {note}", err=True)
    if not quiet:
        console = _console(sys.stdout)
        for table in tables(config, finished.rows):
            console.print(table)
            console.print()
        typer.echo(f"results: {folder}")
    for message in dict.fromkeys(failure.message for failure in finished.failures):
        cells = [str(failure.cell) for failure in finished.failures if failure.message == message]
        more = f" (and {len(cells) - 1} more)" if len(cells) > 1 else ""
        _complain(f"{cells[0]}{more}: {message}", FAILED)
    if not finished.failures:
        return 0
    return BAD_INPUT if all(failure.bad_input for failure in finished.failures) else FAILED


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _kept(run: Run) -> str:
    return (
        f"{run.saved()} of {len(run.cells)} cells are saved in {run.folder}; "
        "the same command goes on from there"
    )


def _complain(message: str, code: int) -> int:
    kind = "" if code == INTERRUPTED else "error: "
    typer.echo(f"dfl: {kind}{' '.join(message.split())}", err=True)
    return code


def _console(stream: TextIO) -> Console:
    # names come from the user: no markup in them; a file or a pipe has no width of its own
    width = None if stream.isatty() else 100
    return Console(file=stream, width=width, markup=False, highlight=False)


def _errors(quiet: bool) -> Console:
    return Console(stderr=True, quiet=quiet)
