"""Any mixed-integer linear program, by HiGHS kept hot between cost vectors."""

from __future__ import annotations

from typing import final

import numpy as np

from dfl_solvers.backends.highs import AbstractHighsOracle, HotProgram
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.program import Program


@final
class MixedIntegerProgram(AbstractHighsOracle):
    """Minimize over the integer points of a ``Program``; for your own mixed-integer model.

    Use a built-in problem where there is one: most are many times faster than a general solver.
    ``relax`` gives the linear relaxation, a cheap stand-in while training.

    Parameters
    ----------
    model : Program
        The feasible set. With ``fixed_costs`` the objective is ``c.w + fixed_costs.x``.
    time_limit : float, optional
        Seconds per instance. An instance that reaches the limit with a feasible decision has
        ``Status.FEASIBLE``; one without raises. Default: no limit.
    gap : float, default=0.0
        Relative gap at which a decision counts as optimal.

    Raises
    ------
    InvalidInputError
        If ``model`` is not a ``Program``, ``time_limit`` is not positive or ``gap`` is
        negative.

    See Also
    --------
    LinearProgram : Without integer variables.

    Notes
    -----
    Solves ``min c.(M x) + f.x`` subject to ``row_lower <= A x <= row_upper``,
    ``lower <= x <= upper`` and the marked x integer, where M is the decision map and f the fixed
    costs. Integers are rounded and the rows verified, so decisions are exactly integral.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import MixedIntegerProgram, Program
    >>> model = Program([[1.0, 1.0]], [-np.inf], [1.5], [0.0, 0.0], [1.0, 1.0], [True, True])
    >>> MixedIntegerProgram(model).solve(np.array([[-2.0, -1.0]])).decisions
    array([[1., 0.]])
    """

    def __init__(self, model: Program, time_limit: float | None = None, gap: float = 0.0) -> None:
        if not isinstance(model, Program):
            raise InvalidInputError(
                f"MixedIntegerProgram: got a model of type {type(model).__name__}, "
                "expected a Program"
            )
        self.model = model
        self.time_limit = time_limit
        self.gap = gap
        self.n_costs = model.n_costs
        self.linear_objective = not np.any(model.fixed_costs)
        self._hot = HotProgram(model, time_limit, gap)

    def relax(self) -> LinearProgram:
        """Return the oracle of the linear relaxation."""
        return LinearProgram(self.model.relax())
