"""Every exception this project raises on purpose."""

from __future__ import annotations

from dfl_solvers.exceptions import DFLError as DFLError
from dfl_solvers.exceptions import InfeasibleError as InfeasibleError
from dfl_solvers.exceptions import InvalidInputError as InvalidInputError
from dfl_solvers.exceptions import LicenseError as LicenseError
from dfl_solvers.exceptions import MissingDependencyError as MissingDependencyError
from dfl_solvers.exceptions import OracleContractError as OracleContractError
from dfl_solvers.exceptions import SolverError as SolverError
from dfl_solvers.exceptions import UnboundedError as UnboundedError
from dfl_solvers.exceptions import UnsupportedError as UnsupportedError


class TrainingError(DFLError, RuntimeError):
    """Training cannot go on: it diverged, or a checkpoint does not belong to it."""


class BudgetError(DFLError, RuntimeError):
    """A call would exceed a limit of a budget; it was not made."""


__all__ = [
    "BudgetError",
    "DFLError",
    "InfeasibleError",
    "InvalidInputError",
    "LicenseError",
    "MissingDependencyError",
    "OracleContractError",
    "SolverError",
    "TrainingError",
    "UnboundedError",
    "UnsupportedError",
]
