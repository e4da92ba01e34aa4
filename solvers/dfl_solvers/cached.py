"""A cache around an oracle: a row that was solved before is not solved again."""

from __future__ import annotations

import copy
import os
import warnings
from pathlib import Path
from typing import Any, final

from dfl_solvers._cache_folder import Folder
from dfl_solvers._cache_memory import CacheStatistics as CacheStatistics
from dfl_solvers._cache_memory import Memory
from dfl_solvers._rows import read_batch
from dfl_solvers.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.oracle import Array, Instance, Oracle, Solution, minimizing, negated
from dfl_solvers.pool import Pool
from dfl_solvers.serialization import fingerprint
from dfl_solvers.wrappers import Counting


@final
class Cached:
    """Remember the decisions of another oracle; each distinct row is solved once.

    Use it around a slow oracle whose costs come back: the labels of a training set in every fold
    and run, a validation set in every epoch, augmented or resampled data. A folder keeps the
    answers for the next run. Predicted costs never come back, so a cache does not speed up the
    training steps; ``Pool`` does.

    Parameters
    ----------
    oracle : Oracle
        The oracle to ask; a maximizing one stays maximizing. It must not be changed afterwards.
    max_bytes : int, default=268435456
        Bound on the memory of the cache; the least recently used rows leave first.
    folder : str or Path, optional
        Where answers are kept as well, without bound, for later runs and other processes. Needs an
        oracle that ``save_oracle`` can store. Default: memory only.

    Attributes
    ----------
    statistics : CacheStatistics
        Hits, misses and sizes so far.
    n_costs : int or None
        Length of a cost vector, or None where any length is accepted.

    Raises
    ------
    InvalidInputError
        If ``max_bytes`` is negative or the folder cannot be written.
    UnsupportedError
        If ``oracle`` is a ``Pool``, whose answers are not exact (``Pool(Cached(...))`` is fine), or
        if ``folder`` is given and the oracle cannot be recognized in a later run.

    See Also
    --------
    Pool : Answers that are not exact, for costs that never come back.

    Notes
    -----
    The key of a row is its bytes: costs, their dtype, and the row's instance data. Nothing is
    rounded and no hash stands in for the content, so an answer is the one the oracle gave for
    exactly these numbers, ``FEASIBLE`` ones of a time limit included. All unseen rows of a batch go
    to the oracle in one batch. If it raises, nothing is stored. A row of 40 costs is found in half
    a microsecond and stored in two; in a folder, in some 100 and 250: for oracles slower than that.

    In the folder, answers lie under a fingerprint of the oracle's parameters and the version of
    this package, one checked file a row. Processes may share it: files appear by renaming. A file
    that is damaged or not ours counts as absent and is replaced. If the disk is full, a warning is
    given once, and the cache goes on in memory.

    Copies made by ``copy.deepcopy``, as in cross-validation, share the memory; pickles start with
    none. Safe to call from several threads.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import TopK
    >>> from dfl_solvers.cached import Cached
    >>> oracle = Cached(TopK(3, 1))
    >>> costs = np.array([[3.0, 1.0, 2.0], [0.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    >>> oracle.solve(costs).decisions
    array([[0., 1., 0.],
           [1., 0., 0.],
           [0., 1., 0.]])
    >>> oracle.statistics.hits, oracle.statistics.misses
    (1, 2)
    """

    def __init__(
        self,
        oracle: Oracle,
        max_bytes: int = 2**28,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        if not max_bytes >= 0:
            raise InvalidInputError(f"Cached: got max_bytes={max_bytes}, expected at least 0")
        self.oracle = oracle
        self.max_bytes = max_bytes
        self.folder = None if folder is None else os.fspath(folder)
        inner = _unwrap(oracle)
        if isinstance(inner, Pool):
            raise UnsupportedError(
                "Cached does not go with Pool: its answers are not exact, and the cache would keep "
                "them; use Pool(Cached(oracle), ...)"
            )
        disk = None
        if self.folder is not None:
            try:
                name = fingerprint(inner)
            except UnsupportedError as error:
                raise UnsupportedError(
                    f"Cached: the folder cannot tell this oracle from another one in a later run; "
                    f"leave out folder=. {error}"
                ) from error
            disk = Folder(Path(self.folder), name)
        self._memory = Memory(max_bytes, disk)

    @property
    def sign(self) -> int:
        """-1 if the wrapped oracle maximizes, else 1."""
        return getattr(self.oracle, "sign", 1)

    @property
    def minimizing(self) -> Cached:
        """The minimizing oracle under the same cache."""
        return self if self.sign == 1 else self._around(minimizing(self.oracle)[0])

    @property
    def n_costs(self) -> int | None:
        """Length of a cost vector, or None where any length is accepted."""
        return self.oracle.n_costs

    @property
    def statistics(self) -> CacheStatistics:
        """Hits, misses and sizes so far."""
        return self._memory.statistics()

    def parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments by name."""
        return {"oracle": self.oracle, "max_bytes": self.max_bytes, "folder": self.folder}

    def solve(self, costs: Array, instance: Instance | None = None) -> Solution:
        """Solve a batch, each row that was seen before from the cache.

        Parameters
        ----------
        costs : ndarray of shape (n, d)
            One cost vector a row; finite.
        instance : mapping of str to ndarray, optional
            Per-instance data, each array with leading n.

        Returns
        -------
        Solution
            As of the wrapped oracle; new arrays, which the caller may change.

        Raises
        ------
        InvalidInputError, InfeasibleError, UnboundedError, SolverError
            As the wrapped oracle does.
        """
        if self.sign == -1:
            found = self.minimizing.solve(negated(costs), instance)
            return Solution(found.decisions, -found.objectives, found.status)
        batch = read_batch(costs, instance)
        if batch is None:
            return self.oracle.solve(costs, instance)
        return self._memory.solve(self.oracle, batch)

    def evaluate(self, costs: Array, decisions: Array, instance: Instance | None = None) -> Array:
        """Objective (n,) of given decisions (n, d); computed anew."""
        return self.oracle.evaluate(costs, decisions, instance)

    def _around(self, oracle: Oracle) -> Cached:
        """Return the same cache around another form of the oracle."""
        other = object.__new__(Cached)
        other.oracle = oracle
        other.max_bytes, other.folder = self.max_bytes, self.folder
        other._memory = self._memory
        return other

    def __getattr__(self, name: str) -> Any:
        # what the wrapped oracle can do beside solving (program, instance_fields, ...)
        if name in {"oracle", "max_bytes", "folder", "_memory"} or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.oracle, name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Cached:
        return self._around(copy.deepcopy(self.oracle, memo))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.oracle, self.max_bytes, self.folder)

    def __repr__(self) -> str:
        return (
            f"Cached(oracle={self.oracle!r}, max_bytes={self.max_bytes!r}, folder={self.folder!r})"
        )


def _restore(oracle: Oracle, max_bytes: int, folder: str | None) -> Cached:
    """Rebuild a pickled cache; on another machine its folder may be out of reach."""
    try:
        return Cached(oracle, max_bytes, folder)
    except InvalidInputError as error:
        warnings.warn(f"{error}; going on in memory", RuntimeWarning, stacklevel=2)
        return Cached(oracle, max_bytes)


def _unwrap(oracle: Oracle) -> Oracle:
    """Return the minimizing oracle that does the solving, without counters and caches."""
    oracle = minimizing(oracle)[0]
    while isinstance(oracle, (Counting, Cached)):
        oracle = minimizing(oracle.oracle)[0]
    return oracle
