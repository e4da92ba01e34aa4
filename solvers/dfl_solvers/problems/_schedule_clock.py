"""Solving the days of a batch: compiled search, on under the clock, and HiGHS for the rest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dfl_solvers.backends.highs import HotProgram
from dfl_solvers.kernels import HARD, run
from dfl_solvers.oracle import Array, Solution, Status
from dfl_solvers.problems._load_file import stack
from dfl_solvers.problems._schedule_day import Day
from dfl_solvers.problems._schedule_search import EASY_NODES, branch_and_bound, deepen

# branch and bound visits some million nodes a second; what is harder goes to HiGHS
_NODE_LIMIT = 2_000_000
# nodes from one look at the clock to the next, about a millisecond
_SLICE = 1000
# seconds below which HiGHS finds nothing: it takes as long to read and presolve a day
_WORTHWHILE = 0.2


class Table(NamedTuple):
    """The distinct days of a batch, padded with zeros, as the compiled search takes them."""

    durations: Array
    earliest: Array
    latest: Array
    energy: Array
    usage: Array
    capacities: Array
    order: Array
    n_tasks: Array
    n_machines: Array

    @classmethod
    def of(cls, days: Sequence[Day]) -> Table:
        """Return the table of some days."""
        names = ("durations", "earliest", "latest", "energy", "usage", "capacities", "order")
        arrays = {name: stack([getattr(day, name) for day in days]) for name in names}
        n_tasks = np.array([len(day.durations) for day in days])
        n_machines = np.array([len(day.capacities) for day in days])
        return cls(**arrays, n_tasks=n_tasks, n_machines=n_machines)


def search(
    costs: Array, days: Sequence[Day], which: Array, table: Table, time_limit: float | None
) -> Solution:
    """Find the cheapest schedules, or the best within a time limit.

    Parameters
    ----------
    costs : ndarray of shape (n, d)
    days : sequence of Day
    which : ndarray of shape (n,)
        The day of each row.
    table : Table
        Of the days.
    time_limit : float or None
        Seconds for an instance.

    Returns
    -------
    Solution
        Status ``FAILED`` where there was no time to find a schedule.
    """
    solution = nothing(costs)
    limit = _NODE_LIMIT if time_limit is None else min(_NODE_LIMIT, EASY_NODES)
    begun = time.perf_counter()
    nodes = np.zeros(len(costs), np.int64)
    found = solution.decisions, solution.objectives, solution.status, nodes
    run(branch_and_bound, len(costs), costs, which, *table, limit, *found, serial=HARD)
    status = solution.status
    hard = np.flatnonzero((status == Status.FEASIBLE) | (status == Status.FAILED))
    if not len(hard):
        return solution
    if time_limit is None:
        for k in np.unique(which[hard]):
            rows = hard[which[hard] == k]
            _general(days[k].hot, costs, rows, solution)
        return solution
    # what each has used of its time so far, about; the easy rows have had their part
    used = (time.perf_counter() - begun) * nodes / nodes.sum()
    for row in hard.tolist():
        deadline = time.perf_counter() + time_limit - used[row]
        _go_on(costs, days[which[row]], row, deadline, solution)
    return solution


def _go_on(costs: Array, day: Day, row: int, deadline: float, solution: Solution) -> None:
    """Search on for a row until a deadline, and then give HiGHS what is left of the time."""
    n, (m, r), d = len(day.durations), day.capacities.shape, costs.shape[1]
    # the state of the search: all zero at first
    size, prices, starts = np.zeros(1), np.zeros((n, d)), np.zeros((n, d), np.int64)
    free, sums = np.zeros((m, r, d)), np.zeros((2, n + 1))
    choices, position = np.zeros((2, n + 1), np.int64), np.zeros(3, np.int64)
    schedule = np.zeros((2, n), np.int64)
    objective = solution.objectives[row : row + 1]
    nodes = 0
    while position[0] >= 0 and nodes < _NODE_LIMIT and time.perf_counter() < deadline:
        run(
            deepen, 1, costs[row], day.durations, day.earliest, day.latest, day.energy,
            day.usage, day.capacities, day.order, _SLICE, size, prices, starts, free, *sums,
            *choices, position, *schedule, solution.decisions[row], objective,
        )  # fmt: skip
        nodes += _SLICE
    left = deadline - time.perf_counter()
    if position[0] < 0:
        complete = Status.OPTIMAL if objective[0] < np.inf else Status.INFEASIBLE
        solution.status[row] = complete
    elif objective[0] < np.inf:
        solution.status[row] = Status.FEASIBLE
    if position[0] >= 0 and left > _WORTHWHILE:
        _general(HotProgram(day.program, left), costs, np.array([row]), solution)


def _general(highs: HotProgram, costs: Array, rows: Array, solution: Solution) -> None:
    """Solve rows by HiGHS, which may stop with less than branch and bound had."""
    found = highs.solve(costs[rows])
    better = (found.status <= Status.FEASIBLE) & (found.objectives < solution.objectives[rows])
    solution.decisions[rows[better]] = found.decisions[better]
    solution.objectives[rows[better]] = found.objectives[better]
    told = found.status != Status.FAILED
    solution.status[rows[told]] = found.status[told]


def nothing(costs: Array) -> Solution:
    """Return a solution to be filled in."""
    n = len(costs)
    return Solution(np.zeros_like(costs), np.full(n, np.inf), np.empty(n, dtype=np.int8))


def fill(solution: Solution, rows: Array, part: Solution) -> None:
    """Fill in rows."""
    solution.decisions[rows] = part.decisions
    solution.objectives[rows] = part.objectives
    solution.status[rows] = part.status
