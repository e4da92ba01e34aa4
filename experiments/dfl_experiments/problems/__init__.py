"""The problems a run can be about, one file each."""

from dfl_experiments.problems.base import AbstractProblem as AbstractProblem
from dfl_experiments.problems.base import Fold as Fold
from dfl_experiments.problems.base import Table as Table
from dfl_experiments.problems.cora_matching import CoraMatchingProblem as CoraMatchingProblem
from dfl_experiments.problems.cubic_top_k import CubicTopKProblem as CubicTopKProblem
from dfl_experiments.problems.energy import EnergyProblem as EnergyProblem
from dfl_experiments.problems.entropy_portfolio import (
    EntropyPortfolioProblem as EntropyPortfolioProblem,
)
from dfl_experiments.problems.knapsack import KnapsackProblem as KnapsackProblem
from dfl_experiments.problems.ordinal_classes import OrdinalClassesProblem as OrdinalClassesProblem
from dfl_experiments.problems.ordinal_classes import OrdinalDigitsProblem as OrdinalDigitsProblem
from dfl_experiments.problems.perfect_matching import (
    PerfectMatchingProblem as PerfectMatchingProblem,
)
from dfl_experiments.problems.portfolio import PortfolioProblem as PortfolioProblem
from dfl_experiments.problems.portfolio_sp500 import PortfolioSP500Problem as PortfolioSP500Problem
from dfl_experiments.problems.predicted_constraints import (
    KnapsackWeightsProblem as KnapsackWeightsProblem,
)
from dfl_experiments.problems.predicted_constraints import StaffingProblem as StaffingProblem
from dfl_experiments.problems.price_knapsack import PriceKnapsackProblem as PriceKnapsackProblem
from dfl_experiments.problems.shortest_path import ShortestPathProblem as ShortestPathProblem
from dfl_experiments.problems.shuffled_energy import (
    ShuffledEnergyProblem as ShuffledEnergyProblem,
)
from dfl_experiments.problems.spanning_tree import SpanningTreeProblem as SpanningTreeProblem
from dfl_experiments.problems.spo_portfolio import SPOPortfolioProblem as SPOPortfolioProblem
from dfl_experiments.problems.spo_shortest_path import (
    SPOShortestPathProblem as SPOShortestPathProblem,
)
from dfl_experiments.problems.synthetic_grid import SyntheticGridProblem as SyntheticGridProblem
from dfl_experiments.problems.terrain import TerrainProblem as TerrainProblem
from dfl_experiments.problems.traveling_salesman import (
    TravelingSalesmanProblem as TravelingSalesmanProblem,
)

__all__ = [
    "AbstractProblem",
    "CoraMatchingProblem",
    "CubicTopKProblem",
    "EnergyProblem",
    "EntropyPortfolioProblem",
    "Fold",
    "KnapsackProblem",
    "KnapsackWeightsProblem",
    "OrdinalClassesProblem",
    "OrdinalDigitsProblem",
    "PerfectMatchingProblem",
    "PortfolioProblem",
    "PortfolioSP500Problem",
    "PriceKnapsackProblem",
    "SPOPortfolioProblem",
    "SPOShortestPathProblem",
    "ShortestPathProblem",
    "ShuffledEnergyProblem",
    "SpanningTreeProblem",
    "StaffingProblem",
    "SyntheticGridProblem",
    "Table",
    "TerrainProblem",
    "TravelingSalesmanProblem",
]
