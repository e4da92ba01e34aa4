"""Any mixed-integer linear program, by a general solver kept hot between cost vectors."""

from __future__ import annotations

from typing import Literal, final

import numpy as np

from dfl_solvers.backends.model import Bounds
from dfl_solvers.backends.program_oracle import AbstractProgramOracle
from dfl_solvers.backends.selection import make_backend
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.problems.linear_program import LinearProgram
from dfl_solvers.program import Program


@final
class MixedIntegerProgram(AbstractProgramOracle):
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
    backend : {"highs", "gurobi", "ortools"}, default="highs"
        The solver; Gurobi needs a license above 2000 variables or rows.

    Attributes
    ----------
    n_costs : int
        Number d of decision coordinates.
    instance_fields : frozenset of str
        ``row_lower`` and ``row_upper`` (n, m), ``lower`` and ``upper`` (n, k): bounds that differ
        by instance, infinite where there is none; those that are not given are the model's.

    Raises
    ------
    InvalidInputError
        If ``model`` is not a ``Program``, ``time_limit`` is not positive, ``gap`` is negative or
        ``backend`` is unknown or takes no integers.

    See Also
    --------
    LinearProgram : Without integer variables.
    WithBackend : Solves any oracle with a matrix form by one of these back-ends.

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

    instance_fields = frozenset(Bounds._fields)

    def __init__(
        self,
        model: Program,
        time_limit: float | None = None,
        gap: float = 0.0,
        backend: Literal["highs", "gurobi", "ortools"] = "highs",
    ) -> None:
        if not isinstance(model, Program):
            raise InvalidInputError(
                f"MixedIntegerProgram: got a model of type {type(model).__name__}, "
                "expected a Program"
            )
        self.model = model
        self.time_limit = time_limit
        self.gap = gap
        self.backend = backend
        self.n_costs = model.n_costs
        self.linear_objective = not np.any(model.fixed_costs)
        self._hot = make_backend(model, backend, time_limit, gap, "MixedIntegerProgram")

    def relax(self) -> LinearProgram:
        """Return the oracle of the linear relaxation."""
        return LinearProgram(
            self.model.relax(), "auto" if self.backend == "highs" else self.backend
        )
