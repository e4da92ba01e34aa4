"""Compute cells in parallel, on this machine or on others, and keep each as soon as it is done."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

from dfl.exceptions import (
    DFLError,
    InvalidInputError,
    MissingDependencyError,
    UnsupportedError,
)
from dfl_experiments.cells import CellStore, StorageError
from dfl_experiments.parallel import deaf_children, is_death, where
from dfl_experiments.runner import Cell, compute
from dfl_experiments.time_limit import OutOfTime, time_limit

_BAD_INPUT = (InvalidInputError, UnsupportedError, MissingDependencyError)
_DIED = "its process died: out of memory, or a crash in compiled code"


@final
@dataclass(frozen=True)
class Engine:
    """Where cells are computed, and what becomes of those that cannot be.

    Attributes
    ----------
    n_jobs : int
        Processes; one computes in this process. A cluster has its own number.
    backend : str
        Name of a joblib back-end.
    address : str or None
        Scheduler of a Dask cluster, ``"host:port"``.
    timeout : float or None
        Seconds that a cell may take.
    failures : CellStore or None
        Keeps what went wrong with a cell, whatever it was; None: only this project's own errors
        are failures of a cell, others end the run.
    grace : float
        A cell that goes on for so many seconds after its time is over takes its process with it.
    """

    n_jobs: int = 1
    backend: str = "loky"
    address: str | None = None
    timeout: float | None = None
    failures: CellStore | None = None
    grace: float = 10.0


@final
@dataclass(frozen=True)
class Failure:
    """A cell that could not be computed, and why.

    Attributes
    ----------
    cell : Cell
    message : str
        What went wrong, in one line.
    bad_input : bool
        Whether the configuration is to blame, or a package that is missing.
    status : {"failed", "timeout"}
    """

    cell: Cell
    message: str
    bad_input: bool
    status: Literal["failed", "timeout"] = "failed"

    def keep(self, failures: CellStore | None) -> Failure:
        """Write it down, if such things are kept."""
        if failures is not None:
            content = {
                "key": self.cell.key,
                "cell": str(self.cell),
                "message": self.message,
                "bad_input": self.bad_input,
                "status": self.status,
            }
            failures.save(self.cell.key, content)
        return self


def kept_failure(cell: Cell, failures: CellStore | None) -> Failure | None:
    """Return what went wrong with a cell before; None if nothing did, or nobody can read it."""
    if failures is None:
        return None
    with contextlib.suppress(ValueError, OSError):
        found = failures.load(cell.key)
        if found is not None:
            return Failure(cell, found["message"], found["bad_input"], found["status"])
    return None


def execute(
    cells: Sequence[Cell], store: CellStore, engine: Engine, on_done: Callable[[], None]
) -> list[Failure]:
    """Compute cells in parallel and keep each as soon as it is done.

    Where a process dies, the cells that were being computed are computed one by one: it is known
    then which of them it dies of.

    Parameters
    ----------
    cells : sequence of Cell
        What to compute.
    store : CellStore
        Where each is kept.
    engine : Engine
        Processes, and what becomes of failures.
    on_done : callable
        Called after each cell.

    Returns
    -------
    list of Failure
        Cells that could not be computed; the others are in the store.

    Raises
    ------
    StorageError
        If a cell cannot be written; computing more would be in vain.
    KeyboardInterrupt
        After the processes have been stopped.
    """
    failures: list[Failure] = []
    ended: set[str] = set()
    suspects: list[Cell] = []
    while left := [cell for cell in cells if cell.key not in ended]:
        batch, started = suspects[:1] or left, list[Cell]()
        # a single cell needs no process of its own, unless it is to be survived
        alone = not suspects and engine.failures is None
        n_jobs = min(engine.n_jobs, len(batch)) if alone else engine.n_jobs
        try:
            for key, failure in _stream(batch, store, engine, n_jobs, started.append):
                ended.add(key)
                failures += [] if failure is None else [failure]
                on_done()
        except Exception as error:
            if not is_death(error):
                raise
            if not suspects:
                suspects = [cell for cell in started if cell.key not in ended]
                continue
            died = kept_failure(batch[0], engine.failures) or Failure(batch[0], _DIED, False)
            failures.append(died.keep(engine.failures))
            ended.add(batch[0].key)
            on_done()
        suspects = suspects[1:]
    return failures


def _stream(
    cells: Sequence[Cell],
    store: CellStore,
    engine: Engine,
    n_jobs: int,
    on_start: Callable[[Cell], None],
) -> Iterator[tuple[str, Failure | None]]:
    """Yield the key of each cell that is done, with what went wrong."""
    from joblib import Parallel, delayed

    def tasks() -> Iterator[Any]:
        for cell in cells:
            on_start(cell)
            yield delayed(_work)(cell, store, engine, os.getpid())

    with where(engine.backend, engine.address):
        # no task waits in another process: if this one dies, only running cells go on
        parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered", pre_dispatch="n_jobs")
        with deaf_children() if n_jobs > 1 else contextlib.nullcontext():
            found = parallel(tasks())
        yield from found


def _work(cell: Cell, store: CellStore, engine: Engine, caller: int) -> tuple[str, Failure | None]:
    """Compute and keep a cell; what another run kept in the meantime is not computed again."""
    _prepare()
    known = kept_failure(cell, engine.failures)
    if known is not None:
        return cell.key, known
    with contextlib.suppress(ValueError, OSError):
        if store.load(cell.key) is not None:
            return cell.key, None
    late = Failure(cell, f"it took longer than {engine.timeout} s", False, "timeout")

    def give_up() -> None:
        """End this process with what goes on in it, unless it is the one that called."""
        if os.getpid() != caller:
            late.keep(engine.failures)
            os._exit(1)

    try:
        with time_limit(engine.timeout, give_up, engine.grace):
            content = compute(cell)
        store.save(cell.key, content)
    except StorageError:
        raise
    except OutOfTime:
        return cell.key, late.keep(engine.failures)
    except DFLError as error:
        failure = Failure(cell, _line(error), isinstance(error, _BAD_INPUT))
        return cell.key, failure.keep(engine.failures)
    except Exception as error:
        if engine.failures is None:
            raise
        text = f"{type(error).__name__}: {_line(error)}"
        return cell.key, Failure(cell, text, False).keep(engine.failures)
    return cell.key, None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _prepare() -> None:
    """Load what cells compute with: it is no time of theirs, and must not be broken off.

    And give tqdm a plain lock: its own is a semaphore, of which a killed process leaves a trace.
    """
    from tqdm.std import tqdm

    from dfl import DecisionFocusedRegressor, PredictThenOptimizeRegressor  # noqa: F401

    tqdm.set_lock(threading.RLock())
