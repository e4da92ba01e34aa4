"""A gurobipy model as an oracle that keeps solving with Gurobi."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.imports._programs import in_sense
from dfl_solvers.imports.gurobi_build import Build, BuiltGurobiOracle
from dfl_solvers.imports.gurobi_oracle import GurobiOracle
from dfl_solvers.oracle import Oracle


def from_gurobi(
    model: Any = None,
    costs: Sequence[Any] | None = None,
    fixed: Literal["keep", "drop"] = "keep",
    *,
    callback: Callable[[Any, int], None] | None = None,
    build: Build | None = None,
    fields: tuple[str, ...] = (),
    maximize: bool = False,
) -> Oracle:
    """Make an oracle of a gurobipy model; it keeps solving with Gurobi.

    Environment, parameters, MIP starts and callback stay the user's own: the model is not copied.

    Parameters
    ----------
    model : gurobipy.Model
        Any model with one objective, which each solve leaves as it was (with ``fixed="drop"``, it
        is set to zero). Constraints may be changed later, variables not.
    costs : sequence of Var or LinExpr
        What has a predicted cost, in the order of the cost vector; an ``MVar`` or ``MLinExpr``
        counts row by row, a ``tupledict`` in its order. The decision is the value of each.
    fixed : {"keep", "drop"}, default="keep"
        With ``"keep"``, the objective that the model has now is the known part, and predictions add
        to it; only the coefficient of a variable that is itself listed in ``costs`` is replaced by
        its prediction. Variables inside a listed *expression* keep theirs. With ``"drop"``,
        the known part is zero. Quadratic terms are known.
    callback : callable, optional
        Passed to ``model.optimize``.
    build : callable, optional
        Instead of ``model`` and ``costs``: takes the data of one instance, a mapping of names to
        arrays without the leading n, and returns a new model and its costs. It is called for every
        instance, and nothing is kept.
    fields : tuple of str, default=()
        With ``build``: the names of the instance data.
    maximize : bool, default=False
        With ``build``: whether its models maximize. A given ``model`` says that itself.

    Returns
    -------
    GurobiOracle, BuiltGurobiOracle or Maximize
        A model that maximizes becomes ``Maximize(...)``: predicted are then values, and the known
        part counts as values as well.

    Raises
    ------
    InvalidInputError
        If ``costs`` is empty, or holds what is not in the model.
    UnsupportedError
        If the model has several objectives or a piecewise-linear one.
    MissingDependencyError
        If gurobipy is not installed.

    See Also
    --------
    from_file : The same model from a file, solved without a license.

    Notes
    -----
    A constant in the objective is left out: it changes no decision and no regret.

    Linear programs restart from the last basis. Models with integers start every solve from
    the user's MIP start alone, so that a decision does not depend on the instances before it; they
    are solved to the model's own ``MIPGap`` (1e-4 unless it is set).

    Gurobi prints a log of each solve unless the model has ``model.Params.OutputFlag = 0``.

    Examples
    --------
    >>> import gurobipy as gp
    >>> import numpy as np
    >>> from dfl_solvers.imports import from_gurobi
    >>> with gp.Env(params={"OutputFlag": 0}) as env, gp.Model(env=env) as model:
    ...     sell = model.addVars(2, ub=1.0)
    ...     rent = model.addVar(vtype="B")
    ...     _ = model.addConstr(sell.sum() <= 2 * rent)
    ...     model.setObjective(-3.0 * rent, gp.GRB.MAXIMIZE)
    ...     oracle = from_gurobi(model, costs=sell)
    ...     solution = oracle.solve(np.array([[1.0, 1.0], [3.0, 2.0]]))
    >>> solution.decisions
    array([[0., 0.],
           [1., 1.]])
    """
    if build is not None:
        if model is not None or costs is not None or callback is not None:
            raise InvalidInputError(
                "from_gurobi: build takes the place of model, costs and callback; give one or the "
                "other"
            )
        return in_sense(BuiltGurobiOracle(build, fields, fixed, maximize), maximize)
    if model is None or costs is None:
        raise InvalidInputError("from_gurobi: got no model or no costs, expected both, or build")
    oracle = GurobiOracle(model, costs, fixed, callback)
    return in_sense(oracle, oracle.maximizes)
