"""Per-instance data of an oracle, in the forms that users keep them in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array

# a mapping of arrays, a data frame or a structured array; frames of any library have no common type
InstanceData = Any


def as_instance(instance: InstanceData | None) -> Mapping[str, Array] | None:
    """Return per-instance data as arrays by name.

    scikit-learn's metadata routing splits what has rows, and hands on a mapping whole: where data
    are routed through cross-validation, they have to be a table.

    Parameters
    ----------
    instance : mapping of str to ndarray, data frame or structured array, or None
        A column of a frame is a field. One whose cells hold arrays is put together to an array
        with leading n, so that a field may have any shape.

    Raises
    ------
    InvalidInputError
        If it is none of these, or the cells of a column have unequal shapes.
    """
    if instance is None or isinstance(instance, Mapping):
        return instance
    names = getattr(getattr(instance, "dtype", None), "names", None)
    if names is None:
        names = getattr(instance, "columns", None)
    if names is None:
        raise InvalidInputError(
            f"got instance data of type {type(instance).__name__}, expected a mapping of names to "
            "arrays, a data frame or a structured array"
        )
    return {str(name): _stacked(str(name), np.asarray(instance[name])) for name in names}


def _stacked(name: str, values: Array) -> Array:
    if values.dtype != object or not len(values):
        return values
    try:
        return np.stack([np.asarray(value) for value in values])
    except ValueError as error:
        raise InvalidInputError(
            f"instance data {name!r}: the cells hold arrays of unequal shapes ({error})"
        ) from error
