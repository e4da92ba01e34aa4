"""What a pool holds: decisions, when each was last useful, and the draws."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from dfl_solvers._rows import LOCK
from dfl_solvers.oracle import Array

# numbers in a block of products: 4 MiB
_BLOCK = 1 << 19


@dataclass(frozen=True)
class PoolCounts:
    """What a ``Pool`` has done so far.

    Attributes
    ----------
    solved, answered : int
        Instances that the oracle solved, and instances that the pool answered.
    size : int
        Distinct decisions in the pool.
    """

    solved: int
    answered: int
    size: int


@final
class PoolMemory:
    """The decisions, when each was last useful, and the generator of the draws."""

    def __init__(self, size: int, generator: np.random.Generator) -> None:
        self._size = size
        self._generator = generator
        self._decisions = np.empty((0, 0))
        self._own = np.empty(0)
        self._useful = np.empty(0, dtype=np.int64)
        self._slots: dict[bytes, int] = {}
        self._time = 0
        self._solved = self._answered = 0

    @property
    def width(self) -> int | None:
        """Length of the decisions in the pool; None if it is empty."""
        return self._decisions.shape[1] if self._slots else None

    def counts(self) -> PoolCounts:
        with LOCK:
            return PoolCounts(self._solved, self._answered, len(self._slots))

    def count(self, solved: int, answered: int) -> None:
        with LOCK:
            self._solved += solved
            self._answered += answered

    def draw(self, n: int, ratio: float) -> Array:
        """Say which of n instances to solve: all as long as the pool is empty."""
        with LOCK:
            drawn = self._generator.random(n) < ratio
            return drawn if self._slots else np.ones(n, dtype=bool)

    def add(self, decisions: Array, own: Array) -> None:
        """Take in decisions (n, d) with their parts of the objective."""
        rows = np.ascontiguousarray(decisions, dtype=np.float64) + 0.0  # one kind of zero
        with LOCK:
            self._time += 1
            new: dict[bytes, int] = {}
            for i, row in enumerate(rows):
                key = row.tobytes()
                slot = self._slots.get(key)
                if slot is None:
                    new.setdefault(key, i)
                else:
                    self._useful[slot] = self._time
            if not new:
                return
            keys = list(new)[-self._size :]
            taken = np.array([new[key] for key in keys])
            slots = self._room(len(keys), rows.shape[1])
            self._decisions[slots] = rows[taken]
            self._own[slots] = own[taken]
            self._useful[slots] = self._time
            self._slots.update(zip(keys, slots.tolist(), strict=True))

    def answer(self, costs: Array) -> tuple[Array, Array]:
        """Return the best decision (n, d) for each row of costs, and its part of the objective."""
        with LOCK:
            self._time += 1
            n_slots = len(self._slots)
            pool = self._decisions[:n_slots]
            own = self._own[:n_slots]
            best = np.empty(len(costs), dtype=np.intp)
            step = max(1, _BLOCK // n_slots)
            for lo in range(0, len(costs), step):
                values = _products(costs[lo : lo + step], pool, own)
                best[lo : lo + step] = values.argmin(axis=1)
            self._useful[best] = self._time
            return pool[best], own[best]

    def _room(self, n: int, d: int) -> Array:
        """Return n free slots; the decisions that were useful least recently leave."""
        held = len(self._slots)
        capacity = min(self._size, held + n)
        if capacity > len(self._useful):
            self._grow(min(self._size, max(capacity, 2 * len(self._useful))), d)
        fresh = np.arange(held, capacity)
        n_leaving = n - len(fresh)
        if not n_leaving:
            return fresh
        leaving = np.argsort(self._useful[:held], kind="stable")[:n_leaving]
        for row in self._decisions[leaving]:
            del self._slots[row.tobytes()]
        return np.concatenate([fresh, leaving])

    def _grow(self, capacity: int, d: int) -> None:
        held = len(self._slots)
        decisions, own, useful = self._decisions, self._own, self._useful
        self._decisions = np.empty((capacity, d))
        self._own = np.empty(capacity)
        self._useful = np.empty(capacity, dtype=np.int64)
        if held:
            self._decisions[:held] = decisions[:held]
            self._own[:held] = own[:held]
            self._useful[:held] = useful[:held]

    def __getstate__(self) -> dict[str, Any]:
        with LOCK:  # another thread may be adding
            held = len(self._slots)
            return self.__dict__ | {
                "_generator": copy.deepcopy(self._generator),
                "_decisions": self._decisions[:held].copy(),
                "_own": self._own[:held].copy(),
                "_useful": self._useful[:held].copy(),
                "_slots": dict(self._slots),
            }


def _products(costs: Array, pool: Array, own: Array) -> Array:
    """Objective of each decision of the pool for each row of costs, in a unit of its own."""
    costs = np.asarray(costs, dtype=np.float64)
    # by powers of two: exact, and the sums of the largest numbers do not overflow
    exponents = -np.frexp(np.abs(costs).max(axis=1, initial=0.0))[1][:, None]
    if not own.any():
        return np.asarray(np.ldexp(costs, exponents) @ pool.T)
    exponents = np.minimum(exponents, 0)  # the part of its own must not overflow either
    return np.asarray(np.ldexp(costs, exponents) @ pool.T + np.ldexp(own, exponents))
