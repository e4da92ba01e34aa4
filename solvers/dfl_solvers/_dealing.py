"""How a batch is dealt out to several processes: in which order, and in parts of which size."""

from __future__ import annotations

from typing import final

import numpy as np

from dfl_solvers._rows import Batch
from dfl_solvers.oracle import Array

# parts that each process gets of what is left, if parts could be cut anywhere
_SHARES = 4
# seconds below which a part is not worth cutting: to send one takes some tenths of a millisecond
_LEAST = 0.0005
# what is left of an earlier, longer time
_FADING = 0.8
# instance data whose times are kept
_KEPT = 100_000


@final
class Times:
    """How long instances took, by their data: a hard day stays hard when its prices change."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def expected(self, keys: list[int]) -> Array:
        """Return about how long each instance takes, at least in relation to the others."""
        known = np.array([self._seconds.get(key, np.nan) for key in keys])
        seen = np.isfinite(known)
        # those that are new are as the others are; a zero would make a part of all of them
        known[~seen] = known[seen].mean() if seen.any() else 1.0
        return np.maximum(known, 1e-6)

    def learn(self, keys: list[int], seconds: float) -> None:
        """Remember how long instances took that were solved together.

        What was slow may be so again, even if it was quick this time: it fades from time to time.
        """
        if len(self._seconds) > _KEPT:
            self._seconds.clear()
        for key in keys:
            self._seconds[key] = max(seconds / len(keys), _FADING * self._seconds.get(key, 0.0))


def keys_of(batch: Batch) -> list[int]:
    """Return a number for the instance data of each row; two that share one only share a time."""
    fields = list(batch.instance.values())
    return [hash(tuple(values[i].tobytes() for values in fields)) for i in range(len(batch.costs))]


def parts(seconds: Array, n_jobs: int) -> list[Array]:
    """Cut a batch into parts, the slow instances first, each a share of the time that is left.

    Parameters
    ----------
    seconds : ndarray of shape (n,)
        What each instance is expected to take.
    n_jobs : int
        Number of processes.

    Returns
    -------
    list of ndarray
        Rows of the batch, ascending within each part.
    """
    order = np.argsort(-seconds, kind="stable")
    until = np.cumsum(seconds[order])
    found = []
    lo, done = 0, 0.0
    while lo < len(order):
        share = max((until[-1] - done) / (_SHARES * n_jobs), _LEAST)
        hi = max(lo + 1, int(np.searchsorted(until, done + share, side="right")))
        found.append(np.sort(order[lo:hi]))
        lo, done = hi, until[hi - 1]
    return found
