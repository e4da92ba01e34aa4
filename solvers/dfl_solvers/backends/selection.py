"""Back-ends by name."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dfl_solvers.backends.hot_program import MODELS, HotProgram
from dfl_solvers.backends.model import Backend
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.program import Program

BackendName = Literal["highs", "simplex", "clarabel", "gurobi", "ortools"]
_CONTINUOUS = {"simplex", "clarabel"}


def make_backend(
    program: Program,
    backend: str,
    time_limit: float | None,
    gap: float,
    name: str,
    own: tuple[str, ...] = (),
) -> Backend:
    """Return what solves a program by the back-end of that name.

    Parameters
    ----------
    program : Program
    backend : {"highs", "simplex", "clarabel", "gurobi", "ortools"}
    time_limit : float or None
        Seconds per instance.
    gap : float
        Relative gap at which a mixed-integer solve may stop.
    name : str
        Who asks, for messages.
    own : tuple of str, default=()
        What else that one would have taken.

    Raises
    ------
    InvalidInputError
        If there is no such back-end, or it does not take such a program.
    """
    if backend not in MODELS and backend != "simplex":
        known = ", ".join(map(repr, [*own, "simplex", *MODELS]))
        raise InvalidInputError(f"{name}: got backend {backend!r}, expected one of {known}")
    integers = np.flatnonzero(np.asarray(program.integrality))
    if len(integers) and backend in _CONTINUOUS:
        raise InvalidInputError(
            f"{name}: variable {integers[0]} is an integer, but backend {backend!r} takes "
            "continuous variables only; use 'highs', 'gurobi' or 'ortools', or relax the program"
        )
    if backend != "simplex":
        return HotProgram(program, time_limit, gap, backend)
    if time_limit is not None:
        raise InvalidInputError(f"{name}: backend 'simplex' has no time_limit; use 'highs'")
    # imported here, since its compiled code takes a while to load
    from dfl_solvers.backends.simplex import SimplexProgram

    return SimplexProgram(program)
