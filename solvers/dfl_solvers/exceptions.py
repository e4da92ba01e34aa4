"""What the oracles raise; ``dfl.exceptions`` re-exports these names."""

from __future__ import annotations

import importlib
from types import ModuleType


class DFLError(Exception):
    """Base class of every exception this project raises on purpose."""


class InvalidInputError(DFLError, ValueError):
    """An argument has a wrong value, shape or type; the message says got and expected."""


class InfeasibleError(DFLError, ValueError):
    """The feasible set of an instance is empty."""


class UnboundedError(DFLError, ValueError):
    """The objective of an instance has no lower bound on its feasible set."""


class SolverError(DFLError, RuntimeError):
    """A solver stopped without a decision, for a reason that is neither of the two above."""


class LicenseError(SolverError):
    """A commercial solver has no license for the model; the message says what to do."""


class UnsupportedError(DFLError, ValueError):
    """Two parts do not fit together; the message names both and what is missing."""


class OracleContractError(DFLError, AssertionError):
    """An oracle breaks the contract; the message names the check and the numbers."""


class MissingDependencyError(DFLError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


def note_instance(error: Exception, row: int) -> None:
    """Note on an error that is not this project's which instance of a batch it is of.

    Parameters
    ----------
    error : Exception
        An earlier note of this kind, of a part of the batch, is replaced.
    row : int
        Place in the batch.
    """
    ending = "of the batch."
    notes = [note for note in getattr(error, "__notes__", ()) if not note.endswith(ending)]
    error.__notes__ = [*notes, f"This is instance {row} {ending}"]


def import_optional(module: str, extra: str) -> ModuleType:
    """Import an optional package, or say which extra brings it.

    Parameters
    ----------
    module : str
        Full name of the module, such as ``"matplotlib.pyplot"``.
    extra : str
        Name of the extra of this distribution that installs it.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingDependencyError
        If the package is not installed.

    Examples
    --------
    >>> import_optional("no_such_package", extra="experiments")
    Traceback (most recent call last):
        ...
    dfl_solvers.exceptions.MissingDependencyError: no_such_package is not installed; \
install it with: pip install 'dfl-opt[experiments]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != package:
            raise
        raise MissingDependencyError(
            f"{package} is not installed; install it with: pip install 'dfl-opt[{extra}]'"
        ) from error
