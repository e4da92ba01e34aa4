"""The problems a run can be about, one file each."""

from dfl_experiments.problems.base import AbstractProblem as AbstractProblem
from dfl_experiments.problems.base import Fold as Fold
from dfl_experiments.problems.base import Table as Table
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
from dfl_experiments.problems.shortest_path import ShortestPathProblem as ShortestPathProblem
from dfl_experiments.problems.spanning_tree import SpanningTreeProblem as SpanningTreeProblem
from dfl_experiments.problems.synthetic_grid import SyntheticGridProblem as SyntheticGridProblem

__all__ = [
    "AbstractProblem",
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
    "ShortestPathProblem",
    "SpanningTreeProblem",
    "StaffingProblem",
    "SyntheticGridProblem",
    "Table",
]
