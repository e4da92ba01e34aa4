"""Processes that solve parts of a batch: started when there is work, replaced when one dies."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import re
import signal
import threading
import time
import traceback
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple, final

import numpy as np

from dfl_solvers._dealing import Times, keys_of, parts
from dfl_solvers._rows import Batch
from dfl_solvers.backends.batches import join
from dfl_solvers.exceptions import DFLError, SolverError, UnsupportedError, note_instance
from dfl_solvers.kernels import set_threads
from dfl_solvers.oracle import Array, Oracle, Solution

# seconds after which idle processes leave; they come back when there is work
_IDLE = 300
# seconds after which a wait looks up
_GLANCE = 0.5
# one thread each: there are as many processes as cores to use
_ENVIRONMENT = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB")
}


class _Answer(NamedTuple):
    """A part of a batch, solved, and how long it took; None for the first one of a process.

    That one reads the oracle, loads compiled code and builds models, and says nothing of the rows.
    """

    solution: Solution
    seconds: float | None


class _Failure(NamedTuple):
    """The first row of a part that raised, by its number in the batch, and what."""

    row: int
    error: Exception


# whoever starts processes; a module-level lock pickles
_STARTING = threading.Lock()

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_STARTING.acquire, after_in_parent=_STARTING.release,
        after_in_child=_STARTING.release,
    )  # fmt: skip


@final
class Workers:
    """The processes of an oracle, started when there is work and again when one has died.

    Parameters
    ----------
    oracle : Oracle
        A minimizing oracle; it is sent to each process once.
    n_jobs : int
        Number of processes; -1 for as many as there are cores.
    """

    def __init__(self, oracle: Oracle, n_jobs: int) -> None:
        self._oracle = oracle
        self._n_jobs = n_jobs
        self._executor: Any = None
        self._owner = 0
        self._times = Times()

    def solve(self, batch: Batch) -> Solution:
        """Solve a batch of two or more."""
        from joblib.externals.loky import cpu_count

        n_jobs = cpu_count() if self._n_jobs == -1 else self._n_jobs
        work = _Work(batch, self._times)
        work.waiting.extend(parts(self._times.expected(work.keys), n_jobs))
        for last in (False, True):
            executor = self._started(n_jobs)
            try:
                # some in advance, so that no process has to wait for this one; the second time only
                # as many as there are processes, which are then those that one may have died of
                lost = work.run(executor, n_jobs if last else 3 * n_jobs)
            except BaseException as error:
                if not isinstance(error, Exception):  # interrupted: not after the solves have ended
                    self._leave(executor, at_once=True)
                raise
            if not (lost or work.waiting):
                break
            self._leave(executor)
            if last:
                rows = sorted(int(row) for part in lost or work.waiting for row in part)
                raise SolverError(
                    f"Parallel: a process died, and again as it was tried once more, while "
                    f"instances {', '.join(map(str, rows))} were being solved; the system may have "
                    "been short of memory, or the solver crashed: use fewer n_jobs, or see what "
                    "happens to these instances with n_jobs=1"
                )
            # one by one, so that it shows which instances a process dies of
            again = np.concatenate([*lost, *work.waiting])
            work.waiting = deque(again[:, None])
        return work.solution()

    def _started(self, n_jobs: int) -> Any:
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
                    n_jobs, timeout=_IDLE, initializer=_begin,
                    initargs=(content, os.getpid()), env=_ENVIRONMENT,
                )  # fmt: skip
                self._owner = os.getpid()
            return self._executor

    def _leave(self, executor: Any, at_once: bool = False) -> None:
        """Forget processes of which one has died, or end those that are still at work."""
        with _STARTING:
            if self._executor is executor:
                self._executor = None
        if at_once:
            # loky's own way to end them stumbles over parts that still wait
            for process in list((executor._processes or {}).values()):
                process.terminate()
        executor.shutdown(wait=at_once)


@final
class _Work:
    """A batch on its way: the parts that wait, and what has come back."""

    def __init__(self, batch: Batch, times: Times) -> None:
        self.batch = batch
        self.keys = keys_of(batch)
        self.waiting: deque[Array] = deque()
        self._times = times
        self._found: list[tuple[Array, Solution]] = []
        self._failure: _Failure | None = None

    def run(self, executor: Any, at_once: int) -> list[Array]:
        """Have the parts solved; if a process dies, return those that were then in work."""
        running: dict[Future[_Answer | _Failure], Array] = {}
        try:
            while running or self.waiting:
                while self.waiting and len(running) < at_once:
                    rows = self.waiting[0]
                    fields = {name: values[rows] for name, values in self.batch.instance.items()}
                    future = executor.submit(_solve, rows, self.batch.costs[rows], fields)
                    running[future] = self.waiting.popleft()
                # an interrupt that comes just before a wait does not end it, so none is endless
                for future in wait(running, _GLANCE, FIRST_COMPLETED).done:
                    answer = future.result()
                    self._take(running.pop(future), answer)
        except BrokenProcessPool:
            for future in [one for one in running if one.done() and one.exception() is None]:
                self._take(running.pop(future), future.result())
        except Exception:  # an interrupt ends the processes, and with them all of this
            for future in running:
                future.cancel()
            raise
        if self._failure is not None:
            raise _named(self._failure)
        return list(running.values())

    def solution(self) -> Solution:
        """Return the solution of the whole batch, in its order."""
        order = np.argsort(np.concatenate([rows for rows, _ in self._found]))
        joined = join([solution for _, solution in self._found])
        return Solution(joined.decisions[order], joined.objectives[order], joined.status[order])

    def _take(self, rows: Array, answer: _Answer | _Failure) -> None:
        if isinstance(answer, _Answer):
            self._found.append((rows, answer.solution))
            if answer.seconds is not None:
                self._times.learn([self.keys[row] for row in rows], answer.seconds)
        elif self._failure is None or answer.row < self._failure.row:
            self._failure = answer
            # what comes before may fail as well, and would then be the one to name
            before = [part[part < answer.row] for part in self.waiting]
            self.waiting = deque(part for part in before if len(part))


def _named(failure: _Failure) -> Exception:
    """Return the error of a row that was solved alone, with its number in the batch."""
    row, error = failure
    if isinstance(error, DFLError):
        message, n_found = re.subn(r"\binstance 0\b", f"instance {row}", str(error))
        error.args = (message if n_found else f"instance {row}: {message}", *error.args[1:])
    return error


# in a worker process: the oracle as it came, and as it is in use
_content = b""
_oracle: Oracle | None = None


def _begin(content: bytes, parent: int) -> None:
    """Receive the oracle; it is read with the first part, where an error can be told."""
    global _content
    _content = content
    set_threads(1)
    # an interrupt is for the process that has started this one, which then ends it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """End when the process that has started this one has died without a word, as when killed."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _solve(rows: Array, costs: Array, instance: dict[str, Array]) -> _Answer | _Failure:
    """Solve a part of a batch, or say which row raises first."""
    global _oracle
    if _oracle is None:
        _oracle = pickle.loads(_content)  # noqa: S301  (our own bytes)
        try:
            return _solve_all(rows, costs, instance, None)
        finally:
            # loky collects garbage every second, and need not look at all that is loaded by now
            gc.freeze()
    return _solve_all(rows, costs, instance, time.perf_counter())


def _solve_all(
    rows: Array, costs: Array, instance: dict[str, Array], begun: float | None
) -> _Answer | _Failure:
    oracle: Any = _oracle
    if len(costs) > 1:
        with contextlib.suppress(Exception):  # it is met again below
            solution: Solution = oracle.solve(costs, instance or None)
            return _Answer(solution, _since(begun))
    alone = []
    for i, row in enumerate(rows.tolist()):
        try:
            fields = {name: values[i : i + 1] for name, values in instance.items()}
            alone.append(oracle.solve(costs[i : i + 1], fields or None))
        except Exception as error:
            if not isinstance(error, DFLError):
                note_instance(error, row)  # the traceback tells notes as well
                error.add_note("In a worker process:\n" + traceback.format_exc())
            return _Failure(row, error)
    return _Answer(join(alone), _since(begun))


def _since(begun: float | None) -> float | None:
    return None if begun is None else time.perf_counter() - begun
