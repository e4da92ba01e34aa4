"""What a design has asked for and been told; a new record for every change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from dfl.design._law import Draw
from dfl.design.protocols import Labels
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array


class Asked(NamedTuple):
    """A row that was drawn, and its features."""

    draw: Draw
    row: Array


@dataclass(frozen=True, eq=False)
class Record:
    """The course of a design.

    Attributes
    ----------
    pending : tuple of Asked
        Asked for and not yet told, the oldest first.
    labeled : tuple of (Asked, ndarray of shape (d,))
        With their costs, in the order of telling.
    history : tuple of dict
        An entry a ``tell``.
    n_pool : int or None
        Number of rows of the pool; None before the first ``ask``.
    mean_uncertainty : float
        Of the pool at the last ``ask``.
    """

    pending: tuple[Asked, ...] = ()
    labeled: tuple[tuple[Asked, Array], ...] = ()
    history: tuple[dict[str, float], ...] = ()
    n_pool: int | None = None
    mean_uncertainty: float = float("nan")

    def ask(self, draws: Sequence[Draw], rows: Array, mean_uncertainty: float) -> Record:
        """Add what was drawn from the rows of a pool."""
        new = tuple(Asked(one, rows[one.number].copy()) for one in draws)
        return replace(
            self,
            pending=self.pending + new,
            n_pool=len(rows),
            mean_uncertainty=mean_uncertainty,
        )

    def tell(self, places: Sequence[int], costs: Array) -> Record:
        """Move what is at places of ``pending`` to the labels."""
        taken = set(places)
        new = tuple((self.pending[place], row) for place, row in zip(places, costs, strict=True))
        rest = tuple(one for place, one in enumerate(self.pending) if place not in taken)
        return replace(self, pending=rest, labeled=self.labeled + new)

    def labels(self, places: Sequence[int], costs: Array) -> Labels:
        """Return the labels of what is at places of ``pending``."""
        asked = [self.pending[place] for place in places]
        return Labels(
            np.array([one.row for one in asked]),
            costs,
            np.array([one.draw.weight for one in asked]),
            np.array([one.draw.range for one in asked]),
        )

    def asked(self) -> list[Asked]:
        """Return all that was ever asked for."""
        return [*self.pending, *(one for one, _ in self.labeled)]

    def open_rows(self, n: int) -> Array:
        """Say which of n rows were never asked for, (n,)."""
        found = np.ones(n, dtype=bool)
        found[[one.draw.number for one in self.asked()]] = False
        return found

    def check_same(self, rows: Array) -> None:
        """Refuse a pool that is not the one of before."""
        if self.n_pool is not None and len(rows) != self.n_pool:
            raise InvalidInputError(
                f"ask: got a pool of {len(rows)} rows, expected {self.n_pool} as before: indices "
                "are those of one pool"
            )
        known = {one.draw.number: one.row for one in self.asked()}
        if not known:
            return
        expected = np.array(list(known.values()))
        if expected.shape[1] != rows.shape[1] or not np.array_equal(rows[list(known)], expected):
            raise InvalidInputError(
                "ask: rows of the pool are not the ones that were asked for before: indices are "
                "those of one pool, whose rows and features stay in place"
            )

    def places(self, told: Array) -> list[int]:
        """Return where rows are among the pending ones, the oldest asking of a row first."""
        places: dict[int, list[int]] = {}
        for place, one in enumerate(self.pending):
            places.setdefault(one.draw.number, []).append(place)
        for number, times in Counter(int(i) for i in told).items():
            pending = len(places.get(number, []))
            if times <= pending:
                continue
            if pending or any(one.draw.number == number for one, _ in self.labeled):
                raise InvalidInputError(
                    f"tell: row {number} is labeled already, or given twice: got {times} labels, "
                    f"and {pending} are pending. Nothing was learned"
                )
            raise InvalidInputError(
                f"tell: row {number} was never asked for; pending are {sorted(places)[:10]}. "
                "Nothing was learned"
            )
        return [places[int(i)].pop(0) for i in told]

    def pack(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return plain values and arrays that hold all of it."""
        asked = self.asked()
        keys = list(self.history[-1]) if self.history else []
        content = {
            "pending": len(self.pending),
            "pool": self.n_pool,
            "history": keys,
            "uncertainty": repr(self.mean_uncertainty),  # JSON has no NaN
        }
        arrays = {
            "draws": _table([one.draw for one in asked]),
            "rows": _table([one.row for one in asked]),
            "costs": _table([costs for _, costs in self.labeled]),
            "history": _table([[entry[key] for key in keys] for entry in self.history]),
        }
        return content, arrays

    @classmethod
    def unpack(cls, content: dict[str, Any], arrays: dict[str, Array]) -> Self:
        """Return what ``pack`` packed."""
        asked = [
            Asked(Draw(int(number), float(weight), float(reach)), row)
            for (number, weight, reach), row in zip(arrays["draws"], arrays["rows"], strict=True)
        ]
        n = int(content["pending"])
        history = [
            dict(zip(content["history"], map(float, entry), strict=True))
            for entry in arrays["history"]
        ]
        return cls(
            tuple(asked[:n]),
            tuple(zip(asked[n:], arrays["costs"], strict=True)),
            tuple(history),
            content["pool"],
            float(content["uncertainty"]),
        )


def _table(rows: list[Any]) -> Array:
    return np.array(rows, dtype=float) if rows else np.zeros((0, 0))


def check_told(indices: npt.ArrayLike, C: npt.ArrayLike, d: int | None) -> tuple[Array, Array]:
    """Return checked indices (m,) and costs (m, d)."""
    told = np.atleast_1d(np.asarray(indices))
    if told.ndim != 1 or not told.size or told.dtype.kind not in "iu":
        raise InvalidInputError(
            f"tell: got indices of shape {told.shape} and type {told.dtype}, expected at least one "
            "whole number"
        )
    try:
        costs = np.array(C, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"tell: costs cannot be read as numbers: {error}") from error
    expected = len(told), d if d is not None else costs.shape[-1] if costs.ndim else 1
    if costs.shape != expected:
        raise InvalidInputError(
            f"tell: got costs of shape {costs.shape}, expected {expected}: a row for each index"
        )
    if not np.isfinite(costs).all():
        row, column = np.argwhere(~np.isfinite(costs))[0]
        raise InvalidInputError(
            f"tell: got cost {costs[row, column]} for row {told[row]}, coordinate {column}; "
            "expected finite numbers. Nothing was learned; tell the other rows, and this one when "
            "it is known"
        )
    return told, costs
