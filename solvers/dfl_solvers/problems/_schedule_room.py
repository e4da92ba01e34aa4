"""What tasks take of machines while they run; compiled parts of the search for schedules."""

from __future__ import annotations

from dfl_solvers.kernels import part
from dfl_solvers.oracle import Array


@part
def room(free: Array, slack: Array, usage: Array, m: int, f: int, t: int, duration: int) -> bool:
    """Tell whether machine m has room for task f from slot t on."""
    for r in range(usage.shape[1]):
        for k in range(t, t + duration):
            if free[m, r, k] + slack[m, r] < usage[f, r]:
                return False
    return True


@part
def take(free: Array, usage: Array, m: int, f: int, t: int, duration: int, sign: float) -> None:
    """Take what task f uses from machine m, or give it back."""
    for r in range(usage.shape[1]):
        for k in range(t, t + duration):
            free[m, r, k] -= sign * usage[f, r]


@part
def empty(free: Array, capacities: Array) -> None:
    """Free all machines."""
    for m in range(capacities.shape[0]):
        for r in range(capacities.shape[1]):
            free[m, r, :] = capacities[m, r]
