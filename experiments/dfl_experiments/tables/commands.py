"""What ``dfl fit``, ``dfl predict`` and ``dfl evaluate`` do."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from pydantic import ValidationError

import dfl
from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor, metrics
from dfl.exceptions import InvalidInputError
from dfl_experiments.cells import write_atomically
from dfl_experiments.tables.csv_file import CSVFile, write_csv
from dfl_experiments.tables.problem_file import read_problem
from dfl_experiments.tables.schema import Schema
from dfl_solvers.oracle import Array

# parts of the folder that ``fit`` writes
_SCHEMA, _MODEL, _BASELINE = "table.json", "model", "least-squares"


@final
@dataclass(frozen=True)
class Fitted:
    """What ``fit`` found.

    Attributes
    ----------
    n_instances, n_features : int
    n_epochs, best_epoch : int
        Epochs run, and the one whose weights were kept; 0: the start, least squares.
    validation : float or None
        Normalized regret of the kept weights on held-out instances.
    folder : Path
    """

    n_instances: int
    n_features: int
    n_epochs: int
    best_epoch: int
    validation: float | None
    folder: Path


@final
@dataclass(frozen=True)
class Verdict:
    """What ``evaluate`` found: normalized regrets with 95 % intervals, and their difference.

    Attributes
    ----------
    n_instances : int
    intervals : dict of str to Interval
        Of the model and of least squares.
    difference : PairedComparison
        Model minus least squares, on the same instances.
    picture : Path
    """

    n_instances: int
    intervals: dict[str, metrics.Interval]
    difference: metrics.PairedComparison
    picture: Path


def fit(
    table: Path,
    problem: Path,
    features: Sequence[str],
    costs: Sequence[str],
    out: Path,
    *,
    instance: str | None = None,
    item: str | None = None,
    loss: str = "spo+",
    predictor: str = "linear",
    max_iter: int = 100,
    seed: int = 0,
    verbose: bool = False,
) -> Fitted:
    """Train on a table, and write the model, the least-squares baseline and the columns to ``out``.

    Raises
    ------
    DFLError
        If the table, the problem or an option is wrong; nothing is written.
    """
    data = CSVFile.read(table)
    names = data.matching(features, "--features")
    targets = data.matching(costs, "--costs")
    schema = Schema.learn(data, names, targets, instance, item)
    oracle = read_problem(problem, targets if not schema.long else schema.items)
    _check_width(problem, oracle.n_costs, schema)
    X, C, groups = _arrays(schema, data)
    if out.exists() and not (out / _SCHEMA).is_file():
        raise InvalidInputError(f"{out} exists and was not written by `dfl fit`; choose another")
    model = DecisionFocusedRegressor(
        oracle,
        loss=loss,
        predictor=predictor,
        max_iter=max_iter,
        random_state=seed,
        verbose=int(verbose),
    )
    model.fit(X, C, groups=groups)
    baseline = PredictThenOptimizeRegressor(oracle).fit(X, C, groups=groups)
    out.mkdir(parents=True, exist_ok=True)
    model.save(out / _MODEL)
    baseline.save(out / _BASELINE)
    write_atomically(out / _SCHEMA, schema.model_dump_json(indent=1).encode())
    validation = None
    if model.best_iter_:
        validation = model.history_[model.best_iter_ - 1].get("validation")
    return Fitted(
        len(X) if groups is None else len(np.unique(groups)),
        X.shape[1],
        model.n_iter_,
        model.best_iter_,
        validation,
        out,
    )


def predict(folder: Path, table: Path, out: Path) -> int:
    """Write a table again with predicted costs and decisions beside each row; return its length.

    Raises
    ------
    DFLError
        If the folder or the table is wrong; nothing is written.
    """
    schema, model = _schema(folder), dfl.load(folder / _MODEL)
    data = CSVFile.read(table)
    X, order, groups = _features(schema, data)
    new = [f"{kind}_{name}" for kind in ("predicted", "decision") for name in schema.costs]
    for name in new:
        if name in data.header:
            raise InvalidInputError(f"{table} has a column {name!r} already; rename it")
    found = np.empty((len(X), len(new)))
    predicted, decided = model.predict(X), model.decide(X, groups=groups)
    found[order] = np.column_stack([predicted.reshape(len(X), -1), decided.reshape(len(X), -1)])
    rows = (
        [*row, *(f"{value:.12g}" for value in values)]
        for row, values in zip(data.rows, found, strict=True)
    )
    write_csv(out, [*data.header, *new], rows)
    return len(X)


def evaluate(folder: Path, table: Path, picture: Path | None = None) -> Verdict:
    """Judge a model on a table with true costs, against least squares on the same instances.

    Raises
    ------
    DFLError
        If the folder or the table is wrong.
    """
    from matplotlib.figure import Figure

    from dfl.plotting import RegretDisplay

    if picture is not None and picture.suffix.lower() != ".png":
        raise InvalidInputError(f"--picture: got {picture}, expected a name that ends in .png")
    schema = _schema(folder)
    models = {"model": dfl.load(folder / _MODEL), "least squares": dfl.load(folder / _BASELINE)}
    X, C, groups = _arrays(schema, CSVFile.read(table))
    judged = {name: model.evaluate(X, C, groups=groups) for name, model in models.items()}
    regrets = {name: regret for name, (regret, _) in judged.items()}
    weights = np.abs(judged["model"][1])
    if not weights.any():
        raise InvalidInputError(
            f"{table}: the best objective of every instance is zero, so that regret is no share "
            "of it"
        )
    display = RegretDisplay.from_regrets(regrets, weights)
    difference = metrics.paired_bootstrap(
        regrets["model"], regrets["least squares"], weights=weights, random_state=0
    )
    figure = Figure(figsize=(6, 2), layout="constrained")
    display.plot(figure.subplots())
    target = folder / "evaluation.png" if picture is None else picture
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    write_atomically(target, buffer.getvalue())
    return Verdict(len(weights), dict(display.intervals), difference, target)


def _check_width(problem: Path, n_costs: int | None, schema: Schema) -> None:
    """Refuse a problem of another number of costs than the table's, where that is known."""
    named = len(schema.items or schema.costs)
    if n_costs in (None, named) or (schema.long and not schema.items):
        return
    kind = f"items in the column {schema.item!r}" if schema.long else "columns of costs"
    hint = "; a long table, with a row an item, needs --instance" if named == 1 else ""
    raise InvalidInputError(
        f"{problem}: the problem has {n_costs} costs, but the table {named} {kind}{hint}"
    )


def _features(schema: Schema, table: CSVFile) -> tuple[Array, Array, Array | None]:
    """Return features in the order of instances and items, that order, and the groups."""
    X = schema.X(table)
    order, groups = schema.order(table)
    return X[order], order, groups


def _arrays(schema: Schema, table: CSVFile) -> tuple[Array, Array, Array | None]:
    """Return features, costs and groups in the order of instances and items."""
    X, order, groups = _features(schema, table)
    return X, schema.C(table)[order], groups


def _schema(folder: Path) -> Schema:
    try:
        return Schema.model_validate_json((folder / _SCHEMA).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        reason: Any = error.strerror if isinstance(error, OSError) else "it was changed"
        raise InvalidInputError(f"{folder} was not written by `dfl fit`: {reason}") from error
