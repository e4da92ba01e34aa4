"""An oracle in several processes: the instances of a batch are solved side by side."""

from __future__ import annotations

import copy
import multiprocessing
from typing import Any, final

import numpy as np

from dfl_solvers._rows import read_batch
from dfl_solvers._workers import Workers
from dfl_solvers.cached import Cached
from dfl_solvers.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.oracle import Array, Instance, Oracle, Solution, minimizing, negated
from dfl_solvers.pool import Pool
from dfl_solvers.wrappers import Counting


@final
class Parallel:
    """Solve the instances of a batch in several processes; decisions are untouched.

    Use it around an oracle that takes some ten milliseconds or more an instance: integer programs
    in HiGHS or Gurobi, or a function of your own. The compiled oracles use all cores by themselves,
    and what takes less than a millisecond is slower in another process.

    Parameters
    ----------
    oracle : Oracle
        The oracle to ask; a maximizing one stays maximizing. It must not be changed afterwards.
    n_jobs : int, default=2
        Number of processes; -1 for as many as there are cores. With 1, all is solved in this one.

    Attributes
    ----------
    n_costs : int or None
        Length of a cost vector, or None where any length is accepted.

    Raises
    ------
    InvalidInputError
        If ``n_jobs`` is neither positive nor -1.
    UnsupportedError
        If ``oracle`` counts, caches, pools or is parallel already: what it remembers would stay
        behind in the processes. ``Counting(Parallel(oracle))`` and the like are fine.

    See Also
    --------
    Cached : Costs that come back are solved once.

    Notes
    -----
    The processes start with the first batch of more than one instance, which takes a second or two,
    and stay for the next. Each gets the oracle once, builds its model once, and uses one thread. A
    batch is dealt out in parts that become smaller towards its end, so that a slow instance holds
    up none but itself, and comes back in order. Instance data that were slow before are dealt out
    first, since what is begun last should be short. An answer is the one of the serial oracle,
    unless that depends on what was solved before (ties in a warm-started solver) or on the clock
    (time limits). An exception is that of the first instance which has none, and names it by its
    number in the whole batch.

    If a process dies, as under the hand of a system that is short of memory, what is missing is
    solved once more in new processes, and only if one dies again is ``SolverError`` raised. When
    this process is interrupted or dies, the others end at once, within a solve too.

    Copies made by ``copy.deepcopy``, as in cross-validation, share the processes; pickles start
    their own. In a process that another one has started (a worker of joblib, say), all is solved
    right there, so that there are never more processes than asked for. Safe to call from several
    threads. Functions and classes from a script or notebook travel too.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import MixedIntegerProgram, Parallel, Program
    >>> program = Program([[2.0, 3.0, 4.0]], [0.0], [5.0], np.zeros(3), np.ones(3), np.ones(3))
    >>> oracle = Parallel(MixedIntegerProgram(program), n_jobs=2)
    >>> oracle.solve(np.array([[-3.0, -4.0, -5.0], [-1.0, -1.0, -5.0]])).decisions
    array([[1., 1., 0.],
           [0., 0., 1.]])
    """

    def __init__(self, oracle: Oracle, n_jobs: int = 2) -> None:
        if not isinstance(n_jobs, (int, np.integer)) or (n_jobs < 1 and n_jobs != -1):
            raise InvalidInputError(
                f"Parallel: got n_jobs={n_jobs!r}, expected a positive whole number or -1"
            )
        inner = minimizing(oracle)[0]
        if isinstance(inner, (Counting, Cached, Pool, Parallel)):
            name = type(inner).__name__
            raise UnsupportedError(
                f"Parallel does not go around {name}: what it remembers would stay behind in the "
                f"processes; use {name}(Parallel(oracle), ...)"
                if name != "Parallel"
                else "Parallel does not go around Parallel; give n_jobs once"
            )
        self.oracle = oracle
        self.n_jobs = n_jobs
        self._workers = Workers(inner, n_jobs)

    @property
    def sign(self) -> int:
        """-1 if the wrapped oracle maximizes, else 1."""
        return getattr(self.oracle, "sign", 1)

    @property
    def minimizing(self) -> Parallel:
        """The minimizing oracle in the same processes."""
        return self if self.sign == 1 else self._around(minimizing(self.oracle)[0])

    @property
    def n_costs(self) -> int | None:
        """Length of a cost vector, or None where any length is accepted."""
        return self.oracle.n_costs

    def parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments by name."""
        return {"oracle": self.oracle, "n_jobs": self.n_jobs}

    def solve(self, costs: Array, instance: Instance | None = None) -> Solution:
        """Solve a batch, its parts side by side.

        Parameters
        ----------
        costs : ndarray of shape (n, d)
            One cost vector a row; finite.
        instance : mapping of str to ndarray, optional
            Per-instance data, each array with leading n.

        Returns
        -------
        Solution
            As of the wrapped oracle, in the order of the costs.

        Raises
        ------
        InvalidInputError, InfeasibleError, UnboundedError
            As the wrapped oracle does.
        SolverError
            As the wrapped oracle does, or if processes die while they solve an instance.
        UnsupportedError
            If the oracle cannot be sent to another process.
        """
        if self.sign == -1:
            found = self.minimizing.solve(negated(costs), instance)
            return Solution(found.decisions, -found.objectives, found.status)
        batch = read_batch(costs, instance)
        alone = self.n_jobs == 1 or multiprocessing.parent_process() is not None
        if alone or batch is None or len(batch.costs) == 1:
            return self.oracle.solve(costs, instance)
        try:
            return self._workers.solve(batch)
        except InvalidInputError:
            # the message tells of shapes, which are those of a part; the oracle sees all
            return self.oracle.solve(costs, instance)

    def evaluate(self, costs: Array, decisions: Array, instance: Instance | None = None) -> Array:
        """Objective (n,) of given decisions (n, d), computed in this process."""
        return self.oracle.evaluate(costs, decisions, instance)

    def _around(self, oracle: Oracle) -> Parallel:
        """Return the same processes around another form of the oracle."""
        other = object.__new__(Parallel)
        other.oracle, other.n_jobs, other._workers = oracle, self.n_jobs, self._workers
        return other

    def __getattr__(self, name: str) -> Any:
        # what the wrapped oracle can do beside solving (program, instance_fields, ...)
        if name in {"oracle", "n_jobs", "_workers"} or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.oracle, name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Parallel:
        return self._around(copy.deepcopy(self.oracle, memo))

    def __reduce__(self) -> tuple[Any, ...]:
        return Parallel, (self.oracle, self.n_jobs)

    def __repr__(self) -> str:
        return f"Parallel(oracle={self.oracle!r}, n_jobs={self.n_jobs!r})"
