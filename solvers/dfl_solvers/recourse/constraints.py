"""The rows of a problem as dense arrays, for corrections that look at them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dfl_solvers.backends.model import Bounds
from dfl_solvers.exceptions import UnsupportedError
from dfl_solvers.oracle import Array, Instance, Oracle, solving
from dfl_solvers.program import Program

# how far a row may be violated, in units of the sizes in it
TOLERANCE = 1e-9


class Rows(NamedTuple):
    """``row_lower <= A w <= row_upper`` and ``lower <= w <= upper``.

    Each array has leading n, or 1 where all instances share it.
    """

    A: Array
    row_lower: Array
    row_upper: Array
    lower: Array
    upper: Array

    def used(self, decisions: Array) -> Array:
        """Return ``A w`` (n, m) of decisions (n, d)."""
        return np.asarray((self.A @ decisions[:, :, None])[:, :, 0])

    def slack(self, decisions: Array) -> Array:
        """Return what rounding may add to ``A w``, (n, m)."""
        sizes = (np.abs(self.A) @ np.abs(decisions)[:, :, None])[:, :, 0]
        return np.asarray(TOLERANCE * (1 + sizes))

    def violated(self, decisions: Array) -> Array:
        """Tell which decisions (n, d) break a row or a bound, shape (n,)."""
        used, slack = self.used(decisions), self.slack(decisions)
        rows = (used > self.row_upper + slack) | (used < self.row_lower - slack)
        bounds = (decisions > self.upper + TOLERANCE) | (decisions < self.lower - TOLERANCE)
        return np.asarray(rows.any(axis=1) | bounds.any(axis=1))


def rows_of(oracle: Oracle, instance: Instance | None, n: int, name: str) -> Rows:
    """Return the rows of n instances of an oracle whose variables are the decision.

    Raises
    ------
    UnsupportedError
        If the oracle has no such matrix form.
    """
    held: Any = solving(oracle)
    if not hasattr(held, "program"):
        raise UnsupportedError(
            f"{name} does not go with {type(held).__name__}: it needs the oracle's matrix form"
        )
    own = dict(instance or {})
    if set(own) <= set(Bounds._fields):  # one matrix
        program: Program = held.program()
        _check(program, held, name)
        rows = _dense(program)
        return rows._replace(**{field: np.asarray(value, float) for field, value in own.items()})
    each = [held.program({key: value[i] for key, value in own.items()}) for i in range(n)]
    for program in each[:1]:
        _check(program, held, name)
    return Rows(*(np.concatenate(parts) for parts in zip(*map(_dense, each), strict=True)))


def _dense(program: Program) -> Rows:
    bounds = (getattr(program, field)[None] for field in Bounds._fields)
    return Rows(program.A.toarray()[None], *bounds)


def _check(program: Program, held: Oracle, name: str) -> None:
    if not program.identity:
        raise UnsupportedError(
            f"{name} does not go with {type(held).__name__}: it needs a matrix form whose "
            "variables are the decision"
        )
