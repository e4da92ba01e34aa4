"""A heuristic for schedules, compiled: insert tasks greedily, then take some out and in again."""

from __future__ import annotations

import numpy as np

from dfl_solvers.kernels import part
from dfl_solvers.oracle import Array
from dfl_solvers.problems._schedule_room import empty, room, take

# greedy schedules from other orders before the heuristic gives up, and its steps of improvement
_ATTEMPTS = 200
_STEPS = 2000
# a fixed generator: the same costs have the same schedule in every batch, thread and process
_SEED, _FACTOR, _ADDEND, _MODULUS = 1, 1103515245, 12345, 1 << 31


@part
def _cheapest(
    starts: Array,
    n_starts: Array,
    durations: Array,
    usage: Array,
    slack: Array,
    free: Array,
    f: int,
    shift: int,
) -> tuple[int, int]:
    """Return the cheapest start of task f for which a machine has room, and the machine; or -1."""
    n_machines = len(slack)
    for i in range(n_starts[f]):
        t = starts[f, i]
        for j in range(n_machines):
            m = (j + shift) % n_machines
            if room(free, slack, usage, m, f, t, durations[f]):
                return t, m
    return -1, -1


@part
def insert_all(
    starts: Array,
    n_starts: Array,
    durations: Array,
    usage: Array,
    capacities: Array,
    slack: Array,
    order: Array,
    free: Array,
    at: Array,
    on: Array,
) -> bool:
    """Insert the tasks one after another; one that finds no room comes first the next time."""
    sequence = order.copy()
    for _ in range(_ATTEMPTS):
        empty(free, capacities)
        complete = True
        for j in range(len(sequence)):
            f = sequence[j]
            t, m = _cheapest(starts, n_starts, durations, usage, slack, free, f, 0)
            if t < 0:
                sequence[1 : j + 1] = sequence[:j].copy()
                sequence[0] = f
                complete = False
                break
            at[f], on[f] = t, m
            take(free, usage, m, f, t, durations[f], 1.0)
        if complete:
            return True
    return False


@part
def improve(
    price: Array,
    starts: Array,
    n_starts: Array,
    durations: Array,
    usage: Array,
    capacities: Array,
    slack: Array,
    order: Array,
    free: Array,
    at: Array,
    on: Array,
) -> float:
    """Take a few tasks out and insert them anew, many times; return the objective.

    What costs no more is kept, so that the schedule wanders among equally good ones.
    """
    n_tasks, n_machines = len(order), len(slack)
    empty(free, capacities)
    for f in order:
        take(free, usage, on[f], f, at[f], durations[f], 1.0)
    deck = order.copy()
    before_at = np.empty(4, np.int64)
    before_on = np.empty(4, np.int64)
    number = _SEED
    for _ in range(_STEPS):
        number = (number * _FACTOR + _ADDEND) % _MODULUS
        size = min(n_tasks, 2 + (number >> 16) % 3)
        change = 0.0
        for j in range(size):
            number = (number * _FACTOR + _ADDEND) % _MODULUS
            k = j + (number >> 8) % (n_tasks - j)
            deck[j], deck[k] = deck[k], deck[j]
            f = deck[j]
            before_at[j], before_on[j] = at[f], on[f]
            change -= price[f, at[f]]
            take(free, usage, on[f], f, at[f], durations[f], -1.0)
        inserted = 0
        for j in range(size):
            f = deck[j]
            shift = (number >> 4) % n_machines
            t, m = _cheapest(starts, n_starts, durations, usage, slack, free, f, shift)
            if t < 0:
                break
            at[f], on[f] = t, m
            take(free, usage, m, f, t, durations[f], 1.0)
            change += price[f, t]
            inserted += 1
        if inserted == size and change <= 0.0:
            continue
        for j in range(inserted):
            f = deck[j]
            take(free, usage, on[f], f, at[f], durations[f], -1.0)
        for j in range(size):
            f = deck[j]
            at[f], on[f] = before_at[j], before_on[j]
            take(free, usage, on[f], f, at[f], durations[f], 1.0)
    total = 0.0
    for f in order:
        total += price[f, at[f]]
    return total
