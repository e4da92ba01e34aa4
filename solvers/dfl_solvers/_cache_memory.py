"""Answers of an oracle in memory, bounded, in front of a folder."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from dfl_solvers._cache_folder import Folder, layout_of
from dfl_solvers._rows import LOCK, Batch, solve_rows
from dfl_solvers.oracle import Array, Oracle, Solution

# bytes that the interpreter takes for an entry beside the key and the answer
_OVERHEAD = 256


@dataclass(frozen=True)
class CacheStatistics:
    """What a ``Cached`` oracle has seen, and what it holds.

    Attributes
    ----------
    hits, misses : int
        Rows that were answered from the cache, and rows that the oracle solved. A row that occurs
        twice in one batch is solved once.
    read : int
        Distinct rows, among the hits, that were read from the folder.
    damaged : int
        Files in the folder that were no answers, and were solved again.
    entries, bytes : int
        What is in memory.
    """

    hits: int
    misses: int
    read: int
    damaged: int
    entries: int
    bytes: int


class _Schema:
    """What is the same for all rows of a batch: dtypes and shapes; layout of the answers."""

    def __init__(self, number: int, text: bytes) -> None:
        self.prefix = np.frombuffer(number.to_bytes(8, "little"), np.uint8)
        self.text = text
        self.layout: np.dtype | None = None


@final
class Memory:
    """Answers by the bytes of their questions, the least recently used first."""

    def __init__(self, max_bytes: int, folder: Folder | None) -> None:
        self._max_bytes = max_bytes
        self._folder = folder
        self._entries: OrderedDict[bytes, bytes] = OrderedDict()
        self._schemas: dict[Any, _Schema] = {}
        self._bytes = self._hits = self._misses = self._read = 0

    def statistics(self) -> CacheStatistics:
        """Return the counts at this moment."""
        damaged = 0 if self._folder is None else self._folder.damaged
        with LOCK:
            return CacheStatistics(
                self._hits, self._misses, self._read, damaged, len(self._entries), self._bytes
            )

    def solve(self, oracle: Oracle, batch: Batch) -> Solution:
        """Answer what is known and have the oracle solve the rest."""
        schema = self._schema(batch)
        keys = _keys(batch, schema.prefix)
        with LOCK:
            answers = list(map(self._entries.get, keys))
            touch = self._entries.move_to_end
            if None not in answers:
                for key in keys:
                    touch(key)
                self._hits += len(keys)
                return _unpack(answers, schema.layout)  # type: ignore[arg-type]
            # where each distinct row that is unknown occurs first, in ascending order
            places: dict[bytes, int] = {}
            for i, key in enumerate(keys):
                if answers[i] is None:
                    places.setdefault(key, i)
                else:
                    touch(key)
        fresh = self._from_folder(places, schema) if self._folder is not None else {}
        n_read = len(fresh)
        unsolved = [key for key in places if key not in fresh] if fresh else list(places)
        rows = np.array([places[key] for key in unsolved], dtype=np.intp)
        solution = None
        if len(rows):
            solution = solve_rows(oracle, batch, rows)
            if not self._fits(schema, solution):
                # the oracle answers in another dtype than before: these go by without a trace
                return oracle.solve(*batch)
            solved = dict(zip(unsolved, _pack(solution, schema.layout), strict=True))
            self._to_folder(solved, schema)
            fresh |= solved
        with LOCK:
            self._insert(fresh.items())
            self._misses += len(rows)
            self._hits += len(keys) - len(rows)
            self._read += n_read
        if solution is not None and len(rows) == len(keys):
            return solution
        whole = [fresh[key] if a is None else a for key, a in zip(keys, answers, strict=True)]
        return _unpack(whole, schema.layout)

    def _schema(self, batch: Batch) -> _Schema:
        costs, fields = batch
        described = (
            (costs.dtype.str, costs.shape[1]),
            *((name, a.dtype.str, a.shape[1:]) for name, a in fields.items()),
        )
        with LOCK:
            if described not in self._schemas:
                text = json.dumps(described).encode()
                self._schemas[described] = _Schema(len(self._schemas), text)
            return self._schemas[described]

    def _fits(self, schema: _Schema, solution: Solution) -> bool:
        decisions, objectives = solution.decisions, solution.objectives
        layout = layout_of(decisions.dtype, decisions.shape[1], objectives.dtype)
        with LOCK:
            if schema.layout is None:
                schema.layout = layout
            return schema.layout == layout

    def _from_folder(self, keys: Iterable[bytes], schema: _Schema) -> dict[bytes, bytes]:
        found = {}
        for key in keys:
            answer = self._folder.get(schema.text + key[8:])  # type: ignore[union-attr]
            if answer is None:
                continue
            layout, record = answer
            with LOCK:
                schema.layout = schema.layout or layout
            if schema.layout == layout:
                found[key] = record
        return found

    def _to_folder(self, solved: dict[bytes, bytes], schema: _Schema) -> None:
        if self._folder is not None and schema.layout is not None:
            for key, record in solved.items():
                self._folder.put(schema.text + key[8:], schema.layout, record)

    def _insert(self, fresh: Iterable[tuple[bytes, bytes]]) -> None:
        entries = self._entries
        for key, answer in fresh:
            if entries.pop(key, None) is None:  # else another thread was first
                self._bytes += len(key) + len(answer) + _OVERHEAD
            entries[key] = answer
            while self._bytes > self._max_bytes:
                old, gone = entries.popitem(last=False)
                self._bytes -= len(old) + len(gone) + _OVERHEAD


def _keys(batch: Batch, prefix: Array) -> list[bytes]:
    """Return the bytes of each row: prefix, costs and instance data."""
    n = len(batch.costs)
    arrays = [
        np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for array in (batch.costs, *batch.instance.values())
    ]
    width = len(prefix) + sum(len(array) for array in arrays) // n
    table = np.empty((n, width), np.uint8)
    table[:, : len(prefix)] = prefix
    start = len(prefix)
    for array in arrays:
        end = start + len(array) // n
        table[:, start:end] = array.reshape(n, -1) if end > start else 0
        start = end
    return _slices(table.tobytes(), width)


def _pack(solution: Solution, layout: np.dtype | None) -> list[bytes]:
    """Write each row of a solution as bytes."""
    records = np.empty(len(solution.objectives), layout)
    records["decisions"] = solution.decisions
    records["objectives"] = solution.objectives
    records["status"] = solution.status
    return _slices(records.tobytes(), records.itemsize)


def _unpack(answers: list[bytes], layout: np.dtype | None) -> Solution:
    """Read a solution from the bytes of its rows."""
    records = np.frombuffer(b"".join(answers), layout)
    return Solution(
        records["decisions"].copy(), records["objectives"].copy(), records["status"].copy()
    )


def _slices(data: bytes, width: int) -> list[bytes]:
    return [data[i : i + width] for i in range(0, len(data), width)]
