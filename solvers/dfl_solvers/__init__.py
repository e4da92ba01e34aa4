"""Batches of cost vectors in, optimal decisions out.

The face of the package is lazy: a name is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfl_solvers._lazy import lazy
from dfl_solvers._version import __version__ as __version__

if TYPE_CHECKING:
    from dfl_solvers.cached import Cached as Cached
    from dfl_solvers.cached import CacheStatistics as CacheStatistics
    from dfl_solvers.degeneracy import Degeneracy as Degeneracy
    from dfl_solvers.degeneracy import all_optima as all_optima
    from dfl_solvers.degeneracy import degeneracy_distance as degeneracy_distance
    from dfl_solvers.oracle import AbstractOracle as AbstractOracle
    from dfl_solvers.oracle import Oracle as Oracle
    from dfl_solvers.oracle import minimizing as minimizing
    from dfl_solvers.oracle import solving as solving
    from dfl_solvers.parallel import Parallel as Parallel
    from dfl_solvers.pool import Pool as Pool
    from dfl_solvers.pool import PoolCounts as PoolCounts
    from dfl_solvers.problems.assignment import Assignment as Assignment
    from dfl_solvers.problems.ball import Ball as Ball
    from dfl_solvers.problems.box import Box as Box
    from dfl_solvers.problems.diverse_matching import DiverseMatching as DiverseMatching
    from dfl_solvers.problems.ellipsoid import Ellipsoid as Ellipsoid
    from dfl_solvers.problems.energy_scheduling import EnergyScheduling as EnergyScheduling
    from dfl_solvers.problems.entropy_ball import EntropyBall as EntropyBall
    from dfl_solvers.problems.graph_shortest_path import ShortestPath as ShortestPath
    from dfl_solvers.problems.grid_perfect_matching import (
        GridPerfectMatching as GridPerfectMatching,
    )
    from dfl_solvers.problems.knapsack import Knapsack as Knapsack
    from dfl_solvers.problems.linear_program import LinearProgram as LinearProgram
    from dfl_solvers.problems.log_barrier_simplex import LogBarrierSimplex as LogBarrierSimplex
    from dfl_solvers.problems.mean_variance import MeanVariancePortfolio as MeanVariancePortfolio
    from dfl_solvers.problems.mixed_integer_program import (
        MixedIntegerProgram as MixedIntegerProgram,
    )
    from dfl_solvers.problems.newsvendor import Newsvendor as Newsvendor
    from dfl_solvers.problems.node_grid_shortest_path import (
        NodeGridShortestPath as NodeGridShortestPath,
    )
    from dfl_solvers.problems.portfolio import Portfolio as Portfolio
    from dfl_solvers.problems.ranking import Ranking as Ranking
    from dfl_solvers.problems.shortest_path import GridShortestPath as GridShortestPath
    from dfl_solvers.problems.simplex import Simplex as Simplex
    from dfl_solvers.problems.spanning_tree import MinimumSpanningTree as MinimumSpanningTree
    from dfl_solvers.problems.top_k import TopK as TopK
    from dfl_solvers.problems.traveling_salesman import TravelingSalesman as TravelingSalesman
    from dfl_solvers.program import Program as Program
    from dfl_solvers.recourse.base import AbstractRecourse as AbstractRecourse
    from dfl_solvers.recourse.discard import Discard as Discard
    from dfl_solvers.recourse.reoptimize import Reoptimize as Reoptimize
    from dfl_solvers.recourse.rescale import Rescale as Rescale
    from dfl_solvers.serialization import load_oracle as load_oracle
    from dfl_solvers.serialization import oracle_from_dict as oracle_from_dict
    from dfl_solvers.serialization import oracle_to_dict as oracle_to_dict
    from dfl_solvers.serialization import save_oracle as save_oracle
    from dfl_solvers.solution import Solution as Solution
    from dfl_solvers.solution import Status as Status
    from dfl_solvers.testing import check_oracle as check_oracle
    from dfl_solvers.with_backend import WithBackend as WithBackend
    from dfl_solvers.wrappers import Counting as Counting
    from dfl_solvers.wrappers import Counts as Counts
    from dfl_solvers.wrappers import FromCallable as FromCallable
    from dfl_solvers.wrappers import Maximize as Maximize

_HOMES = {
    "AbstractOracle": "oracle",
    "AbstractRecourse": "recourse.base",
    "Assignment": "problems.assignment",
    "Ball": "problems.ball",
    "Box": "problems.box",
    "CacheStatistics": "cached",
    "Cached": "cached",
    "Counting": "wrappers",
    "Counts": "wrappers",
    "Degeneracy": "degeneracy",
    "Discard": "recourse.discard",
    "DiverseMatching": "problems.diverse_matching",
    "Ellipsoid": "problems.ellipsoid",
    "EnergyScheduling": "problems.energy_scheduling",
    "EntropyBall": "problems.entropy_ball",
    "FromCallable": "wrappers",
    "GridPerfectMatching": "problems.grid_perfect_matching",
    "GridShortestPath": "problems.shortest_path",
    "Knapsack": "problems.knapsack",
    "LinearProgram": "problems.linear_program",
    "LogBarrierSimplex": "problems.log_barrier_simplex",
    "Maximize": "wrappers",
    "MeanVariancePortfolio": "problems.mean_variance",
    "MinimumSpanningTree": "problems.spanning_tree",
    "MixedIntegerProgram": "problems.mixed_integer_program",
    "Newsvendor": "problems.newsvendor",
    "NodeGridShortestPath": "problems.node_grid_shortest_path",
    "Oracle": "oracle",
    "Parallel": "parallel",
    "Pool": "pool",
    "PoolCounts": "pool",
    "Portfolio": "problems.portfolio",
    "Program": "program",
    "Ranking": "problems.ranking",
    "Reoptimize": "recourse.reoptimize",
    "Rescale": "recourse.rescale",
    "ShortestPath": "problems.graph_shortest_path",
    "Simplex": "problems.simplex",
    "Solution": "solution",
    "Status": "solution",
    "TopK": "problems.top_k",
    "TravelingSalesman": "problems.traveling_salesman",
    "WithBackend": "with_backend",
    "all_optima": "degeneracy",
    "check_oracle": "testing",
    "degeneracy_distance": "degeneracy",
    "load_oracle": "serialization",
    "minimizing": "oracle",
    "oracle_from_dict": "serialization",
    "oracle_to_dict": "serialization",
    "save_oracle": "serialization",
    "solving": "oracle",
}

__all__ = [
    "AbstractOracle",
    "AbstractRecourse",
    "Assignment",
    "Ball",
    "Box",
    "CacheStatistics",
    "Cached",
    "Counting",
    "Counts",
    "Degeneracy",
    "Discard",
    "DiverseMatching",
    "Ellipsoid",
    "EnergyScheduling",
    "EntropyBall",
    "FromCallable",
    "GridPerfectMatching",
    "GridShortestPath",
    "Knapsack",
    "LinearProgram",
    "LogBarrierSimplex",
    "Maximize",
    "MeanVariancePortfolio",
    "MinimumSpanningTree",
    "MixedIntegerProgram",
    "Newsvendor",
    "NodeGridShortestPath",
    "Oracle",
    "Parallel",
    "Pool",
    "PoolCounts",
    "Portfolio",
    "Program",
    "Ranking",
    "Reoptimize",
    "Rescale",
    "ShortestPath",
    "Simplex",
    "Solution",
    "Status",
    "TopK",
    "TravelingSalesman",
    "WithBackend",
    "__version__",
    "all_optima",
    "check_oracle",
    "degeneracy_distance",
    "load_oracle",
    "minimizing",
    "oracle_from_dict",
    "oracle_to_dict",
    "save_oracle",
    "solving",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
