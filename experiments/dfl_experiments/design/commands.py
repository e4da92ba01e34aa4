"""The commands ``dfl design run``, ``ask`` and ``tell``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from dfl.exceptions import InvalidInputError
from dfl_experiments.design.criteria import Criterion
from dfl_experiments.terminal import names

app = typer.Typer(
    name="design",
    help="Which rows to label next: ask for them, tell their costs; and studies of criteria.",
    no_args_is_help=True,
)
_STATE = typer.Option(help="Folder of the design; made by the first ask.")
_COSTS = typer.Option(help="Names of the costs, in the problem's order, e.g. a,b,c.")


@app.command()
def ask(
    pool: Annotated[Path, typer.Argument(help="CSV file with a column `id` and features.")],
    state: Annotated[Path, _STATE],
    n: Annotated[int, typer.Option("--n", "-n", help="How many rows.", min=1)] = 10,
    problem: Annotated[
        Path | None, typer.Option(help="problem.yaml, model.mps or .lp, oracle.npz; first ask.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="Columns, e.g. wind,load or 'f_*'.", show_default="all but id"),
    ] = None,
    costs: Annotated[str | None, _COSTS] = None,
    criterion: Annotated[
        str | None, typer.Option(help="How rows are chosen.", show_default="integrated-regret")
    ] = None,
    floor: Annotated[
        float | None, typer.Option(help="Share of rows drawn at random.", show_default="0.05")
    ] = None,
    ridge: Annotated[
        float | None, typer.Option(help="Penalty of the linear model.", show_default="1")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.", show_default="0", min=0)] = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write.", show_default="the screen")
    ] = None,
) -> int:
    """Say which rows of a pool to label next, with importance weights.

    The same rows are named again until they have been told.
    """
    from dfl_experiments.design import desk
    from dfl_experiments.tables.csv_file import csv_text, write_csv

    found = desk.ask(
        state,
        pool,
        n,
        problem=problem,
        features=_names(features),
        costs=_names(costs),
        criterion=_criterion(criterion),
        floor=floor,
        ridge=ridge,
        seed=seed,
    )
    rows = [(name, f"{weight:.12g}") for name, weight in zip(found.ids, found.weights, strict=True)]
    if out is None:
        typer.echo(csv_text(("id", "weight"), rows), nl=False)
    else:
        write_csv(out, ("id", "weight"), rows)
        typer.echo(f"{len(rows)} rows to label: {out}")
    if found.again:
        typer.echo("dfl: note: these were asked for before, and have not been told yet", err=True)
    return 0


@app.command()
def tell(
    labels: Annotated[Path, typer.Argument(help="CSV file with `id` and the costs found.")],
    state: Annotated[Path, _STATE],
    costs: Annotated[str | None, _COSTS] = None,
) -> int:
    """Take in the costs of rows that were asked for; rows without costs are passed over."""
    from dfl_experiments.design import desk

    found = desk.tell(state, labels, _names(costs))
    typer.echo(f"{found.new} new labels, {found.labels} in all, {found.pending} rows to come")
    return 0


def _criterion(name: str | None) -> Criterion | None:
    known: tuple[Criterion, ...] = get_args(Criterion)
    for one in known:
        if one == name:
            return one
    if name is not None:
        raise InvalidInputError(f"--criterion: got {name!r}, expected one of: {', '.join(known)}")
    return None


def _names(text: str | None) -> list[str] | None:
    return None if text is None else names(text)
