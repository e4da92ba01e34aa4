"""The command line ``dfl``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

import dfl
from dfl.exceptions import DFLError
from dfl_experiments import config_file
from dfl_experiments.design.commands import app as design_app
from dfl_experiments.reports.commands import write_report
from dfl_experiments.run_commands import run, run_design
from dfl_experiments.sweep.commands import sweep
from dfl_experiments.tables.command_line import evaluate, fit, predict
from dfl_experiments.terminal import BAD_INPUT, FAILED, INTERRUPTED, complain, screen


def list_recipes() -> int:
    """List the recipes."""
    found = config_file.recipes()
    width = max(map(len, found))
    for name, description in found.items():
        typer.echo(f"{name:<{width}}  {description}")
    return 0


def doctor() -> int:
    """Show versions, solvers and licenses found, and solve a small problem."""
    from dfl_experiments.doctor import examine

    return examine(screen(sys.stdout))


def show_version(wanted: bool) -> None:
    """Show the version, and end."""
    if wanted:
        typer.echo(f"dfl {dfl.__version__}")
        raise typer.Exit


def common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take what stands before the command."""


app = typer.Typer(
    name="dfl",
    help="Decision-focused learning: run experiments and compare methods by their decisions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(common)
design_app.command("run")(run_design)
app.add_typer(design_app)
app.command("report")(write_report)
app.command("sweep")(sweep)
app.command("run")(run)
app.command("list")(list_recipes)
app.command("doctor")(doctor)
app.command("fit")(fit)
app.command("predict")(predict)
app.command("evaluate")(evaluate)


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
        return complain("interrupted", INTERRUPTED)
    except DFLError as error:
        return complain(str(error), BAD_INPUT)
    except BrokenPipeError:
        # the reader of our output has gone, as `dfl list | head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if not isinstance(error, usage_error):
            raise
        return _misused(error)
    return code if isinstance(code, int) else 0


def _misused(error: Any) -> int:
    """Say what is wrong with a command, and where its options are."""
    message = error.format_message().rstrip(".")
    if not message:
        return BAD_INPUT  # `dfl` alone, whose help is on the screen already
    hint = "" if error.ctx is None else f"; see {error.ctx.command_path} --help"
    return complain(message + hint, BAD_INPUT)
