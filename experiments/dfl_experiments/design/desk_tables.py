"""What ``dfl design`` reads from the tables of its users."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dfl.design import SequentialDesign
from dfl.exceptions import InvalidInputError
from dfl_experiments.design.desk_folder import ID, Setup, check_columns
from dfl_experiments.tables.csv_file import CSVFile, is_missing
from dfl_solvers.oracle import Oracle

_WEIGHT = "weight"


def ids_of(table: CSVFile) -> list[str]:
    """Return the names of rows, each of which may stand there once."""
    ids = table.texts(ID)
    seen: dict[str, int] = {}
    for line, name in zip(table.lines, ids, strict=True):
        if name in seen:
            raise InvalidInputError(
                f"{table.path}: line {line}: column {ID!r}: got {name[:40]!r}, which line "
                f"{seen[name]} has already"
            )
        seen[name] = line
    return ids


def check_costs(costs: Sequence[str], features: Sequence[str], oracle: Oracle) -> None:
    """Refuse names that cannot be those of the costs."""
    for name in costs:
        if name in features or costs.count(name) > 1:
            raise InvalidInputError(f"--costs: the column {name!r} is named for two purposes")
    if oracle.n_costs not in (None, len(costs)):
        raise InvalidInputError(
            f"--costs: got {len(costs)} names, expected {oracle.n_costs}, as the problem has"
        )


def cost_columns(
    state: Path, table: CSVFile, setup: Setup, costs: Sequence[str] | None, oracle: Oracle
) -> list[str]:
    """Find the costs by their names, which the first labels settle."""
    if setup.table.costs:
        names = table.matching(setup.table.costs, f"the costs that {state} was begun with")
    else:
        others = {ID, _WEIGHT, *setup.table.features}
        names = [name for name in table.header if name not in others]
    if costs is not None:
        given = table.matching(costs, "--costs")
        if setup.table.costs:
            check_columns(state, "--costs", given, names)
        names = given
    if oracle.n_costs not in (None, len(names)) or not names:
        shown = ", ".join(names[:20]) or "none"
        raise InvalidInputError(
            f"{table.path}: got {len(names)} columns of costs ({shown}), expected "
            f"{oracle.n_costs or 'at least one'}; name them by --costs"
        )
    return names


def labeled(table: CSVFile, names: Sequence[str]) -> CSVFile:
    """Leave out the rows without any cost."""
    places = [table.header.index(name) for name in names]
    kept = [
        i for i, row in enumerate(table.rows) if not all(is_missing(row[place]) for place in places)
    ]
    rows, lines = [table.rows[i] for i in kept], [table.lines[i] for i in kept]
    return CSVFile(table.path, table.header, rows, lines)


def asked_rows(table: CSVFile, setup: Setup, design: SequentialDesign) -> list[int]:
    """Return the rows of the pool that labels are for; each must have been asked for."""
    numbers = {name: row for row, name in enumerate(setup.ids)}
    pending = {row for row, _ in design.pending_}
    done = set(design.indices_.tolist())
    rows = []
    for line, name in zip(table.lines, ids_of(table), strict=True):
        row = numbers.get(name, -1)
        if row not in pending:
            what = "labeled already" if row in done else "not asked for"
            what = what if row >= 0 else "not in the pool"
            raise InvalidInputError(
                f"{table.path}: line {line}: column {ID!r}: got {name[:40]!r}, which is {what}; "
                "nothing was learned"
            )
        rows.append(row)
    return rows
