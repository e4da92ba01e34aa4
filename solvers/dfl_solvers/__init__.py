"""Batches of cost vectors in, optimal decisions out.

The face of the package is lazy: a name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dfl_solvers._version import __version__ as __version__

if TYPE_CHECKING:
    from dfl_solvers.oracle import AbstractOracle as AbstractOracle
    from dfl_solvers.oracle import Oracle as Oracle
    from dfl_solvers.oracle import Solution as Solution
    from dfl_solvers.oracle import Status as Status
    from dfl_solvers.oracle import minimizing as minimizing
    from dfl_solvers.problems.ball import Ball as Ball
    from dfl_solvers.problems.box import Box as Box
    from dfl_solvers.problems.energy_scheduling import EnergyScheduling as EnergyScheduling
    from dfl_solvers.problems.knapsack import Knapsack as Knapsack
    from dfl_solvers.problems.linear_program import LinearProgram as LinearProgram
    from dfl_solvers.problems.mixed_integer_program import (
        MixedIntegerProgram as MixedIntegerProgram,
    )
    from dfl_solvers.problems.portfolio import Portfolio as Portfolio
    from dfl_solvers.problems.shortest_path import GridShortestPath as GridShortestPath
    from dfl_solvers.problems.simplex import Simplex as Simplex
    from dfl_solvers.problems.top_k import TopK as TopK
    from dfl_solvers.program import Program as Program
    from dfl_solvers.testing import check_oracle as check_oracle
    from dfl_solvers.wrappers import Counting as Counting
    from dfl_solvers.wrappers import Counts as Counts
    from dfl_solvers.wrappers import FromCallable as FromCallable
    from dfl_solvers.wrappers import Maximize as Maximize

_HOMES = {
    "AbstractOracle": "oracle",
    "Ball": "problems.ball",
    "Box": "problems.box",
    "Counting": "wrappers",
    "Counts": "wrappers",
    "EnergyScheduling": "problems.energy_scheduling",
    "FromCallable": "wrappers",
    "GridShortestPath": "problems.shortest_path",
    "Knapsack": "problems.knapsack",
    "LinearProgram": "problems.linear_program",
    "Maximize": "wrappers",
    "MixedIntegerProgram": "problems.mixed_integer_program",
    "Oracle": "oracle",
    "Portfolio": "problems.portfolio",
    "Program": "program",
    "Simplex": "problems.simplex",
    "Solution": "oracle",
    "Status": "oracle",
    "TopK": "problems.top_k",
    "check_oracle": "testing",
    "minimizing": "oracle",
}

__all__ = [
    "AbstractOracle",
    "Ball",
    "Box",
    "Counting",
    "Counts",
    "EnergyScheduling",
    "FromCallable",
    "GridShortestPath",
    "Knapsack",
    "LinearProgram",
    "Maximize",
    "MixedIntegerProgram",
    "Oracle",
    "Portfolio",
    "Program",
    "Simplex",
    "Solution",
    "Status",
    "TopK",
    "__version__",
    "check_oracle",
    "minimizing",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dfl_solvers' has no attribute {name!r}")
    return getattr(importlib.import_module(f"dfl_solvers.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
