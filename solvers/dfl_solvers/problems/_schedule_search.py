"""Branch and bound for schedules, compiled."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import kernel, part
from dfl_solvers.oracle import Array, Status

# compiled code takes plain numbers
_OPTIMAL, _FEASIBLE = int(Status.OPTIMAL), int(Status.FEASIBLE)
_INFEASIBLE, _FAILED = int(Status.INFEASIBLE), int(Status.FAILED)


@part
def _room(free: Array, slack: Array, usage: Array, m: int, f: int, t: int, duration: int) -> bool:
    """Tell whether machine m has room for task f from slot t on."""
    for r in range(usage.shape[1]):
        for k in range(t, t + duration):
            if free[m, r, k] + slack[m, r] < usage[f, r]:
                return False
    return True


@part
def _first(free: Array, m: int) -> bool:
    """Tell whether m is the first of the machines that are free alike: the others are the same."""
    for other in range(m):  # noqa: SIM110 - numba takes no generators
        if (free[other] == free[m]).all():
            return False
    return True


@part
def _take(free: Array, usage: Array, m: int, f: int, t: int, duration: int, sign: float) -> None:
    """Take what task f uses from machine m, or give it back."""
    for r in range(usage.shape[1]):
        for k in range(t, t + duration):
            free[m, r, k] -= sign * usage[f, r]


@kernel
def branch_and_bound(
    lo: int,
    hi: int,
    costs: Array,
    durations: Array,
    earliest: Array,
    latest: Array,
    energy: Array,
    usage: Array,
    capacities: Array,
    order: Array,
    node_limit: int,
    decisions: Array,
    objectives: Array,
    status: Array,
) -> None:
    """Depth first over the tasks in the given order, each task's starts from the cheapest."""
    n_tasks, n_resources = usage.shape
    n_machines = len(capacities)
    d = costs.shape[1]
    slack = 1e-9 * capacities  # what is free is added to and taken from many times
    price = np.empty((n_tasks, d))  # of a task by its start
    starts = np.empty((n_tasks, d), np.int64)  # by price
    n_starts = latest - durations - earliest + 1
    free = np.empty((n_machines, n_resources, d))
    spent = np.zeros(n_tasks + 1)
    rest = np.zeros(n_tasks + 1)  # bound on the tasks below
    choice = np.zeros(n_tasks + 1, np.int64)
    machine = np.zeros(n_tasks + 1, np.int64)
    best_starts = np.zeros(n_tasks, np.int64)
    for row in range(lo, hi):
        size = 0.0
        for f in range(n_tasks):
            window = 0.0
            for k in range(earliest[f], earliest[f] + durations[f]):
                window += costs[row, k]
            for i in range(n_starts[f]):
                t = earliest[f] + i
                if i > 0:
                    window += costs[row, t + durations[f] - 1] - costs[row, t - 1]
                price[f, t] = energy[f] * window
                size += abs(price[f, t])
                j = i
                while j > 0 and price[f, starts[f, j - 1]] > price[f, t]:
                    starts[f, j] = starts[f, j - 1]
                    j -= 1
                starts[f, j] = t
        for m in range(n_machines):
            for r in range(n_resources):
                free[m, r, :] = capacities[m, r]
        # equal schedules must not look better by rounding
        tolerance = 1e-13 * size
        best = np.inf
        depth = 0
        nodes = 0
        entering = True
        while depth >= 0:
            if depth == n_tasks:
                # only what is cheaper than the best comes this far
                best = spent[depth]
                for j in range(n_tasks):
                    best_starts[order[j]] = starts[order[j], choice[j]]
                depth -= 1
                entering = False
                continue
            f = order[depth]
            if entering:
                nodes += 1
                if nodes > node_limit:
                    break
                choice[depth] = 0
                machine[depth] = -1
                bound = 0.0
                for j in range(depth + 1, n_tasks):
                    g = order[j]
                    cheapest = np.inf
                    for i in range(n_starts[g]):
                        t = starts[g, i]
                        for m in range(n_machines):
                            if _room(free, slack, usage, m, g, t, durations[g]):
                                cheapest = price[g, t]
                                break
                        if cheapest < np.inf:
                            break
                    bound += cheapest
                    if bound == np.inf:
                        break
                rest[depth] = bound
            else:
                _take(free, usage, machine[depth], f, starts[f, choice[depth]], durations[f], -1.0)
            i = choice[depth]
            m = machine[depth] + 1
            found = False
            while i < n_starts[f]:
                t = starts[f, i]
                if not spent[depth] + price[f, t] + rest[depth] < best - tolerance:
                    break
                while m < n_machines and not (
                    _room(free, slack, usage, m, f, t, durations[f]) and _first(free, m)
                ):
                    m += 1
                if m < n_machines:
                    found = True
                    break
                i += 1
                m = 0
            if not found:
                depth -= 1
                entering = False
                continue
            choice[depth] = i
            machine[depth] = m
            _take(free, usage, m, f, t, durations[f], 1.0)
            spent[depth + 1] = spent[depth] + price[f, t]
            depth += 1
            entering = True
        if best < np.inf:
            status[row] = _FEASIBLE if nodes > node_limit else _OPTIMAL
            for f in range(n_tasks):
                for k in range(best_starts[f], best_starts[f] + durations[f]):
                    decisions[row, k] += energy[f]
            objectives[row] = 0.0
            for k in range(d):
                objectives[row] += costs[row, k] * decisions[row, k]
        else:
            status[row] = _FAILED if nodes > node_limit else _INFEASIBLE
