"""Tasks to models, with capacities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dfl_solvers import LinearProgram


def allocation(n_tasks: int, capacities: Sequence[int]) -> LinearProgram:
    """Return the oracle that gives each task one model, each model at most its capacity.

    Costs (n, n_tasks * n_models) are in the order of tasks, then models. All vertices of this
    transportation polytope are integer, so a linear program decides.
    """
    import numpy as np
    import scipy.sparse as sp

    from dfl_solvers import LinearProgram, Program

    k = len(capacities)
    rows = sp.vstack(
        [
            sp.kron(sp.eye_array(n_tasks), np.ones((1, k))),
            sp.kron(np.ones((1, n_tasks)), sp.eye_array(k)),
        ]
    )
    lower = np.r_[np.ones(n_tasks), np.full(k, -np.inf)]
    upper = np.r_[np.ones(n_tasks), np.asarray(capacities, dtype=float)]
    return LinearProgram(Program(rows, lower, upper, np.zeros(n_tasks * k), np.ones(n_tasks * k)))
