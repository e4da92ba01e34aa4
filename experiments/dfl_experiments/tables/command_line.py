"""The commands ``dfl fit``, ``dfl predict`` and ``dfl evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfl_experiments.terminal import names


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
        names(features),
        names(costs),
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


def predict(
    model: Annotated[Path, typer.Argument(help="Folder that `dfl fit` wrote.")],
    table: Annotated[Path, typer.Argument(help="CSV file with the features.")],
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write.", show_default="TABLE.decisions.csv")
    ] = None,
) -> int:
    """Predict costs and decide, row by row of a CSV file."""
    from dfl_experiments.tables import commands

    target = out or table.with_name(f"{table.stem}.decisions.csv")
    typer.echo(f"{commands.predict(model, table, target)} rows: {target}")
    return 0


def evaluate(
    model: Annotated[Path, typer.Argument(help="Folder that `dfl fit` wrote.")],
    table: Annotated[Path, typer.Argument(help="CSV file with features and true costs.")],
    picture: Annotated[
        Path | None, typer.Option(help="PNG file to write.", show_default="in the folder")
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
