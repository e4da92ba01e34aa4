"""An oracle in several processes: the instances of a batch are solved side by side."""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import os
import pickle
import re
import threading
import traceback
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple, final

import numpy as np

from dfl_solvers._rows import Batch, read_batch
from dfl_solvers.cached import Cached
from dfl_solvers.exceptions import DFLError, InvalidInputError, SolverError, UnsupportedError
from dfl_solvers.kernels import set_threads
from dfl_solvers.oracle import Array, Instance, Oracle, Solution, minimizing, negated
from dfl_solvers.pool import Pool
from dfl_solvers.wrappers import Counting

# seconds after which idle processes leave; they come back when there is work
_IDLE = 300
# one thread each: there are as many processes as cores to use
_ENVIRONMENT = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB")
}


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
    up none but itself, and comes back in order. An answer is the one of the serial oracle, unless
    that depends on what was solved before (ties in a warm-started solver) or on the clock (time
    limits). An exception is that of the first instance which has none, and names it by its number
    in the whole batch.

    If a process dies, as under the hand of a system that is short of memory, what is missing is
    solved once more in new processes, and only if one dies again is ``SolverError`` raised.

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
        self._workers = _Workers(inner, n_jobs)

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


class _Failure(NamedTuple):
    """The first row of a batch that raised, and what."""

    row: int
    error: Exception


# rows from lo to hi - 1
_Part = tuple[int, int]

# whoever starts processes; a module-level lock pickles
_STARTING = threading.Lock()

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_STARTING.acquire, after_in_parent=_STARTING.release,
        after_in_child=_STARTING.release,
    )  # fmt: skip


@final
class _Workers:
    """The processes of an oracle, started when there is work and again when one has died."""

    def __init__(self, oracle: Oracle, n_jobs: int) -> None:
        self._oracle = oracle
        self._n_jobs = n_jobs
        self._executor: Executor | None = None
        self._owner = 0

    def solve(self, batch: Batch) -> Solution:
        """Solve a batch of two or more."""
        from joblib.externals.loky import cpu_count

        n_jobs = cpu_count() if self._n_jobs == -1 else self._n_jobs
        found: dict[int, Solution] = {}
        parts = list(_parts(len(batch.costs), n_jobs))
        for last in (False, True):
            executor = self._started(n_jobs)
            # some in advance, so that no process has to wait for this one; the second time only
            # as many as there are processes, which are then those that one may have died of
            lost, waiting = _work(executor, batch, parts, n_jobs if last else 3 * n_jobs, found)
            if not (lost or waiting):
                break
            self._leave(executor)
            if last:
                rows = [row for row, _ in lost or waiting]
                raise SolverError(
                    f"Parallel: a process died, and again as it was tried once more, while "
                    f"instances {', '.join(map(str, rows))} were being solved; the system may have "
                    "been short of memory, or the solver crashed: use fewer n_jobs, or see what "
                    "happens to these instances with n_jobs=1"
                )
            # one by one, so that it shows which instances a process dies of
            parts = [(row, row + 1) for lo, hi in lost + waiting for row in range(lo, hi)]
        return _joined([found[lo] for lo in sorted(found)])

    def _started(self, n_jobs: int) -> Executor:
        from joblib.externals.loky import ProcessPoolExecutor
        from joblib.externals.loky.backend.reduction import dumps

        with _STARTING:
            # processes do not go with a fork
            if self._executor is None or self._owner != os.getpid():
                try:
                    content = bytes(dumps(self._oracle))  # functions of a script too
                except Exception as error:
                    raise UnsupportedError(
                        f"Parallel: {type(self._oracle).__name__} cannot be sent to another "
                        f"process: {error}; use it without Parallel"
                    ) from error
                self._executor = ProcessPoolExecutor(
                    n_jobs, timeout=_IDLE, initializer=_begin, initargs=(content,),
                    env=_ENVIRONMENT,
                )  # fmt: skip
                self._owner = os.getpid()
            return self._executor

    def _leave(self, executor: Executor) -> None:
        """Forget processes of which one has died; the others are gone as well."""
        with _STARTING:
            if self._executor is executor:
                self._executor = None
        executor.shutdown(wait=False)


def _parts(n: int, n_jobs: int) -> Iterator[_Part]:
    """Cut a batch into parts of which each is a share of what is left."""
    lo = 0
    while lo < n:
        hi = lo + max(1, (n - lo) // (4 * n_jobs))
        yield lo, hi
        lo = hi


def _work(
    executor: Executor,
    batch: Batch,
    parts: list[_Part],
    at_once: int,
    found: dict[int, Solution],
) -> tuple[list[_Part], list[_Part]]:
    """Have parts solved; if a process dies, return those then in work, and those still waiting."""
    waiting = deque(parts)
    running: dict[Future[Solution | _Failure], _Part] = {}
    failure: _Failure | None = None
    try:
        while running or waiting:
            while waiting and len(running) < at_once:
                lo, hi = waiting[0]
                fields = {name: values[lo:hi] for name, values in batch.instance.items()}
                running[executor.submit(_solve, lo, batch.costs[lo:hi], fields)] = lo, hi
                waiting.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                answer = future.result()
                lo, _ = running.pop(future)
                if isinstance(answer, Solution):
                    found[lo] = answer
                elif failure is None or answer.row < failure.row:
                    failure = answer
                    # what comes before may fail as well, and would then be the one to name
                    waiting = deque(part for part in waiting if part[0] < answer.row)
    except BrokenProcessPool:
        for future, (lo, _) in list(running.items()):
            if future.done() and future.exception() is None:
                del running[future]
                answer = future.result()
                if isinstance(answer, Solution):
                    found[lo] = answer
                else:
                    failure = answer if failure is None or answer.row < failure.row else failure
    except BaseException:
        for future in running:
            future.cancel()
        raise
    if failure is not None:
        raise _named(failure)
    return sorted(running.values()), list(waiting)


def _named(failure: _Failure) -> Exception:
    """Return the error of a row that was solved alone, with its number in the batch."""
    row, error = failure
    if isinstance(error, DFLError):
        message, n_found = re.subn(r"\binstance 0\b", f"instance {row}", str(error))
        error.args = (message if n_found else f"instance {row}: {message}", *error.args[1:])
    else:
        error.add_note(f"This is instance {row} of the batch.")
    return error


def _joined(parts: list[Solution]) -> Solution:
    return Solution(
        np.concatenate([part.decisions for part in parts]),
        np.concatenate([part.objectives for part in parts]),
        np.concatenate([part.status for part in parts]),
    )


# in a worker process: the oracle as it came, and as it is in use
_content = b""
_oracle: Oracle | None = None


def _begin(content: bytes) -> None:
    """Receive the oracle; it is read with the first part, where an error can be told."""
    global _content
    _content = content
    set_threads(1)


def _solve(lo: int, costs: Array, instance: dict[str, Array]) -> Solution | _Failure:
    """Solve a part of a batch, or say which row raises first."""
    global _oracle
    if _oracle is None:
        _oracle = pickle.loads(_content)  # noqa: S301  (our own bytes)
    oracle: Any = _oracle
    if len(costs) > 1:
        with contextlib.suppress(Exception):  # it is met again below
            solution: Solution = oracle.solve(costs, instance or None)
            return solution
    rows = []
    for i in range(len(costs)):
        try:
            fields = {name: values[i : i + 1] for name, values in instance.items()}
            rows.append(oracle.solve(costs[i : i + 1], fields or None))
        except Exception as error:
            if not isinstance(error, DFLError):
                error.add_note("In a worker process:\n" + traceback.format_exc())
            return _Failure(lo + i, error)
    return _joined(rows)
