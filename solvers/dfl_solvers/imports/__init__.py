"""The model a user already has becomes an oracle, and an oracle becomes a PyEPO model."""

from dfl_solvers.imports.cvxpy import CvxpyOracle as CvxpyOracle
from dfl_solvers.imports.cvxpy import from_cvxpy as from_cvxpy
from dfl_solvers.imports.gurobi import from_gurobi as from_gurobi
from dfl_solvers.imports.gurobi_build import BuiltGurobiOracle as BuiltGurobiOracle
from dfl_solvers.imports.gurobi_oracle import GurobiOracle as GurobiOracle
from dfl_solvers.imports.model_file import from_file as from_file
from dfl_solvers.imports.pyepo import PyepoOracle as PyepoOracle
from dfl_solvers.imports.pyepo import from_pyepo as from_pyepo
from dfl_solvers.imports.pyepo_model import to_pyepo as to_pyepo

__all__ = [
    "BuiltGurobiOracle",
    "CvxpyOracle",
    "GurobiOracle",
    "PyepoOracle",
    "from_cvxpy",
    "from_file",
    "from_gurobi",
    "from_pyepo",
    "to_pyepo",
]
