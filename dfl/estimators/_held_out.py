"""Which instances train an estimator, and which tell when to stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dfl.estimators._reading import read
from dfl.estimators._split import split
from dfl.estimators._table import Table
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array

if TYPE_CHECKING:
    from dfl.estimators.decision_focused import DecisionFocusedRegressor

# what says which instances validate, beside X
_ARGUMENTS = ("y", "sample_weight", "decisions", "groups", "instance")


class Held(NamedTuple):
    """What validates: rows of a table."""

    table: Table
    rows: Array


def hold_out(
    estimator: DecisionFocusedRegressor, table: Table, rng: np.random.Generator, validation: Any
) -> tuple[Array, Held | None]:
    """Return the rows to train on; and what validates, if anything does."""
    every = np.arange(len(table.inputs))
    if validation is not None:
        if not estimator.early_stopping:
            raise InvalidInputError("got validation instances, but early_stopping is off")
        held = read(estimator, **{"y": None, **_named(validation)}, reset=False)
        if held.long != table.long:
            kinds = [f"{'long' if each.long else 'wide'} data" for each in (held, table)]
            raise InvalidInputError(f"got {kinds[0]} to validate on, expected {kinds[1]}")
        return every, Held(held, np.arange(len(held.inputs)))
    if not estimator.early_stopping:
        return every, None
    rows, held_out = split(
        len(every), estimator.validation_fraction, estimator.cv, rng, table.dates, table.labels
    )
    return rows, Held(table, held_out) if len(held_out) else None


def _named(validation: Any) -> Mapping[str, Any]:
    """Return the arguments of ``fit`` that are given to validate on, by name."""
    if not isinstance(validation, Mapping):
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            raise InvalidInputError(
                f"got validation of type {type(validation).__name__}, expected a pair (X, y) "
                f"or a mapping with the keys X, {', '.join(_ARGUMENTS)}"
            )
        return {"X": validation[0], "y": validation[1]}
    if "X" not in validation or set(validation) - {"X", *_ARGUMENTS}:
        raise InvalidInputError(
            f"got validation with the keys {', '.join(map(str, validation))}, expected X and "
            f"some of {', '.join(_ARGUMENTS)}"
        )
    return validation
