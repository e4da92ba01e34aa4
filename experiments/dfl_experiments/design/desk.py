"""What ``dfl design ask`` and ``dfl design tell`` do: a design whose labels come by CSV file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from pydantic import ValidationError

from dfl.exceptions import InvalidInputError
from dfl_experiments.design import desk_folder
from dfl_experiments.design.criteria import Criterion
from dfl_experiments.design.desk_folder import ID, Setup
from dfl_experiments.design.desk_tables import (
    asked_rows,
    check_costs,
    cost_columns,
    ids_of,
    labeled,
)
from dfl_experiments.tables.csv_file import CSVFile, matching
from dfl_experiments.tables.problem_file import read_problem
from dfl_experiments.tables.schema import Schema
from dfl_solvers.oracle import Array


@final
@dataclass(frozen=True)
class Asked:
    """Rows to label next.

    Attributes
    ----------
    ids : list of str
    weights : list of float
        Importance weights, for a fit by ``sample_weight``.
    again : bool
        They were asked before, and their labels have not come.
    """

    ids: list[str]
    weights: list[float]
    again: bool


@final
@dataclass(frozen=True)
class Told:
    """What ``tell`` took in.

    Attributes
    ----------
    labels : int
        Rows labeled so far.
    new : int
        Those of this file.
    pending : int
        Rows that were asked for and are still to come.
    """

    labels: int
    new: int
    pending: int


def ask(
    state: Path,
    pool: Path,
    n: int,
    *,
    problem: Path | None = None,
    features: Sequence[str] | None = None,
    costs: Sequence[str] | None = None,
    criterion: Criterion | None = None,
    floor: float | None = None,
    ridge: float | None = None,
    seed: int | None = None,
) -> Asked:
    """Choose rows of a pool to label next; rows asked before come first, until they are told.

    Raises
    ------
    DFLError
        If the pool, the problem or an option is wrong, or differs from that of the first ``ask``;
        the state is left as it was.
    """
    table = CSVFile.read(pool)
    ids = ids_of(table)
    if desk_folder.is_begun(state):
        setup = desk_folder.read_setup(state)
        given = {"criterion": criterion, "floor": floor, "ridge": ridge, "seed": seed}
        _check_options(state, setup, given)
        X = _read_again(state, setup, table, ids, problem, features, costs)
    else:
        if n > len(ids):
            raise InvalidInputError(f"-n: got {n}, but {pool} has {len(ids)} rows")
        setup, X = _begin(
            state, table, ids, problem, features, costs,
            criterion or "integrated-regret", 0.05 if floor is None else floor,
            1.0 if ridge is None else ridge, seed or 0,
        )  # fmt: skip
    design = desk_folder.open_design(state, setup)
    if costs is not None and not setup.table.costs:
        check_costs(costs, setup.table.features, design.oracle)
        desk_folder.settle(state, setup, costs)
    again = bool(design.pending_)
    if not again:
        design.ask(_standardized(X), n)
    rows, weights = zip(*design.pending_, strict=True)
    return Asked([setup.ids[row] for row in rows], list(map(float, weights)), again)


def tell(state: Path, labels: Path, costs: Sequence[str] | None = None) -> Told:
    """Take in labels: a table with ``id`` and the costs.

    The first table has the costs in the problem's order, unless they were named; later ones may
    have them in any order. Rows without any cost are passed over: they may come later.

    Raises
    ------
    DFLError
        If an id was never asked for or is there twice, a cost is missing or no number, or the
        costs are others than before; nothing is learned then.
    """
    if not desk_folder.is_begun(state):
        raise InvalidInputError(f"{state} holds no design; `dfl design ask` begins one")
    setup = desk_folder.read_setup(state)
    table = CSVFile.read(labels)
    design = desk_folder.open_design(state, setup)
    names = cost_columns(state, table, setup, costs, design.oracle)
    table = labeled(table, names)
    rows = asked_rows(table, setup, design)
    if rows:
        C = np.column_stack([table.numbers(name) for name in names])
        desk_folder.settle(state, setup, names)  # first: what is learned has names
        design.tell(rows, C)
    return Told(len(design.indices_), len(rows), len(design.pending_))


def _begin(
    state: Path,
    table: CSVFile,
    ids: list[str],
    problem: Path | None,
    features: Sequence[str] | None,
    costs: Sequence[str] | None,
    criterion: Criterion,
    floor: float,
    ridge: float,
    seed: int,
) -> tuple[Setup, Array]:
    if problem is None:
        raise InvalidInputError(f"{state} holds no design yet: the first ask needs --problem")
    desk_folder.check_free(state)
    if features is None:
        names = [name for name in table.header if name != ID and name not in (costs or ())]
    else:
        names = table.matching(features, "--features")
    if ID in names or not names:
        raise InvalidInputError(
            f"{table.path}: got {names} as features, expected at least one column besides {ID!r}"
        )
    schema = Schema.learn(table, names, list(costs or ()), None, None)
    X = schema.X(table)
    oracle = read_problem(problem, list(costs or ()))
    if costs:
        check_costs(costs, names, oracle)
    try:
        setup = Setup(
            format=1, table=schema, ids=tuple(ids), pool=desk_folder.digest_of_numbers(X),
            problem=desk_folder.digest_of_file(problem), criterion=criterion,
            floor=floor, ridge=ridge, seed=seed,
        )  # fmt: skip
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidInputError(
            f"--{first['loc'][0]}: got {first['input']!r}: {first['msg'].lower()}"
        ) from error
    desk_folder.begin(state, setup, oracle)
    return setup, X


def _check_options(state: Path, setup: Setup, given: Mapping[str, str | float | None]) -> None:
    for name, value in given.items():
        if value is not None and value != getattr(setup, name):
            raise InvalidInputError(
                f"--{name}: got {value}, but {state} was begun with {getattr(setup, name)}; "
                "leave the option out, or begin in another folder"
            )


def _read_again(
    state: Path,
    setup: Setup,
    table: CSVFile,
    ids: list[str],
    problem: Path | None,
    features: Sequence[str] | None,
    costs: Sequence[str] | None,
) -> Array:
    """Return the features of the pool, which must be as they were."""
    if problem is not None and desk_folder.digest_of_file(problem) != setup.problem:
        raise InvalidInputError(
            f"--problem: {problem} is not what {state} was begun with; leave the option out, "
            "or begin in another folder"
        )
    if features is not None:
        named = table.matching(features, "--features")
        settled = sorted(setup.table.features)
        desk_folder.check_columns(state, "--features", sorted(named), settled)
    if costs is not None and setup.table.costs:
        named = matching(costs, setup.table.costs, "--costs", state)
        desk_folder.check_columns(state, "--costs", named, setup.table.costs)
    X = setup.table.X(table)
    desk_folder.check_pool(state, table.path, setup, ids, X)
    return X


def _standardized(X: Array) -> Array:
    spread = X.std(axis=0)
    return np.asarray((X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0))
