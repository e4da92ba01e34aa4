"""Long data: rows (instance, item) gathered into instances, padded where sizes differ."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Oracle, minimizing


@final
class LongLayout:
    """Where each row of long data stands among the instances.

    Instances are ordered by date where ``groups`` holds dates, else by first appearance; items
    keep the order of their rows.

    Parameters
    ----------
    groups : array-like of shape (n_rows,)
        The instance each row belongs to.
    n_rows : int
        Number of rows of the features, to be checked.
    oracle : Oracle
        Says how many items an instance has, and whether it may have fewer.

    Attributes
    ----------
    labels : ndarray of shape (n,)
        One label an instance.
    mask : ndarray of shape (n, d) of bool, or None
        Which items are real; None if every instance has d of them.
    width : int
        The number d of items, padding included.
    """

    def __init__(self, groups: Any, n_rows: int, oracle: Oracle) -> None:
        groups = as_labels(groups, n_rows)
        oracle, _ = minimizing(oracle)
        try:
            self.labels, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        except TypeError as error:
            raise InvalidInputError(f"groups holds labels of different kinds: {error}") from error
        if not is_dated(groups):
            first = np.full(len(self.labels), n_rows)
            np.minimum.at(first, codes, np.arange(n_rows))
            order = np.argsort(first)
            rank = np.argsort(order)
            self.labels, codes, sizes = self.labels[order], rank[codes], sizes[order]
        d = sizes.max() if oracle.n_costs is None else oracle.n_costs
        self._check_sizes(sizes, d, oracle)
        rows = np.argsort(codes, kind="stable")
        item = np.arange(n_rows) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        self._row = np.full((len(sizes), d), -1)
        self._row[codes[rows], item] = rows
        full = bool((self._row >= 0).all())
        self.mask = None if full else self._row >= 0
        self.width = int(d)

    def gather(self, values: Array) -> Array:
        """Arrange values (n_rows, ...) as (n, d, ...); padding is zero."""
        gathered = values[self._row]
        if self.mask is not None:
            gathered[~self.mask] = 0
        return gathered

    def scatter(self, values: Array) -> Array:
        """Arrange values (n, d) as (n_rows,), in the order of the rows."""
        real = self._row >= 0
        flat = np.empty(int(real.sum()), dtype=values.dtype)
        flat[self._row[real]] = values[real]
        return flat

    def _check_sizes(self, sizes: Array, d: int, oracle: Oracle) -> None:
        name = type(oracle).__name__
        wrong = np.flatnonzero(sizes > d)
        if len(wrong):
            i = wrong[0]
            raise InvalidInputError(
                f"group {self.labels[i]} has {sizes[i]} rows, expected at most {d}, "
                f"the number of costs of {name}"
            )
        short = np.flatnonzero(sizes < d)
        if len(short) and "mask" not in getattr(oracle, "instance_fields", ()):
            i = short[0]
            raise InvalidInputError(
                f"group {self.labels[i]} has {sizes[i]} rows, expected {d}: {name} takes no mask, "
                "so every group needs the same number of rows"
            )


def as_labels(groups: Any, n_rows: int) -> Array:
    """Check the labels of rows and return them as an array (n_rows,)."""
    labels = np.asarray(groups)
    if labels.shape != (n_rows,):
        raise InvalidInputError(
            f"got groups of shape {labels.shape}, expected ({n_rows},), one label per row of X"
        )
    if labels.dtype == object and len(labels) and hasattr(labels[0], "isoformat"):
        labels = labels.astype("datetime64[us]")
    missing = np.isnat(labels) if is_dated(labels) else labels != labels
    if np.any(missing):
        raise InvalidInputError(f"groups is missing a label at row {np.flatnonzero(missing)[0]}")
    return labels


def is_dated(labels: Array) -> bool:
    """Say whether labels are points in time."""
    return bool(np.issubdtype(labels.dtype, np.datetime64))
