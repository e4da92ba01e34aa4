"""Scheduling tasks on machines under energy prices that are predicted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from dfl_solvers._rows import LOCK
from dfl_solvers._sizes import read_size
from dfl_solvers.exceptions import DFLError, InvalidInputError, SolverError
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Solution, Status
from dfl_solvers.problems._load_file import Readable, parse, read_text, stack
from dfl_solvers.problems._schedule_clock import Table, fill, nothing, search
from dfl_solvers.problems._schedule_day import Day
from dfl_solvers.program import Program

_MINUTES_A_DAY = 1440
_FIELDS = ("durations", "earliest", "latest", "powers", "usage", "capacities")
# days whose models are kept
_KEPT = 64


@final
class EnergyScheduling(AbstractOracle):
    r"""Start every task of a day once, within its window and the machines' capacities, cheaply.

    The energy-cost-aware scheduling problem of the ICON challenge. Costs are the energy prices of
    the day's slots; the decision is the energy that the schedule draws in each slot, so the
    objective is prices times energy. Exact: compiled branch and bound over the tasks, and HiGHS
    for the rare instance that is too hard for it. Every instance may have a day of its own.

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
        Seconds for an instance; what is not solved by then has the best schedule found, and the
        status ``FEASIBLE``. Default: no limit. A relaxation has none.

    Attributes
    ----------
    n_costs : int
        Slots of a day, 48 half-hours by default.

    Raises
    ------
    InvalidInputError
        If shapes disagree or a number is out of range; with instance data, the instance is named.
    InfeasibleError
        If a task fits its window or any machine not at all.

    See Also
    --------
    Parallel : Solve the instances of a batch in several processes.

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

    Instance data ``durations``, ``earliest``, ``latest``, ``powers`` (n, n_tasks), ``usage``
    (n, n_tasks, n_resources) and ``capacities`` (n, n_machines, n_resources) replace the
    parameters. Days of fewer tasks or machines are padded: a duration of 0 is no task, a machine
    without any capacity is none. ``from_files`` makes them of load files.

    A schedule that is not proven optimal within 5000 nodes is improved by taking a few tasks out
    and inserting them anew where they are cheapest, 2000 times; where the search has no schedule
    yet, one is made by inserting the tasks greedily, in other orders if need be. The search then
    goes on with it as a bound: to 2 million nodes, about a second or two, and then in HiGHS. Within
    ``time_limit`` the search looks at the clock each thousand nodes, and HiGHS has what it leaves.
    A time limit depends on the clock, so its results may differ from run to run and from machine
    to machine; without one, the same costs always have the same decision.

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
    instance_fields: ClassVar[frozenset[str]] = frozenset(_FIELDS)

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
        slot_minutes = read_size("EnergyScheduling", "slot_minutes", slot_minutes)
        if _MINUTES_A_DAY % slot_minutes:
            raise InvalidInputError(
                f"EnergyScheduling: got slot_minutes {slot_minutes}, expected a divisor of "
                f"{_MINUTES_A_DAY}"
            )
        if time_limit is not None and not time_limit > 0:
            raise InvalidInputError(
                f"EnergyScheduling: got time_limit {time_limit}, expected positive seconds"
            )
        self.slot_minutes = slot_minutes
        self.relax = relax
        self.time_limit = time_limit
        self.n_costs = _MINUTES_A_DAY // slot_minutes
        try:
            self._day = self._checked(durations, earliest, latest, powers, usage, capacities)
        except DFLError as error:
            raise type(error)(f"EnergyScheduling: {error}") from error
        self.durations, self.earliest = self._day.durations, self._day.earliest
        self.latest, self.powers = self._day.latest, self._day.powers
        self.usage, self.capacities = self._day.usage, self._day.capacities
        self._days: dict[Any, Day] = {}

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str] | Readable,
        relax: bool = False,
        time_limit: float | None = None,
    ) -> EnergyScheduling:
        """Read a load file of the ICON challenge.

        Parameters
        ----------
        path : str, Path or zipfile.Path
            The file.
        relax : bool, default=False
            As in the constructor.
        time_limit : float, optional
            As in the constructor.

        Returns
        -------
        EnergyScheduling

        Raises
        ------
        InvalidInputError
            If the file is not of that format; the message names the line.
        """
        try:
            return cls.from_text(read_text(path), relax, time_limit)
        except DFLError as error:
            raise type(error)(f"{path}: {error}") from error

    @classmethod
    def from_files(
        cls,
        paths: Sequence[str | os.PathLike[str] | Readable],
        relax: bool = False,
        time_limit: float | None = None,
    ) -> tuple[EnergyScheduling, dict[str, Array]]:
        r"""Read many load files of the ICON challenge: the instances of a batch, a day each.

        Parameters
        ----------
        paths : sequence of str, Path or zipfile.Path
            One file a day; of the same length of slots, with any number of tasks and machines.
        relax : bool, default=False
            As in the constructor.
        time_limit : float, optional
            As in the constructor.

        Returns
        -------
        oracle : EnergyScheduling
            For the first day; takes the others as instance data.
        instance : dict of str to ndarray
            Every day's data with leading n, in the order of the files, the smaller days padded with
            zeros. Rows may be chosen and repeated as in any table: ``usage[rows]`` and so on.

        Raises
        ------
        InvalidInputError, InfeasibleError
            If there is no file, a file is not of that format, a task cannot run or slots differ;
            the message names the file.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> text = "480\n1\n1\n0 9 0 0\n5\n1\n0 1 0 {} 50\n3\n"
        >>> with TemporaryDirectory() as folder:
        ...     paths = [Path(folder, name) for name in ("monday.txt", "tuesday.txt")]
        ...     for path, latest in zip(paths, (2, 3)):
        ...         _ = path.write_text(text.format(latest))
        ...     oracle, instance = EnergyScheduling.from_files(paths)
        >>> instance["latest"]
        array([[2],
               [3]])
        >>> prices = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
        >>> oracle.solve(prices, instance).decisions
        array([[  0., 400.,   0.],
               [  0.,   0., 400.]])
        """
        if not len(paths):
            raise InvalidInputError("EnergyScheduling.from_files: got no file, expected some")
        oracles = [cls.from_file(path, relax, time_limit) for path in paths]
        for path, other in zip(paths, oracles, strict=True):
            if other.slot_minutes != oracles[0].slot_minutes:
                raise InvalidInputError(
                    f"{path}: got slots of {other.slot_minutes} minutes, expected "
                    f"{oracles[0].slot_minutes} as in {paths[0]}"
                )
        return oracles[0], {
            name: stack([getattr(oracle, name) for oracle in oracles]) for name in _FIELDS
        }

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
            As in the constructor.
        time_limit : float, optional
            As in the constructor.

        Returns
        -------
        EnergyScheduling

        Raises
        ------
        InvalidInputError
            If the text is not of that format; the message names the line.
        """
        return cls(**parse(text), relax=relax, time_limit=time_limit)

    def program(self, instance: Instance | None = None) -> Program:
        """Return the matrix form of the day, or of the one that ``instance`` gives.

        Parameters
        ----------
        instance : mapping of str to ndarray, optional
            Data of one instance, without leading n.

        Returns
        -------
        Program
            The mixed-integer program of the day.
        """
        day = self._day
        if instance:
            day = self._find({name: np.asarray(value)[None] for name, value in instance.items()}, 0)
        return day.program.relax() if self.relax else day.program

    def _solve(self, costs: Array, instance: Instance) -> Solution:
        days, which = self._read(instance, len(costs))
        if not self.relax:
            table = self._table if days[0] is self._day else Table.of(days)
            return search(costs, days, which, table, self.time_limit)
        if len(days) == 1:
            return days[0].solve_relaxed(costs)
        solution = nothing(costs)
        for k, day in enumerate(days):
            rows = np.flatnonzero(which == k)
            fill(solution, rows, day.solve_relaxed(costs[rows]))
        return solution

    def _raise_for(self, status: Array) -> None:
        failed = np.flatnonzero(status == Status.FAILED)
        if len(failed) and self.time_limit is not None:
            raise SolverError(
                f"EnergyScheduling: instance {failed[0]}: no feasible decision was found "
                f"within time_limit={self.time_limit} seconds"
            )
        super()._raise_for(status)

    def _read(self, instance: Instance, n: int) -> tuple[list[Day], Array]:
        """Return the distinct days of a batch, and which of them each row has."""
        which = np.zeros(n, dtype=np.int64)
        if not instance:
            return [self._day], which
        places: dict[int, int] = {}
        days: list[Day] = []
        for row in range(n):
            day = self._find(instance, row)
            if id(day) not in places:
                places[id(day)] = len(days)
                days.append(day)
            which[row] = places[id(day)]
        return days, which

    def _find(self, instance: Instance, row: int) -> Day:
        """Return the day of a row, as it was met before or made anew."""
        own = {name: np.asarray(values[row]) for name, values in instance.items()}
        key = tuple(
            (name, own[name].dtype.str, own[name].shape, own[name].tobytes()) for name in own
        )
        with LOCK:
            day = self._days.get(key)
        if day is not None:
            return day
        fields = {name: own.get(name, getattr(self, name)) for name in _FIELDS}
        try:
            day = self._checked(**_without_padding(fields))
        except DFLError as error:
            raise type(error)(f"EnergyScheduling: instance {row}: {error}") from error
        with LOCK:
            while len(self._days) >= _KEPT:
                del self._days[next(iter(self._days))]
            return self._days.setdefault(key, day)

    def _checked(
        self,
        durations: npt.ArrayLike,
        earliest: npt.ArrayLike,
        latest: npt.ArrayLike,
        powers: npt.ArrayLike,
        usage: npt.ArrayLike,
        capacities: npt.ArrayLike,
    ) -> Day:
        given = (durations, earliest, latest, powers, usage, capacities)
        return Day(*given, self.slot_minutes, self.n_costs)

    @cached_property
    def _table(self) -> Table:
        return Table.of([self._day])


def _without_padding(fields: dict[str, Array]) -> dict[str, Array]:
    """Leave out tasks of no duration and machines of no capacity."""
    durations, capacities = fields["durations"], fields["capacities"]
    if durations.ndim != 1 or capacities.ndim != 2:
        return fields  # which are refused
    tasks = durations != 0
    machines = capacities.any(axis=-1)
    kept = {}
    for name, values in fields.items():
        if name == "capacities":
            # tasks that use nothing may run on a machine that has nothing
            kept[name] = values[machines] if machines.any() else values
        else:
            kept[name] = values[tasks] if values.shape[:1] == tasks.shape else values
    return kept
