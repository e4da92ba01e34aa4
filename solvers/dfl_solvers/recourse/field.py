"""The part of an oracle's constraints that is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Instance, Oracle, minimizing, solving

# fields in which a negative number has no meaning; predictions of them are cut off at zero
_NOT_NEGATIVE = frozenset({"weights", "capacities"})


@final
class PredictedField:
    """Numbers of a constraint, q an instance, and the field of instance data they belong to.

    Parameters
    ----------
    oracle : Oracle
        The problem.
    name : str
        One of its ``instance_fields``, such as ``"weights"``, ``"capacities"`` or ``"row_lower"``.
    positions : sequence of int, optional
        Which entries of the field, read row by row, are predicted; the others are known. Default:
        all.

    Attributes
    ----------
    size : int or None
        The number q; None where only a user's function knows it.

    Raises
    ------
    InvalidInputError
        If the oracle has no such field, or a position is not within it.
    """

    def __init__(self, oracle: Oracle, name: str, positions: Sequence[int] | None = None) -> None:
        held, self.sign = minimizing(oracle)
        problem = type(solving(oracle)).__name__
        known = sorted(getattr(held, "instance_fields", frozenset()) - {"mask"})
        if name not in known:
            raise InvalidInputError(
                f"got predicts={name!r}, expected data that instances of {problem} may have of "
                f"their own: {', '.join(known) or 'there are none'}"
            )
        self.name = name
        self.default = _default(solving(oracle), name)
        self.positions = None if positions is None else np.asarray(positions)
        whole = None if self.default is None else self.default.size
        self.size = whole if self.positions is None else self.positions.size
        if self.positions is not None and (
            whole is None
            or self.positions.ndim != 1
            or self.positions.dtype.kind not in "iu"
            or len(set(self.positions.tolist())) != self.positions.size
            or not ((self.positions >= 0) & (self.positions < whole)).all()
        ):
            raise InvalidInputError(
                f"got positions={positions!r}, expected different whole numbers from 0 to "
                f"{'?' if whole is None else whole - 1}, entries of {name!r} of {problem}"
            )

    def given(
        self, values: Array, instance: Instance | None = None, *, predicted: bool = True
    ) -> dict[str, Any]:
        """Return instance data in which these numbers are those of the constraint.

        Parameters
        ----------
        values : ndarray of shape (n, q)
        instance : mapping of str to ndarray, optional
            Other data of the n instances, the known entries of the field among them.
        predicted : bool, default=True
            Whether the numbers are a model's, which are cut off at zero where a negative one has no
            meaning. The truth is left as it is, for the oracle to judge.

        Raises
        ------
        InvalidInputError
            If there are not q numbers an instance.
        """
        values = np.asarray(values, dtype=float)
        if values.ndim != 2 or self.size not in (None, values.shape[1]):
            raise InvalidInputError(
                f"got {self.name} of shape {values.shape}, expected (n, {self.size})"
            )
        if predicted and self.name in _NOT_NEGATIVE:
            values = np.maximum(values, 0.0)
        own = dict(instance or {})
        if self.default is None:
            return {**own, self.name: values}
        if self.positions is None:
            whole = values
        else:
            rest = own.get(
                self.name, np.broadcast_to(self.default, (len(values), *self.default.shape))
            )
            whole = np.array(rest, dtype=float).reshape(len(values), -1)
            whole[:, self.positions] = values
        return {**own, self.name: whole.reshape(len(values), *self.default.shape)}

    def of(self, instance: Instance) -> Array:
        """Return the numbers (n, q) that instance data hold."""
        whole = np.asarray(instance[self.name], dtype=float)
        flat = whole.reshape(len(whole), -1)
        return flat if self.positions is None else flat[:, self.positions]


def repeated(instance: Instance | None, times: int) -> Instance | None:
    """Return instance data with each instance several times in a row."""
    if instance is None:
        return None
    return {name: np.repeat(value, times, axis=0) for name, value in instance.items()}


def _default(held: Any, name: str) -> Array | None:
    """Return what the field is for instances without data of their own; None if nobody knows."""
    held = getattr(held, "oracle", held)  # of WithBackend
    if hasattr(held, name):
        return np.asarray(getattr(held, name), dtype=float)
    program = held.program() if hasattr(held, "program") else None
    return np.asarray(getattr(program, name), dtype=float) if hasattr(program, name) else None
