"""The tasks and machines of one day: checked, and in matrix form."""

from __future__ import annotations

from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from dfl_solvers.backends.highs import HotProgram
from dfl_solvers.exceptions import InfeasibleError, InvalidInputError
from dfl_solvers.oracle import Array, Solution
from dfl_solvers.program import Program


@final
class Day:
    """A day's tasks and machines; its models are built when they are first needed.

    Parameters
    ----------
    durations, earliest, latest, powers, usage, capacities, slot_minutes
        As of ``EnergyScheduling``.
    n_slots : int

    Raises
    ------
    InvalidInputError
        If shapes disagree or a number is out of range.
    InfeasibleError
        If a task fits its window or any machine not at all.
    """

    def __init__(
        self,
        durations: npt.ArrayLike,
        earliest: npt.ArrayLike,
        latest: npt.ArrayLike,
        powers: npt.ArrayLike,
        usage: npt.ArrayLike,
        capacities: npt.ArrayLike,
        slot_minutes: int,
        n_slots: int,
    ) -> None:
        self.durations = _whole("durations", durations)
        n_tasks = len(self.durations)
        self.earliest = _whole("earliest", earliest, n_tasks)
        self.latest = _whole("latest", latest, n_tasks)
        self.powers = _numbers("powers", powers, 1, n_tasks)
        self.usage = _numbers("usage", usage, 2, n_tasks)
        self.capacities = _numbers("capacities", capacities, 2)
        self.slot_minutes = slot_minutes
        self.n_slots = n_slots
        self._check()

    def __reduce__(self) -> tuple[Any, ...]:
        # without the models: they are built anew faster than they travel
        given = (self.durations, self.earliest, self.latest, self.powers, self.usage)
        return Day, (*given, self.capacities, self.slot_minutes, self.n_slots)

    @cached_property
    def energy(self) -> Array:
        """Energy (n_tasks,) that a task draws in a slot."""
        return self.powers * (self.slot_minutes / 60)

    @cached_property
    def order(self) -> Array:
        """The tasks (n_tasks,), first those that are hard to place."""
        share = (self.usage / self.capacities.max(axis=0).clip(min=1e-300)).max(axis=1, initial=0)
        return np.argsort(-share * self.durations, kind="stable")

    @cached_property
    def program(self) -> Program:
        """The day as a mixed-integer program."""
        return self._matrix_form(self.capacities, self._possible)

    @cached_property
    def hot(self) -> HotProgram:
        """The day in HiGHS, without a limit on time."""
        return HotProgram(self.program)

    def solve_relaxed(self, costs: Array) -> Solution:
        """Solve the linear relaxation for costs (n, d)."""
        starts, decisions = self._cheapest_starts(costs)
        status = np.zeros(len(costs), dtype=np.int8)
        objectives = np.einsum("ij,ij->i", costs, decisions)
        hard = np.flatnonzero(~self._fits_at_once(starts))
        if len(hard):
            found = self._merged.solve(costs[hard])
            decisions[hard] = found.decisions
            objectives[hard] = found.objectives
            status[hard] = found.status
        return Solution(decisions, objectives, status)

    def _cheapest_starts(self, costs: Array) -> tuple[Array, Array]:
        """Return every task's cheapest start (n, n_tasks) and the energy (n, d) of them all."""
        sums = np.zeros((len(costs), self.n_slots + 1))
        np.cumsum(costs, axis=1, out=sums[:, 1:])
        starts = np.empty((len(costs), len(self.durations)), dtype=np.int64)
        for f, (duration, first, end) in enumerate(
            zip(self.durations, self.earliest, self.latest, strict=True)
        ):
            window = sums[:, first + duration : end + 1] - sums[:, first : end - duration + 1]
            # energy is never negative, so the cheapest window is the cheapest start
            starts[:, f] = first + window.argmin(axis=1)
        return starts, self._profile(starts, self.energy)

    def _profile(self, starts: Array, amounts: Array) -> Array:
        """Sum an amount of each task over the slots in which it runs: shape (n, d)."""
        slots = np.arange(self.n_slots)
        total = np.zeros((len(starts), self.n_slots))
        for f, amount in enumerate(amounts):
            first = starts[:, f, None]
            total += amount * ((slots >= first) & (slots < first + self.durations[f]))
        return total

    def _fits_at_once(self, starts: Array) -> Array:
        """Tell where these starts (n, n_tasks) surely fit the relaxation's capacities."""
        capacities, _ = self._groups
        fits = np.full(len(starts), len(capacities) == 1)
        for r, capacity in enumerate(capacities[0]):
            fits &= (self._profile(starts, self.usage[:, r]) <= capacity).all(axis=1)
        return fits

    @cached_property
    def _possible(self) -> Array:
        """Which task (first axis) fits which machine (second axis)."""
        return np.asarray((self.usage[:, None] <= self.capacities[None]).all(axis=2))

    @cached_property
    def _groups(self) -> tuple[Array, Array]:
        """Capacities (n_groups, n_resources) of merged machines, and the tasks that fit them.

        Machines whose capacities are proportional and that take the same tasks are one machine to
        the relaxation: what the sum of them can do, they can share in proportion.
        """
        scale = self.capacities.max(axis=1, keepdims=True, initial=0)
        direction = self.capacities / np.where(scale > 0, scale, 1)
        keys = np.hstack([direction.round(12), self._possible.T])
        _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        capacities = np.zeros((len(first), self.capacities.shape[1]))
        np.add.at(capacities, group.ravel(), self.capacities)
        return capacities, self._possible[:, first]

    @cached_property
    def _merged(self) -> HotProgram:
        return HotProgram(self._matrix_form(*self._groups).relax())

    def _matrix_form(self, capacities: Array, possible: Array) -> Program:
        """Write the problem for these machines; rows are the tasks, then machine by machine."""
        d, n_tasks = self.n_slots, len(self.durations)
        n_machines, n_resources = capacities.shape
        rows: list[Array] = []
        columns: list[Array] = []
        values: list[Array] = []
        map_rows: list[Array] = []
        map_columns: list[Array] = []
        energies: list[Array] = []
        k = 0
        for f in range(n_tasks):
            starts = np.arange(self.earliest[f], self.latest[f] - self.durations[f] + 1)
            machine = np.repeat(np.flatnonzero(possible[f]), len(starts))
            column = k + np.arange(len(machine))
            k += len(column)
            rows.append(np.full(len(column), f))
            columns.append(column)
            values.append(np.ones(len(column)))
            # every (start, slot in which the task then runs)
            slots = np.tile(starts, possible[f].sum())[:, None] + np.arange(self.durations[f])
            repeated = np.repeat(column, self.durations[f])
            for r in range(n_resources):
                block = n_tasks + (machine * n_resources + r) * d
                rows.append((block[:, None] + slots).ravel())
                columns.append(repeated)
                values.append(np.full(slots.size, self.usage[f, r]))
            map_rows.append(slots.ravel())
            map_columns.append(repeated)
            energies.append(np.full(slots.size, self.energy[f]))
        m = n_tasks + n_machines * n_resources * d
        upper = np.concatenate([np.ones(n_tasks), np.repeat(capacities.ravel(), d)])
        lower = np.concatenate([np.ones(n_tasks), np.full(m - n_tasks, -np.inf)])
        matrix = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        to_energy = (
            np.concatenate(energies),
            (np.concatenate(map_rows), np.concatenate(map_columns)),
        )
        return Program(
            sp.csr_array(matrix, shape=(m, k)),
            lower,
            upper,
            np.zeros(k),
            np.ones(k),
            np.ones(k, dtype=bool),
            None,
            sp.csr_array(to_energy, shape=(d, k)),
        )

    def _check(self) -> None:
        if not len(self.durations) or not len(self.capacities):
            raise InvalidInputError("expected at least one task and one machine")
        if self.usage.shape[1] != self.capacities.shape[1]:
            raise InvalidInputError(
                f"got usage of {self.usage.shape[1]} resources, expected "
                f"{self.capacities.shape[1]}, as the capacities have"
            )
        for f, (duration, first, end) in enumerate(
            zip(self.durations, self.earliest, self.latest, strict=True)
        ):
            if duration < 1:
                raise InvalidInputError(
                    f"task {f}: got duration {duration}, expected at least one slot"
                )
            if first < 0 or end > self.n_slots:
                raise InvalidInputError(
                    f"task {f}: got a window from {first} to {end}, expected one within "
                    f"the {self.n_slots} slots of a day"
                )
            if first + duration > end:
                raise InfeasibleError(
                    f"task {f} runs {duration} slots, but its window from {first} to {end} "
                    f"has {max(end - first, 0)}"
                )
        homeless = np.flatnonzero(~self._possible.any(axis=1))
        if len(homeless):
            raise InfeasibleError(
                f"task {homeless[0]} uses {self.usage[homeless[0]].tolist()}, "
                "more than any machine has"
            )


def _numbers(name: str, values: npt.ArrayLike, ndim: int, length: int | None = None) -> Array:
    """Check an array of finite numbers that are not negative."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{name} are no numbers: {error}") from error
    if array.ndim != ndim or (length is not None and len(array) != length):
        expected = (
            ("(n,)", "(n, n_resources)")[ndim - 1]
            if length is None
            else ((f"({length},)", f"({length}, n_resources)")[ndim - 1])
        )
        raise InvalidInputError(f"got {name} of shape {array.shape}, expected {expected}")
    bad = np.argwhere(~(np.isfinite(array) & (array >= 0)))
    if len(bad):
        raise InvalidInputError(
            f"got {name} {array[tuple(bad[0])]} at {bad[0].tolist()}, expected "
            "finite numbers of at least 0"
        )
    return array


def _whole(name: str, values: npt.ArrayLike, length: int | None = None) -> Array:
    """Check a vector of whole numbers."""
    array = _numbers(name, values, 1, length)
    broken = np.flatnonzero(array != np.round(array))
    if len(broken):
        raise InvalidInputError(
            f"got {name} {array[broken[0]]} of task {broken[0]}, expected a whole number of slots"
        )
    return array.astype(np.int64)
