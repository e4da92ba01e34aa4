"""Batches whose instances have programs of their own: as few models as their matrices allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from dfl_solvers.backends.model import Backend, Bounds
from dfl_solvers.oracle import Instance, Solution
from dfl_solvers.program import Program

B = TypeVar("B", bound=Backend)


def share_models(
    programs: Iterable[Program], make: Callable[[Program], B], hot: B | None
) -> Iterator[tuple[slice, B, Instance]]:
    """Divide a batch, one program a row, into runs of rows that one model solves.

    Parameters
    ----------
    programs : iterable of Program
    make : callable
        Returns the back-end of a program.
    hot : Backend or None
        One that there is already; it serves where it fits.

    Yields
    ------
    rows : slice
    hot : Backend
    instance : mapping of str to ndarray
        In what the programs of these rows differ, for ``solve`` and ``fixed_part``.
    """
    start = 0
    run: list[Program] = []
    for program in programs:
        if hot is None or not _same_matrices(hot.program, program):
            if hot is not None and run:
                yield slice(start, start + len(run)), hot, _differences(run)
            start, run, hot = start + len(run), [], make(program)
        run.append(program)
    if hot is not None and run:
        yield slice(start, start + len(run)), hot, _differences(run)


def join(solutions: list[Solution]) -> Solution:
    """Return the solution of a batch from those of its parts."""
    if len(solutions) == 1:
        return solutions[0]
    return Solution(
        np.concatenate([solution.decisions for solution in solutions]),
        np.concatenate([solution.objectives for solution in solutions]),
        np.concatenate([solution.status for solution in solutions]),
    )


def _differences(programs: list[Program]) -> Instance:
    names = (*Bounds._fields, "fixed_costs")
    return {name: np.array([getattr(program, name) for program in programs]) for name in names}


def _same_matrices(left: Program, right: Program) -> bool:
    """Tell whether two programs differ in bounds and fixed costs alone."""
    return np.array_equal(left.integrality, right.integrality) and all(
        ours is other
        or (
            ours.shape == other.shape
            and np.array_equal(ours.indptr, other.indptr)
            and np.array_equal(ours.indices, other.indices)
            and np.array_equal(ours.data, other.data)
        )
        for ours, other in ((left.A, right.A), (left.decision_map, right.decision_map))
    )
