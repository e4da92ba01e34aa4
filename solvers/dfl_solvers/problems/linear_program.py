"""Any linear program: small ones by a compiled simplex method, others by HiGHS kept hot."""

from __future__ import annotations

from typing import Literal, final

import numpy as np

from dfl_solvers.backends.model import Bounds
from dfl_solvers.backends.program_oracle import AbstractProgramOracle
from dfl_solvers.backends.selection import BackendName, make_backend
from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.program import Program

# rows times variables up to which a dense dictionary beats HiGHS, sparse programs included
_DENSE = 200_000


@final
class LinearProgram(AbstractProgramOracle):
    """Minimize over the polyhedron of a ``Program``; for your own linear model.

    The model goes to the solver once; each instance changes the costs only and starts from an
    optimal or a feasible basis. Decisions are vertices of the feasible set (mapped by
    ``decision_map``).

    Parameters
    ----------
    model : Program
        The feasible set, without integer variables. With ``fixed_costs`` the objective is
        ``c.w + fixed_costs.x``.
    backend : {"auto", "simplex", "highs", "clarabel", "gurobi", "ortools"}, default="auto"
        A compiled simplex method on a dense dictionary, over several threads for large batches, or
        a general solver in the calling thread: HiGHS, Clarabel (an interior point method, whose
        decisions need not be vertices), Gurobi or OR-Tools. Default: ``"simplex"`` for up to
        200,000 rows times variables, else ``"highs"``.

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
        If ``model`` is not a ``Program`` or has integer variables, or ``backend`` is unknown.

    See Also
    --------
    MixedIntegerProgram : The same with integer variables.
    WithBackend : Solves any oracle with a matrix form by one of these back-ends.

    Notes
    -----
    Solves ``min c.(M x) + f.x`` subject to ``row_lower <= A x <= row_upper`` and
    ``lower <= x <= upper``, where M is the decision map and f the fixed costs. ``evaluate`` charges
    a decision w the least ``f.x`` of all feasible x with ``M x = w``.

    Costs do not change the feasible set, so the compiled method needs a feasible vertex once. It
    eliminates equations and free variables there, then takes steepest edges. A step costs O(m k)
    for m rows and k variables; on 30 rows and 50 variables a solve takes a few dozen steps. Every
    answer is proved by its reduced costs, to a tolerance of 1e-9; HiGHS solves what is not, and is
    better for large, sparse programs. Where bounds differ by instance, HiGHS serves in its place:
    its dual simplex method starts from the optimum of the instance before.

    References
    ----------
    D. Goldfarb, J. K. Reid. A practicable steepest-edge simplex algorithm. Mathematical Programming
    12 (1977). doi:10.1007/BF01593804

    Q. Huangfu, J. A. J. Hall. Parallelizing the dual revised simplex method. Mathematical
    Programming Computation 10 (2018). doi:10.1007/s12532-017-0130-5

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import LinearProgram, Program
    >>> model = Program([[1.0, 1.0]], [-np.inf], [1.5], [0.0, 0.0], [1.0, 1.0])
    >>> LinearProgram(model).solve(np.array([[-2.0, -1.0]])).decisions
    array([[1. , 0.5]])

    Two days with the same costs, and less to share on the second:

    >>> costs = np.array([[-2.0, -1.0], [-2.0, -1.0]])
    >>> capacity = {"row_upper": np.array([[1.5], [0.5]])}
    >>> LinearProgram(model).solve(costs, capacity).decisions
    array([[1. , 0.5],
           [0.5, 0. ]])
    """

    instance_fields = frozenset(Bounds._fields)

    def __init__(self, model: Program, backend: Literal["auto"] | BackendName = "auto") -> None:
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
        chosen: str = backend
        if backend == "auto":
            m, k = model.A.shape
            chosen = "simplex" if m * k <= _DENSE else "highs"
        self.model = model
        self.backend = backend
        self.n_costs = model.n_costs
        self.linear_objective = not np.any(model.fixed_costs)
        self._hot = make_backend(model, chosen, None, 0.0, "LinearProgram", ("auto",))
