"""The folder of a design between one command and the next, and what must not change in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from pydantic import Field, ValidationError

from dfl.design import BayesianLinearRegression, SequentialDesign
from dfl.exceptions import InvalidInputError
from dfl_experiments.base import AbstractModel
from dfl_experiments.cells import explained, write_atomically
from dfl_experiments.design.criteria import Criterion, greedy, make_criterion
from dfl_experiments.tables.schema import Schema
from dfl_solvers import load_oracle, save_oracle
from dfl_solvers.oracle import Array, Oracle

# parts of the folder beside the state of the design itself
_SETUP, _PROBLEM = "setup.json", "problem.npz"
ID = "id"
"""The column that tells rows apart."""


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


def is_begun(state: Path) -> bool:
    """Say whether the folder holds a design."""
    return (state / _SETUP).is_file()


def check_free(state: Path) -> None:
    """Refuse a folder in which something else is kept."""
    if state.exists() and not state.is_dir():
        raise InvalidInputError(f"--state: {state} is a file, expected a folder")
    if state.exists() and any(state.iterdir()) and not (state / _PROBLEM).is_file():
        raise InvalidInputError(f"{state} is not empty, and holds no design; choose another folder")


def begin(state: Path, setup: Setup, oracle: Oracle) -> None:
    """Make the folder."""
    with explained(state):
        state.mkdir(parents=True, exist_ok=True)
    save_oracle(oracle, state / _PROBLEM)
    _write(state, setup)  # last: it says that the others are there


def read_setup(state: Path) -> Setup:
    """Return what was settled."""
    path = state / _SETUP
    try:
        return Setup.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it was changed or is damaged"
        raise InvalidInputError(f"{path} cannot be read: {reason}; restore it") from error


def open_design(state: Path, setup: Setup) -> SequentialDesign:
    """Return the design as the last command left it."""
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


def settle(state: Path, setup: Setup, costs: Sequence[str]) -> None:
    """Keep the names of the costs, in the problem's order."""
    if tuple(costs) != setup.table.costs:
        table = setup.table.model_copy(update={"costs": tuple(costs)})
        _write(state, setup.model_copy(update={"table": table}))


def check_columns(state: Path, option: str, got: Sequence[str], settled: Sequence[str]) -> None:
    """Refuse other columns than the design was begun with."""
    if list(got) != list(settled):
        raise InvalidInputError(
            f"{option}: got {', '.join(got)}, but {state} was begun with {', '.join(settled)}; "
            "leave the option out, or begin in another folder"
        )


def check_pool(state: Path, pool: Path, setup: Setup, ids: list[str], X: Array) -> None:
    """Refuse another pool than the design was begun with."""
    if len(ids) != len(setup.ids):
        raise InvalidInputError(
            f"{pool}: got {len(ids)} rows, but {state} was begun with {len(setup.ids)}; a new pool "
            "needs a new folder"
        )
    for number, (ours, theirs) in enumerate(zip(ids, setup.ids, strict=True)):
        if ours != theirs:
            raise InvalidInputError(
                f"{pool}: row {number + 1}: column {ID!r}: got {ours[:40]!r}, but {state} was "
                f"begun with {theirs[:40]!r} there; a new pool needs a new folder"
            )
    if digest_of_numbers(X) != setup.pool:
        raise InvalidInputError(
            f"{pool}: features differ from those that {state} was begun with; restore the file, or "
            "begin in another folder"
        )


def digest_of_numbers(X: Any) -> str:
    """Hash an array."""
    return hashlib.sha256(np.ascontiguousarray(X, dtype="<f8").tobytes()).hexdigest()


def digest_of_file(path: Path) -> str:
    """Hash what a file holds."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror or error}") from error


def _write(state: Path, setup: Setup) -> None:
    write_atomically(state / _SETUP, setup.model_dump_json(by_alias=True, indent=1).encode())
