"""Compute the cells of a run: problem x method x seed, each once, each on its own."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

from dfl import __version__
from dfl.exceptions import (
    DFLError,
    InvalidInputError,
    MissingDependencyError,
    UnsupportedError,
)
from dfl_experiments.cells import FORMAT, CellStore, StorageError, digest
from dfl_experiments.config import Config
from dfl_experiments.design.methods import AbstractDesignMethod
from dfl_experiments.methods import AbstractMethod
from dfl_experiments.policies.method import AbstractPolicyMethod
from dfl_experiments.problems.study import AbstractStudy

_BAD_INPUT = (InvalidInputError, UnsupportedError, MissingDependencyError)


@final
@dataclass(frozen=True)
class Cell:
    """One method on one problem with one seed.

    Attributes
    ----------
    part : str
        Name of the problem in the results.
    problem : AbstractStudy
    method : AbstractMethod, AbstractDesignMethod or AbstractPolicyMethod
    seed : int
    """

    part: str
    problem: AbstractStudy
    method: AbstractMethod | AbstractDesignMethod | AbstractPolicyMethod
    seed: int

    @cached_property
    def content(self) -> dict[str, Any]:
        """All that determines the result; a method's name does not."""
        return {
            "format": FORMAT,
            "version": __version__,
            "problem": self.problem.model_dump(mode="json"),
            "method": self.method.model_dump(mode="json", exclude={"name"}),
            "seed": self.seed,
        }

    @cached_property
    def key(self) -> str:
        """The hash of the content, under which the cell is kept."""
        return digest(self.content)

    def __str__(self) -> str:
        return f"{self.part}, {self.method.name}, seed {self.seed}"


@dataclass(frozen=True)
class Failure:
    """A cell that could not be computed, and why."""

    cell: Cell
    message: str
    bad_input: bool


def plan(config: Config) -> list[Cell]:
    """List the cells of a run."""
    return [
        Cell(part, problem, method, seed)
        for part, problem in config.problem.parts().items()
        for seed in config.seeds
        for method in config.compared
    ]


def check(cells: Sequence[Cell]) -> None:
    """Refuse what cannot work before anything is computed, and fetch the data once.

    Raises
    ------
    DFLError
    """
    methods = list({cell.method.name: cell.method for cell in cells}.values())
    for part in {cell.part: cell for cell in cells}.values():
        part.problem.check(methods, part.seed)


def compute(cell: Cell) -> dict[str, Any]:
    """Compute one cell, on one thread: cells are what runs in parallel.

    Returns
    -------
    dict
        The cell's content, and what its problem computes.
    """
    with _one_thread():
        return {**cell.content, "key": cell.key, **cell.problem.compute(cell.method, cell.seed)}


def execute(
    cells: Sequence[Cell], store: CellStore, n_jobs: int, on_done: Callable[[], None]
) -> list[Failure]:
    """Compute cells in parallel and keep each as soon as it is done.

    Parameters
    ----------
    cells : sequence of Cell
    store : CellStore
    n_jobs : int
        Processes; one computes in this process.
    on_done : callable
        Called after each cell.

    Returns
    -------
    list of Failure
        Cells that raised one of our exceptions; the others are in the store.

    Raises
    ------
    StorageError
        If a cell cannot be written; computing more would be in vain.
    KeyboardInterrupt
        After the processes have been stopped.
    """
    from joblib import Parallel, delayed, parallel_config

    failures = []
    tasks = (delayed(_work)(cell, store) for cell in cells)
    n_jobs = min(n_jobs, len(cells))
    # workers whose parent was killed notice by having nothing to do
    with parallel_config(backend="loky", inner_max_num_threads=1, idle_worker_timeout=10):
        # no task waits in another process: if this one dies, only running cells go on
        parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered", pre_dispatch="n_jobs")
        with _deaf_children() if n_jobs > 1 else contextlib.nullcontext():
            found = parallel(tasks)
        for failure in found:
            on_done()
            if failure is not None:
                failures.append(failure)
    return failures


def _work(cell: Cell, store: CellStore) -> Failure | None:
    """Compute and keep a cell; what another run kept in the meantime is not computed again."""
    _spare_semaphores()
    with contextlib.suppress(ValueError):
        if store.load(cell.key) is not None:
            return None
    try:
        store.save(cell.key, compute(cell))
    except StorageError:
        raise
    except DFLError as error:
        return Failure(cell, " ".join(str(error).split()), isinstance(error, _BAD_INPUT))
    return None


def _spare_semaphores() -> None:
    """Give tqdm a plain lock: its own is a semaphore, of which a killed process leaves a trace."""
    from tqdm.std import tqdm

    tqdm.set_lock(threading.RLock())


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Keep BLAS, OpenMP and torch to one thread, so that cells do not fight for the cores.

    The number of threads would also change the order of sums, hence the last digits.
    """
    import torch
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _deaf_children() -> Iterator[None]:
    """Let processes started meanwhile ignore Ctrl-C, which the terminal sends to all of them.

    This process hears it and stops them; on their own they would print a traceback each.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
