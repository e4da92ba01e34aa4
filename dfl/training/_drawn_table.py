"""The rows of a table in the order of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, final

import numpy as np

from dfl.losses.closed_form import Truth
from dfl_solvers.oracle import Array


class Batch(NamedTuple):
    """Views of n instances of d outputs, which are m rows of features."""

    inputs: Array  # (m, p)
    truth: Truth
    scales: Array  # (m,) what a row counts in the mean over the batch
    output: Array  # (n, d) to be filled
    rows: Array  # (m, d * n / m) the same memory, by rows of features
    losses: Array  # (n,) to be filled


# bytes that are gathered at a time: few calls for small rows, and large ones are still in the cache
_GATHERED = 1 << 19


@final
class DrawnTable:
    """A table that is gathered in any order, some batches at a time, into memory of its own.

    Parameters
    ----------
    inputs : ndarray of shape (n, p) or (n, d, p)
        Features of instances, or of their items.
    truth : Truth
        Of the same n instances.
    weights : ndarray of shape (n,)
        What each instance counts.
    size : int
        Instances in a batch; the last one may have fewer.
    n_outputs : int
        Number of outputs of a row of features.
    """

    def __init__(
        self, inputs: Array, truth: Truth, weights: Array, size: int, n_outputs: int
    ) -> None:
        n, real = len(inputs), inputs.dtype
        self._items = 1 if inputs.ndim == 2 else inputs.shape[1]
        self._size = min(n, size)
        truth = truth.map(np.ascontiguousarray)
        self._table = [np.ascontiguousarray(inputs), weights.astype(real), *truth.arrays()]
        row = sum(part[0].nbytes for part in self._table)
        self._rows = min(n, self._size * max(1, _GATHERED // (row * self._size)))

        def memory(part: Array) -> Array:
            return np.empty((self._rows, *part.shape[1:]), part.dtype)

        self._inputs, self._weights = memory(inputs), memory(self._table[1])
        self._truth = truth.map(memory)
        self._drawn = [self._inputs, self._weights, *self._truth.arrays()]
        self._scales = np.empty((self._rows, self._items), real)
        self._losses = np.empty(self._rows, real)
        self._output = np.empty((self._size, self._items * n_outputs), real)
        self._full, self._rest = self._batches(self._rows), self._batches(n % self._rows)
        self.total = 0.0

    def draw(self, order: Array) -> Iterator[Batch]:
        """Yield the batches of the rows in this order; ``total`` is theirs after the last one."""
        self.total = 0.0
        for lo in range(0, len(order), self._rows):
            rows = order[lo : lo + self._rows]
            k = len(rows)
            for part, drawn in zip(self._table, self._drawn, strict=True):
                np.take(part, rows, axis=0, out=drawn[:k], mode="clip")  # "raise" would buffer
            weights, whole = self._weights[:k], k - k % self._size
            np.multiply(weights[:whole, None], 1 / self._size, out=self._scales[:whole])
            if whole < k:  # the last batch of all
                np.multiply(weights[whole:, None], 1 / (k - whole), out=self._scales[whole:k])
            yield from self._full if k == self._rows else self._rest
            with np.errstate(over="ignore", invalid="ignore"):  # of a model that diverges
                self.total += float(np.dot(weights, self._losses[:k]))

    def _batches(self, k: int) -> list[Batch]:
        """Return views of the memory for k rows."""
        batches = []
        for start in range(0, k, self._size):
            rows = slice(start, min(start + self._size, k))
            n = rows.stop - start
            batches.append(
                Batch(
                    self._inputs[rows].reshape(n * self._items, -1),
                    self._truth.map(lambda part, rows=rows: part[rows]),  # type: ignore[misc]
                    self._scales[rows].reshape(n * self._items),
                    self._output[:n],
                    self._output[:n].reshape(n * self._items, -1),
                    self._losses[rows],
                )
            )
        return batches
