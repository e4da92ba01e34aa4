"""What ``dfl design ask`` and ``dfl design tell`` do: a design whose labels come by CSV file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from pydantic import Field, ValidationError

from dfl.design import BayesianLinearRegression, SequentialDesign
from dfl.exceptions import InvalidInputError
from dfl_experiments.base import AbstractModel
from dfl_experiments.cells import explained, write_atomically
from dfl_experiments.design.criteria import Criterion, greedy, make_criterion
from dfl_experiments.tables.csv_file import CSVFile, is_missing, matching
from dfl_experiments.tables.problem_file import read_problem
from dfl_experiments.tables.schema import Schema
from dfl_solvers import load_oracle, save_oracle
from dfl_solvers.oracle import Array, Oracle

# parts of the folder beside the state of the design itself
_SETUP, _PROBLEM = "setup.json", "problem.npz"
_ID, _WEIGHT = "id", "weight"


@final
class Setup(AbstractModel):
    """What was settled by the first ``ask``.

    Attributes
    ----------
    form : int
        Number of the format.
    table : Schema
        Which columns of the pool are features, and the names of the costs: none until an ``ask``
        names them or the first ``tell`` has them.
    ids : list of str
        Of the rows of the pool, in their order.
    pool, problem : str
        Hashes of their features, and of the file of the problem.
    criterion : str
    floor, ridge : float
    seed : int
    """

    form: int = Field(default=1, alias="format")
    table: Schema
    ids: tuple[str, ...]
    pool: str
    problem: str
    criterion: Criterion
    floor: float = Field(ge=0, le=1)
    ridge: float = Field(gt=0)
    seed: int = Field(ge=0)


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
    """What ``tell`` took in: labels in all, of this file, and rows still to come."""

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
    ids = _ids(table)
    if (state / _SETUP).is_file():
        setup = _setup(state)
        given = {"criterion": criterion, "floor": floor, "ridge": ridge, "seed": seed}
        for name, value in given.items():
            if value is not None and value != getattr(setup, name):
                raise InvalidInputError(
                    f"--{name}: got {value}, but {state} was begun with {getattr(setup, name)}; "
                    "leave the option out, or begin in another folder"
                )
        if problem is not None and _hash(problem) != setup.problem:
            raise InvalidInputError(
                f"--problem: {problem} is not what {state} was begun with; leave the option out, "
                "or begin in another folder"
            )
        if features is not None:
            named = table.matching(features, "--features")
            _check_columns(state, "--features", sorted(named), sorted(setup.table.features))
        if costs is not None and setup.table.costs:
            named = matching(costs, setup.table.costs, "--costs", state)
            _check_columns(state, "--costs", named, setup.table.costs)
        X = setup.table.X(table)
        _check_same(state, pool, setup, ids, X)
    else:
        if n > len(ids):
            raise InvalidInputError(f"-n: got {n}, but {pool} has {len(ids)} rows")
        setup, X = _begin(
            state, table, ids, problem, features, costs,
            criterion or "integrated-regret", 0.05 if floor is None else floor,
            1.0 if ridge is None else ridge, seed or 0,
        )  # fmt: skip
    design = _design(state, setup)
    if costs is not None and not setup.table.costs:
        _check_costs(costs, setup.table.features, design.oracle)
        _settle(state, setup, costs)
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
    if not (state / _SETUP).is_file():
        raise InvalidInputError(f"{state} holds no design; `dfl design ask` begins one")
    setup = _setup(state)
    table = CSVFile.read(labels)
    design = _design(state, setup)
    names = _cost_columns(state, table, setup, costs, design.oracle)
    table = _labeled(table, names)
    rows = _asked_rows(table, setup, design)
    if rows:
        C = np.column_stack([table.numbers(name) for name in names])
        _settle(state, setup, names)  # first: what is learned has names
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
    if state.exists() and not state.is_dir():
        raise InvalidInputError(f"--state: {state} is a file, expected a folder")
    if state.exists() and any(state.iterdir()) and not (state / _PROBLEM).is_file():
        raise InvalidInputError(f"{state} is not empty, and holds no design; choose another folder")
    if features is None:
        names = [name for name in table.header if name != _ID and name not in (costs or ())]
    else:
        names = table.matching(features, "--features")
    if _ID in names or not names:
        raise InvalidInputError(
            f"{table.path}: got {names} as features, expected at least one column besides {_ID!r}"
        )
    schema = Schema.learn(table, names, list(costs or ()), None, None)
    X = schema.X(table)
    oracle = read_problem(problem, list(costs or ()))
    if costs:
        _check_costs(costs, names, oracle)
    try:
        setup = Setup(
            format=1, table=schema, ids=tuple(ids), pool=_digest(X), problem=_hash(problem),
            criterion=criterion, floor=floor, ridge=ridge, seed=seed,
        )  # fmt: skip
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidInputError(
            f"--{first['loc'][0]}: got {first['input']!r}: {first['msg'].lower()}"
        ) from error
    with explained(state):
        state.mkdir(parents=True, exist_ok=True)
    save_oracle(oracle, state / _PROBLEM)
    _write(state, setup)  # last: it says that the others are there
    return setup, X


def _design(state: Path, setup: Setup) -> SequentialDesign:
    chosen = greedy(make_criterion(setup.criterion), False)
    return SequentialDesign(
        BayesianLinearRegression(setup.ridge),
        chosen.criterion,
        load_oracle(state / _PROBLEM),
        floor=setup.floor,
        random_state=setup.seed,
        selection=chosen.selection,
        state=state,
    )


def _setup(state: Path) -> Setup:
    path = state / _SETUP
    try:
        return Setup.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it was changed or is damaged"
        raise InvalidInputError(f"{path} cannot be read: {reason}; restore it") from error


def _write(state: Path, setup: Setup) -> None:
    write_atomically(state / _SETUP, setup.model_dump_json(by_alias=True, indent=1).encode())


def _settle(state: Path, setup: Setup, costs: Sequence[str]) -> None:
    """Keep the names of the costs, in the problem's order."""
    if tuple(costs) != setup.table.costs:
        table = setup.table.model_copy(update={"costs": tuple(costs)})
        _write(state, setup.model_copy(update={"table": table}))


def _check_costs(costs: Sequence[str], features: Sequence[str], oracle: Oracle) -> None:
    """Refuse names that cannot be those of the costs."""
    for name in costs:
        if name in features or costs.count(name) > 1:
            raise InvalidInputError(f"--costs: the column {name!r} is named for two purposes")
    if oracle.n_costs not in (None, len(costs)):
        raise InvalidInputError(
            f"--costs: got {len(costs)} names, expected {oracle.n_costs}, as the problem has"
        )


def _check_columns(state: Path, option: str, got: Sequence[str], settled: Sequence[str]) -> None:
    if list(got) != list(settled):
        raise InvalidInputError(
            f"{option}: got {', '.join(got)}, but {state} was begun with {', '.join(settled)}; "
            "leave the option out, or begin in another folder"
        )


def _ids(table: CSVFile) -> list[str]:
    ids = table.texts(_ID)
    seen: dict[str, int] = {}
    for line, name in zip(table.lines, ids, strict=True):
        if name in seen:
            raise InvalidInputError(
                f"{table.path}: line {line}: column {_ID!r}: got {name[:40]!r}, which line "
                f"{seen[name]} has already"
            )
        seen[name] = line
    return ids


def _check_same(state: Path, pool: Path, setup: Setup, ids: list[str], X: Array) -> None:
    if len(ids) != len(setup.ids):
        raise InvalidInputError(
            f"{pool}: got {len(ids)} rows, but {state} was begun with {len(setup.ids)}; a new pool "
            "needs a new folder"
        )
    for number, (ours, theirs) in enumerate(zip(ids, setup.ids, strict=True)):
        if ours != theirs:
            raise InvalidInputError(
                f"{pool}: row {number + 1}: column {_ID!r}: got {ours[:40]!r}, but {state} was "
                f"begun with {theirs[:40]!r} there; a new pool needs a new folder"
            )
    if _digest(X) != setup.pool:
        raise InvalidInputError(
            f"{pool}: features differ from those that {state} was begun with; restore the file, or "
            "begin in another folder"
        )


def _cost_columns(
    state: Path, table: CSVFile, setup: Setup, costs: Sequence[str] | None, oracle: Oracle
) -> list[str]:
    """Find the costs by their names, which the first labels settle."""
    if setup.table.costs:
        names = table.matching(setup.table.costs, f"the costs that {state} was begun with")
    else:
        others = {_ID, _WEIGHT, *setup.table.features}
        names = [name for name in table.header if name not in others]
    if costs is not None:
        given = table.matching(costs, "--costs")
        if setup.table.costs:
            _check_columns(state, "--costs", given, names)
        names = given
    if oracle.n_costs not in (None, len(names)) or not names:
        shown = ", ".join(names[:20]) or "none"
        raise InvalidInputError(
            f"{table.path}: got {len(names)} columns of costs ({shown}), expected "
            f"{oracle.n_costs or 'at least one'}; name them by --costs"
        )
    return names


def _labeled(table: CSVFile, names: Sequence[str]) -> CSVFile:
    """Leave out the rows without any cost."""
    places = [table.header.index(name) for name in names]
    kept = [
        i for i, row in enumerate(table.rows) if not all(is_missing(row[place]) for place in places)
    ]
    rows, lines = [table.rows[i] for i in kept], [table.lines[i] for i in kept]
    return CSVFile(table.path, table.header, rows, lines)


def _asked_rows(table: CSVFile, setup: Setup, design: SequentialDesign) -> list[int]:
    numbers = {name: row for row, name in enumerate(setup.ids)}
    pending = {row for row, _ in design.pending_}
    done = set(design.indices_.tolist())
    rows = []
    for line, name in zip(table.lines, _ids(table), strict=True):
        row = numbers.get(name, -1)
        if row not in pending:
            what = "labeled already" if row in done else "not asked for"
            what = what if row >= 0 else "not in the pool"
            raise InvalidInputError(
                f"{table.path}: line {line}: column {_ID!r}: got {name[:40]!r}, which is {what}; "
                "nothing was learned"
            )
        rows.append(row)
    return rows


def _standardized(X: Array) -> Array:
    spread = X.std(axis=0)
    return np.asarray((X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _digest(X: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(X, dtype="<f8").tobytes()).hexdigest()


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror or error}") from error
