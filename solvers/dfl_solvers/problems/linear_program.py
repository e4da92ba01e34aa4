"""Any linear program, by HiGHS kept hot between cost vectors."""

from __future__ import annotations

from typing import final

import numpy as np

from dfl_solvers.backends.highs import AbstractHighsOracle, HotProgram
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.program import Program


@final
class LinearProgram(AbstractHighsOracle):
    """Minimize over the polyhedron of a ``Program``; for your own linear model.

    The model goes to the solver once; each instance changes the costs only and restarts from the
    last basis. Decisions are vertices of the feasible set (mapped by ``decision_map``).

    Parameters
    ----------
    model : Program
        The feasible set, without integer variables. With ``fixed_costs`` the objective is
        ``c.w + fixed_costs.x``.

    Raises
    ------
    InvalidInputError
        If ``model`` is not a ``Program`` or has integer variables.

    See Also
    --------
    MixedIntegerProgram : The same with integer variables.

    Notes
    -----
    Solves ``min c.(M x) + f.x`` subject to ``row_lower <= A x <= row_upper`` and
    ``lower <= x <= upper``, where M is the decision map and f the fixed costs. ``evaluate`` charges
    a decision w the least ``f.x`` of all feasible x with ``M x = w``.

    References
    ----------
    Q. Huangfu, J. A. J. Hall. Parallelizing the dual revised simplex method. Mathematical
    Programming Computation 10 (2018). doi:10.1007/s12532-017-0130-5

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import LinearProgram, Program
    >>> model = Program([[1.0, 1.0]], [-np.inf], [1.5], [0.0, 0.0], [1.0, 1.0])
    >>> LinearProgram(model).solve(np.array([[-2.0, -1.0]])).decisions
    array([[1. , 0.5]])
    """

    def __init__(self, model: Program) -> None:
        if not isinstance(model, Program):
            raise InvalidInputError(
                f"LinearProgram: got a model of type {type(model).__name__}, expected a Program"
            )
        integers = np.flatnonzero(np.asarray(model.integrality))
        if len(integers):
            raise InvalidInputError(
                f"LinearProgram: variable {integers[0]} is an integer; use MixedIntegerProgram, "
                "or model.relax() for the linear relaxation"
            )
        self.model = model
        self.n_costs = model.n_costs
        self.linear_objective = not np.any(model.fixed_costs)
        self._hot = HotProgram(model)
