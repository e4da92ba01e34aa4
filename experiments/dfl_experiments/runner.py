"""The cells of a run: problem x method x seed, and how one is computed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

from dfl import __version__
from dfl_experiments.cells import FORMAT, digest
from dfl_experiments.config import Config
from dfl_experiments.design.methods import AbstractDesignMethod
from dfl_experiments.methods import AbstractMethod
from dfl_experiments.policies.method import AbstractPolicyMethod
from dfl_experiments.problems.study import AbstractStudy


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
        """All that determines the result: not a method's name, nor what it was chosen from."""
        return {
            "format": FORMAT,
            "version": __version__,
            "problem": self.problem.model_dump(mode="json"),
            "method": self.method.model_dump(mode="json", exclude={"name", "tune"}),
            "seed": self.seed,
        }

    @cached_property
    def key(self) -> str:
        """The hash of the content, under which the cell is kept."""
        return digest(self.content)

    def __str__(self) -> str:
        return f"{self.part}, {self.method.name}, seed {self.seed}"


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
        The cell's content, what its problem computes, and ``took``: seconds of all of it.
    """
    start = time.perf_counter()
    with _one_thread():
        found = cell.problem.compute(cell.method, cell.seed)
    return {**cell.content, "key": cell.key, **found, "took": time.perf_counter() - start}


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
