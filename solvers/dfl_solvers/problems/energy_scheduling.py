"""Scheduling tasks on machines under energy prices that are predicted."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from dfl_solvers.backends.highs import AbstractHighsOracle, HotProgram
from dfl_solvers.exceptions import InfeasibleError, InvalidInputError
from dfl_solvers.kernels import HARD, run
from dfl_solvers.oracle import Array, Instance, Solution, Status
from dfl_solvers.problems._load_file import Lines
from dfl_solvers.problems._schedule_search import branch_and_bound
from dfl_solvers.program import Program

_MINUTES_A_DAY = 1440
# branch and bound visits some ten million nodes a second; what is harder goes to HiGHS
_NODE_LIMIT = 2_000_000


@final
class EnergyScheduling(AbstractHighsOracle):
    r"""Start every task of a day once, within its window and the machines' capacities, cheaply.

    The energy-cost-aware scheduling problem of the ICON challenge. Costs are the energy prices of
    the day's slots; the decision is the energy that the schedule draws in each slot, so the
    objective is prices times energy. Exact: compiled branch and bound over the tasks, and HiGHS
    for the rare instance that is too hard for it.

    Parameters
    ----------
    durations : array-like of shape (n_tasks,)
        Slots that a task runs without interruption.
    earliest : array-like of shape (n_tasks,)
        First slot in which a task may run.
    latest : array-like of shape (n_tasks,)
        Slot before which a task must have ended.
    powers : array-like of shape (n_tasks,)
        Power that a task draws while it runs.
    usage : array-like of shape (n_tasks, n_resources)
        What a running task takes of each resource of its machine.
    capacities : array-like of shape (n_machines, n_resources)
        What each machine offers.
    slot_minutes : int, default=30
        Length of a slot; must divide the day.
    relax : bool, default=False
        Solve the linear relaxation instead: a task may be split over starts and machines.
    time_limit : float, optional
        Seconds for an instance that goes to HiGHS. Default: no limit.

    Attributes
    ----------
    n_costs : int
        Slots of a day, 48 half-hours by default.

    Raises
    ------
    InvalidInputError
        If shapes disagree or a number is out of range.
    InfeasibleError
        If a task fits its window or any machine not at all.

    Notes
    -----
    With :math:`x_{fmt} = 1` if task f starts on machine m in slot t, :math:`P_f` its power,
    :math:`D_f` its duration, :math:`U_{fr}` its usage and q the minutes of a slot,

    .. math::

        \min_x \sum_k c_k z_k, \quad z_k = \frac{q}{60} \sum_f P_f
        \sum_m \sum_{t=k-D_f+1}^{k} x_{fmt},

    subject to one start of each task, :math:`E_f \le t \le L_f - D_f`, and
    :math:`\sum_f U_{fr} \sum_{t=k-D_f+1}^{k} x_{fmt} \le C_{mr}` for every machine, resource and
    slot. Costs of idle, started and stopped machines are not part of the problem. The bound of a
    node is the cost so far plus each open task's cheapest start that still fits a machine; where
    all tasks' own cheapest starts fit together, the first dive is the proof.

    References
    ----------
    H. Simonis, B. O'Sullivan, D. Mehta, B. Hurley, M. De Cauwer. Energy-cost aware scheduling.
    CSPLib problem 059. https://www.csplib.org/Problems/prob059

    J. Mandi et al. Decision-focused learning: foundations, state of the art, benchmark and future
    opportunities. JAIR 80 (2024). doi:10.1613/jair.1.15320

    Examples
    --------
    A task of two six-hour slots goes to the two cheapest neighbors; the other one fits only later.

    >>> import numpy as np
    >>> from dfl_solvers import EnergyScheduling
    >>> oracle = EnergyScheduling([2, 1], [0, 0], [4, 4], [1, 1], [[3], [3]], [[5]], 360)
    >>> oracle.solve(np.array([[5.0, 1.0, 2.0, 4.0]])).decisions
    array([[0., 6., 6., 6.]])
    """

    n_costs: int

    def __init__(
        self,
        durations: npt.ArrayLike,
        earliest: npt.ArrayLike,
        latest: npt.ArrayLike,
        powers: npt.ArrayLike,
        usage: npt.ArrayLike,
        capacities: npt.ArrayLike,
        slot_minutes: int = 30,
        relax: bool = False,
        time_limit: float | None = None,
    ) -> None:
        if slot_minutes <= 0 or _MINUTES_A_DAY % slot_minutes:
            raise InvalidInputError(
                f"EnergyScheduling: got slot_minutes {slot_minutes}, expected a divisor of "
                f"{_MINUTES_A_DAY}"
            )
        if time_limit is not None and not time_limit > 0:
            raise InvalidInputError(
                f"EnergyScheduling: got time_limit {time_limit}, expected positive seconds"
            )
        self.durations = _whole("durations", durations)
        n_tasks = len(self.durations)
        self.earliest = _whole("earliest", earliest, n_tasks)
        self.latest = _whole("latest", latest, n_tasks)
        self.powers = _numbers("powers", powers, 1, n_tasks)
        self.usage = _numbers("usage", usage, 2, n_tasks)
        self.capacities = _numbers("capacities", capacities, 2)
        self.slot_minutes = slot_minutes
        self.relax = relax
        self.time_limit = time_limit
        self.n_costs = _MINUTES_A_DAY // slot_minutes
        self._check()

    @classmethod
    def from_file(
        cls, path: str | Path, relax: bool = False, time_limit: float | None = None
    ) -> EnergyScheduling:
        """Read a load file of the ICON challenge.

        Parameters
        ----------
        path : str or Path
        relax : bool, default=False
        time_limit : float, optional

        Returns
        -------
        EnergyScheduling

        Raises
        ------
        InvalidInputError
            If the file is not of that format; the message names the line.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"{path}: not a text file: {error}") from error
        try:
            return cls.from_text(text, relax, time_limit)
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error}") from error

    @classmethod
    def from_text(
        cls, text: str, relax: bool = False, time_limit: float | None = None
    ) -> EnergyScheduling:
        """Read the content of a load file of the ICON challenge.

        Parameters
        ----------
        text : str
            Line by line: minutes of a slot; number of resources; number of machines; for each
            machine ``id idle-cost up-cost down-cost`` and a line of capacities; number of tasks;
            for each task ``id duration earliest latest power`` and a line of usages.
        relax : bool, default=False
        time_limit : float, optional

        Returns
        -------
        EnergyScheduling

        Raises
        ------
        InvalidInputError
            If the text is not of that format; the message names the line.
        """
        lines = Lines(text)
        slot_minutes, n_resources, n_machines = (
            lines.count(what)
            for what in ("minutes of a slot", "number of resources", "number of machines")
        )
        capacities = []
        for _ in range(n_machines):
            lines.numbers(4, "a machine: id, idle, up and down cost")
            capacities.append(lines.numbers(n_resources, "the capacities of a machine"))
        n_tasks = lines.count("number of tasks")
        tasks, usage = [], []
        for _ in range(n_tasks):
            tasks.append(lines.numbers(5, "a task: id, duration, earliest, latest and power"))
            usage.append(lines.numbers(n_resources, "the usages of a task"))
        lines.end()
        _, durations, earliest, latest, powers = np.array(tasks).T
        return cls(
            durations, earliest, latest, powers, usage, capacities, slot_minutes, relax, time_limit
        )

    def _solve(self, costs: Array, instance: Instance) -> Solution:
        return self._solve_relaxed(costs) if self.relax else self._solve_exactly(costs)

    def _solve_exactly(self, costs: Array) -> Solution:
        decisions = np.zeros_like(costs)
        objectives = np.full(len(costs), np.inf)
        status = np.empty(len(costs), dtype=np.int8)
        # what is hard to place comes first
        share = (self.usage / self.capacities.max(axis=0).clip(min=1e-300)).max(axis=1, initial=0)
        order = np.argsort(-share * self.durations, kind="stable")
        run(
            branch_and_bound,
            len(costs),
            np.ascontiguousarray(costs),
            self.durations,
            self.earliest,
            self.latest,
            self._energy,
            self.usage,
            self.capacities,
            order,
            _NODE_LIMIT,
            decisions,
            objectives,
            status,
            serial=HARD,
        )
        hard = np.flatnonzero((status == Status.FEASIBLE) | (status == Status.FAILED))
        if len(hard):
            found = self._hot.solve(costs[hard])
            # HiGHS may stop at its time limit with less than branch and bound had
            better = (found.status <= Status.FEASIBLE) & (found.objectives < objectives[hard])
            decisions[hard[better]] = found.decisions[better]
            objectives[hard[better]] = found.objectives[better]
            status[hard] = np.where(found.status == Status.FAILED, status[hard], found.status)
        return Solution(decisions, objectives, status)

    def _solve_relaxed(self, costs: Array) -> Solution:
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
        sums = np.zeros((len(costs), self.n_costs + 1))
        np.cumsum(costs, axis=1, out=sums[:, 1:])
        starts = np.empty((len(costs), len(self.durations)), dtype=np.int64)
        for f, (duration, first, end) in enumerate(
            zip(self.durations, self.earliest, self.latest, strict=True)
        ):
            window = sums[:, first + duration : end + 1] - sums[:, first : end - duration + 1]
            # energy is never negative, so the cheapest window is the cheapest start
            starts[:, f] = first + window.argmin(axis=1)
        return starts, self._profile(starts, self._energy)

    def _profile(self, starts: Array, amounts: Array) -> Array:
        """Sum an amount of each task over the slots in which it runs: shape (n, d)."""
        slots = np.arange(self.n_costs)
        total = np.zeros((len(starts), self.n_costs))
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
    def _energy(self) -> Array:
        """Energy (n_tasks,) that a task draws in a slot."""
        return self.powers * (self.slot_minutes / 60)

    @cached_property
    def _possible(self) -> Array:
        """Which task (first axis) fits which machine (second axis)."""
        return _fits(self.usage, self.capacities)

    @cached_property
    def _hot(self) -> HotProgram:  # type: ignore[override]
        program = self._matrix_form(self.capacities, self._possible)
        return HotProgram(program.relax() if self.relax else program, self.time_limit)

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
        d, n_tasks = self.n_costs, len(self.durations)
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
            energies.append(np.full(slots.size, self._energy[f]))
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
        name = "EnergyScheduling"
        if not len(self.durations) or not len(self.capacities):
            raise InvalidInputError(f"{name}: expected at least one task and one machine")
        if self.usage.shape[1] != self.capacities.shape[1]:
            raise InvalidInputError(
                f"{name}: got usage of {self.usage.shape[1]} resources, expected "
                f"{self.capacities.shape[1]}, as the capacities have"
            )
        for f, (duration, first, end) in enumerate(
            zip(self.durations, self.earliest, self.latest, strict=True)
        ):
            if duration < 1:
                raise InvalidInputError(
                    f"{name}: task {f}: got duration {duration}, expected at least one slot"
                )
            if first < 0 or end > self.n_costs:
                raise InvalidInputError(
                    f"{name}: task {f}: got a window from {first} to {end}, expected one within "
                    f"the {self.n_costs} slots of a day"
                )
            if first + duration > end:
                raise InfeasibleError(
                    f"{name}: task {f} runs {duration} slots, but its window from {first} to {end} "
                    f"has {max(end - first, 0)}"
                )
        homeless = np.flatnonzero(~self._possible.any(axis=1))
        if len(homeless):
            raise InfeasibleError(
                f"{name}: task {homeless[0]} uses {self.usage[homeless[0]].tolist()}, "
                "more than any machine has"
            )


def _fits(usage: Array, capacities: Array) -> Array:
    return np.asarray((usage[:, None] <= capacities[None]).all(axis=2))


def _numbers(name: str, values: npt.ArrayLike, ndim: int, length: int | None = None) -> Array:
    """Check an array of finite numbers that are not negative."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"EnergyScheduling: {name} are no numbers: {error}") from error
    if array.ndim != ndim or (length is not None and len(array) != length):
        expected = (
            ("(n,)", "(n, n_resources)")[ndim - 1]
            if length is None
            else ((f"({length},)", f"({length}, n_resources)")[ndim - 1])
        )
        raise InvalidInputError(
            f"EnergyScheduling: got {name} of shape {array.shape}, expected {expected}"
        )
    bad = np.argwhere(~(np.isfinite(array) & (array >= 0)))
    if len(bad):
        raise InvalidInputError(
            f"EnergyScheduling: got {name} {array[tuple(bad[0])]} at {bad[0].tolist()}, expected "
            "finite numbers of at least 0"
        )
    return array


def _whole(name: str, values: npt.ArrayLike, length: int | None = None) -> Array:
    """Check a vector of whole numbers."""
    array = _numbers(name, values, 1, length)
    broken = np.flatnonzero(array != np.round(array))
    if len(broken):
        raise InvalidInputError(
            f"EnergyScheduling: got {name} {array[broken[0]]} of task {broken[0]}, "
            "expected a whole number of slots"
        )
    return array.astype(np.int64)
