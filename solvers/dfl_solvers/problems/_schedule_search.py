"""Branch and bound for schedules, compiled, helped by a heuristic where it takes long."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import kernel, part
from dfl_solvers.oracle import Array, Status
from dfl_solvers.problems._schedule_heuristic import improve, insert_all
from dfl_solvers.problems._schedule_room import empty, room, take

# compiled code takes plain numbers
_OPTIMAL, _FEASIBLE = int(Status.OPTIMAL), int(Status.FEASIBLE)
_INFEASIBLE, _FAILED = int(Status.INFEASIBLE), int(Status.FAILED)

# nodes that settle ordinary days, in some milliseconds; the heuristic helps the others
EASY_NODES = 5000


@part
def _first(free: Array, m: int) -> bool:
    """Tell whether m is the first of the machines that are free alike: the others are the same."""
    for other in range(m):  # noqa: SIM110 - numba takes no generators
        if (free[other] == free[m]).all():
            return False
    return True


@part
def _prepare(
    costs: Array,
    durations: Array,
    earliest: Array,
    energy: Array,
    n_starts: Array,
    capacities: Array,
    price: Array,
    starts: Array,
    free: Array,
) -> float:
    """Price every start, sort starts by price, empty the machines; return the size of prices."""
    size = 0.0
    for f in range(len(durations)):
        window = 0.0
        for k in range(earliest[f], earliest[f] + durations[f]):
            window += costs[k]
        for i in range(n_starts[f]):
            t = earliest[f] + i
            if i > 0:
                window += costs[t + durations[f] - 1] - costs[t - 1]
            price[f, t] = energy[f] * window
            size += abs(price[f, t])
            j = i
            while j > 0 and price[f, starts[f, j - 1]] > price[f, t]:
                starts[f, j] = starts[f, j - 1]
                j -= 1
            starts[f, j] = t
    empty(free, capacities)
    return size


@part
def _explore(
    price: Array,
    starts: Array,
    n_starts: Array,
    durations: Array,
    usage: Array,
    slack: Array,
    order: Array,
    free: Array,
    spent: Array,
    rest: Array,
    choice: Array,
    machine: Array,
    position: Array,
    at: Array,
    on: Array,
    best: float,
    tolerance: float,
    node_limit: int,
) -> float:
    """Go on from a position for so many nodes; return the objective of the best schedule so far.

    Depth first over the tasks in the given order, each task's starts from the cheapest. Position is
    the depth, below zero where all is explored, whether that depth is being entered, and the nodes
    so far. The best schedule is in ``at`` (starts) and ``on`` (machines).
    """
    n_tasks, n_machines = len(order), len(slack)
    depth = position[0]
    entering = position[1] == 1
    nodes = 0
    while depth >= 0:
        if depth == n_tasks:
            # only what is cheaper than the best comes this far
            best = spent[depth]
            for j in range(n_tasks):
                at[order[j]] = starts[order[j], choice[j]]
                on[order[j]] = machine[j]
            depth -= 1
            entering = False
            continue
        f = order[depth]
        if entering:
            if nodes >= node_limit:
                break
            nodes += 1
            choice[depth] = 0
            machine[depth] = -1
            bound = 0.0
            for j in range(depth + 1, n_tasks):
                g = order[j]
                cheapest = np.inf
                for i in range(n_starts[g]):
                    t = starts[g, i]
                    for m in range(n_machines):
                        if room(free, slack, usage, m, g, t, durations[g]):
                            cheapest = price[g, t]
                            break
                    if cheapest < np.inf:
                        break
                bound += cheapest
                if bound == np.inf:
                    break
            rest[depth] = bound
        else:
            take(free, usage, machine[depth], f, starts[f, choice[depth]], durations[f], -1.0)
        i = choice[depth]
        m = machine[depth] + 1
        found = False
        while i < n_starts[f]:
            t = starts[f, i]
            if not spent[depth] + price[f, t] + rest[depth] < best - tolerance:
                break
            while m < n_machines and not (
                room(free, slack, usage, m, f, t, durations[f]) and _first(free, m)
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
        take(free, usage, m, f, t, durations[f], 1.0)
        spent[depth + 1] = spent[depth] + price[f, t]
        depth += 1
        entering = True
    position[0] = depth
    position[1] = entering
    position[2] += nodes
    return best


@part
def _write(
    costs: Array, order: Array, durations: Array, energy: Array, at: Array, decision: Array
) -> float:
    """Write the energy of a schedule, and return its objective."""
    decision[:] = 0.0
    for f in order:
        for k in range(at[f], at[f] + durations[f]):
            decision[k] += energy[f]
    objective = 0.0
    for k in range(len(costs)):
        objective += costs[k] * decision[k]
    return objective


@kernel
def branch_and_bound(
    lo: int,
    hi: int,
    costs: Array,
    day: Array,
    durations: Array,
    earliest: Array,
    latest: Array,
    energy: Array,
    usage: Array,
    capacities: Array,
    orders: Array,
    n_tasks: Array,
    n_machines: Array,
    node_limit: int,
    decisions: Array,
    objectives: Array,
    status: Array,
    nodes: Array,
) -> None:
    """Solve each row for its day, up to a number of nodes."""
    _, n_all, n_resources = usage.shape
    d = costs.shape[1]
    price = np.empty((n_all, d))  # of a task by its start
    starts = np.empty((n_all, d), np.int64)  # by price
    everything = np.empty((capacities.shape[1], n_resources, d))
    spent = np.zeros(n_all + 1)
    rest = np.zeros(n_all + 1)  # bound on the tasks below
    choice = np.zeros(n_all + 1, np.int64)
    machine = np.zeros(n_all + 1, np.int64)
    at = np.zeros(n_all, np.int64)
    on = np.zeros(n_all, np.int64)
    position = np.zeros(3, np.int64)
    for row in range(lo, hi):
        k = day[row]
        order = orders[k, : n_tasks[k]]
        offered = capacities[k, : n_machines[k]]
        slack = 1e-9 * offered  # what is free is added to and taken from many times
        free = everything[: n_machines[k]]
        n_starts = latest[k] - durations[k] - earliest[k] + 1
        size = _prepare(
            costs[row], durations[k], earliest[k], energy[k], n_starts, offered, price, starts, free
        )
        # equal schedules must not look better by rounding
        tolerance = 1e-13 * size
        best = np.inf
        spent[0] = 0.0
        position[0], position[1], position[2] = 0, 1, 0
        best = _explore(
            price, starts, n_starts, durations[k], usage[k], slack, order, free, spent, rest,
            choice, machine, position, at, on, best, tolerance, min(node_limit, EASY_NODES),
        )  # fmt: skip
        if position[0] >= 0 and node_limit >= EASY_NODES:
            if best < np.inf or insert_all(
                starts, n_starts, durations[k], usage[k], offered, slack, order, free, at, on
            ):
                best = improve(
                    price, starts, n_starts, durations[k], usage[k], offered, slack, order, free,
                    at, on,
                )  # fmt: skip
            if node_limit > EASY_NODES:
                empty(free, offered)
                spent[0] = 0.0
                position[0], position[1] = 0, 1
                best = _explore(
                    price, starts, n_starts, durations[k], usage[k], slack, order, free, spent,
                    rest, choice, machine, position, at, on, best, tolerance, node_limit,
                )  # fmt: skip
        nodes[row] = position[2]
        if best < np.inf:
            status[row] = _FEASIBLE if position[0] >= 0 else _OPTIMAL
            objectives[row] = _write(costs[row], order, durations[k], energy[k], at, decisions[row])
        else:
            status[row] = _FAILED if position[0] >= 0 else _INFEASIBLE


@kernel
def deepen(
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
    size: Array,
    price: Array,
    starts: Array,
    free: Array,
    spent: Array,
    rest: Array,
    choice: Array,
    machine: Array,
    position: Array,
    at: Array,
    on: Array,
    decision: Array,
    objective: Array,
) -> None:
    """Search a single day for something cheaper than ``objective``, a number of nodes at a time.

    The caller keeps all of the state, so that it may look at the clock between the calls; at first,
    all of it is zero.
    """
    slack = 1e-9 * capacities
    n_starts = latest - durations - earliest + 1
    if position[0] == 0 and position[1] == 0:
        size[0] = _prepare(
            costs, durations, earliest, energy, n_starts, capacities, price, starts, free
        )
        position[1] = 1
    best = _explore(
        price, starts, n_starts, durations, usage, slack, order, free, spent, rest, choice,
        machine, position, at, on, objective[0], 1e-13 * size[0], node_limit,
    )  # fmt: skip
    if best < objective[0]:
        objective[0] = _write(costs, order, durations, energy, at, decision)
