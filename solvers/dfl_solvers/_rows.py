"""What the wrappers that solve only some rows of a batch share."""

from __future__ import annotations

import os
import threading
from typing import NamedTuple

import numpy as np

from dfl_solvers.exceptions import DFLError
from dfl_solvers.oracle import Array, Instance, Oracle, Solution

# one lock for all caches and pools: it is held briefly, a module-level lock pickles, and a child
# that is forked while another thread holds it would wait for ever, so forking waits for it
LOCK = threading.RLock()

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release
    )


class Batch(NamedTuple):
    """Costs (n, d) and instance data as arrays of plain numbers, each with leading n."""

    costs: Array
    instance: dict[str, Array]


def read_batch(costs: Array, instance: Instance | None) -> Batch | None:
    """Return the batch as arrays; None for what cannot be one, so that the oracle says why."""
    try:
        costs = np.asarray(costs)
        fields = {name: np.asarray(value) for name, value in sorted((instance or {}).items())}
    except (TypeError, ValueError):
        return None
    if costs.ndim != 2 or len(costs) == 0:
        return None
    for array in (costs, *fields.values()):
        if array.ndim == 0 or len(array) != len(costs) or array.dtype.kind not in "biuf":
            return None
    return Batch(costs, fields)


def solve_rows(oracle: Oracle, batch: Batch, rows: Array) -> Solution:
    """Solve distinct rows of a batch, in ascending order; an error names a row of the batch."""
    whole, fields = batch
    if len(rows) == len(whole):
        return oracle.solve(whole, fields or None)
    part = {name: value[rows] for name, value in fields.items()}
    try:
        return oracle.solve(whole[rows], part or None)
    except DFLError:
        # the message counts within the part; the whole batch has it count right
        found = oracle.solve(whole, fields or None)
        return Solution(found.decisions[rows], found.objectives[rows], found.status[rows])
