"""A PyEPO model as an oracle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, final

# loaded before PyEPO, which loads ortools: HiGHS cannot be loaded after that
import highspy  # noqa: F401
import numpy as np
import scipy.sparse as sp

from dfl_solvers.backends.highs import HotProgram
from dfl_solvers.exceptions import InvalidInputError, SolverError, UnsupportedError, import_optional
from dfl_solvers.imports._programs import general_oracle, in_sense
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Oracle, Solution, Status
from dfl_solvers.program import Program


def from_pyepo(optmodel: Any, native: bool = True) -> Oracle:
    """Make an oracle of a PyEPO model.

    Parameters
    ----------
    optmodel : pyepo.model.opt.optModel
        Any model with a linear objective, of any back-end, a class of the user's own included.
    native : bool, default=True
        Recognize PyEPO's own shortest path, knapsack, portfolio and traveling salesman models, and
        the linear models written in its modeling language, and solve them with the oracles of this
        package, which are the same problems with the same order of costs and far faster. False:
        the model's own ``setObj`` and ``solve``, row by row.

    Returns
    -------
    Oracle
        A model that maximizes becomes ``Maximize(...)``.

    Raises
    ------
    InvalidInputError
        If ``optmodel`` is no PyEPO model.
    UnsupportedError
        If the objective has quadratic terms.
    MissingDependencyError
        If PyEPO is not installed.

    See Also
    --------
    to_pyepo : The way back.

    Notes
    -----
    A model with a part of the costs predicted has the predicted coordinates as its decision; the
    others with their known costs are the known part of the objective. A constant in the objective
    is left out: it changes no decision and no regret.

    References
    ----------
    B. Tang, E. B. Khalil. PyEPO: a PyTorch-based end-to-end predict-then-optimize library.
    Mathematical Programming Computation 16 (2024). doi:10.1007/s12532-024-00255-x

    Examples
    --------
    >>> from dfl_solvers.imports import from_pyepo
    >>> from pyepo.model.grb import shortestPathModel  # doctest: +SKIP
    >>> from_pyepo(shortestPathModel((5, 5)))  # doctest: +SKIP
    GridShortestPath(rows=5, cols=5)
    """
    oracle = PyepoOracle(optmodel)
    own = _native(optmodel) if native else None
    return in_sense(oracle if own is None else own, oracle.maximizes)


@final
class PyepoOracle(AbstractOracle):
    """Minimize with the ``setObj`` and ``solve`` of a PyEPO model; see ``from_pyepo``.

    Where the model maximizes, this oracle minimizes the negative: its costs are negative values.
    ``from_pyepo`` puts it into ``Maximize``.

    Parameters
    ----------
    optmodel : pyepo.model.opt.optModel
        The model, which is changed by solving.

    Attributes
    ----------
    n_costs : int
        ``optmodel.num_cost``.
    maximizes : bool
        Whether the model itself maximizes.

    Raises
    ------
    InvalidInputError, UnsupportedError
        As ``from_pyepo``.

    Notes
    -----
    One model solves one instance at a time: threads wait for each other. A pickle holds PyEPO's own
    recipe to build the model again (``to_spec``), and the constraints added since.
    """

    def __init__(self, optmodel: Any) -> None:
        opt = import_optional("pyepo.model.opt", "pyepo")
        pyepo = import_optional("pyepo", "pyepo")
        if not isinstance(optmodel, opt.optModel):
            raise InvalidInputError(
                f"from_pyepo: got a model of type {type(optmodel).__name__}, expected a PyEPO "
                "optModel"
            )
        self.optmodel = optmodel
        self.n_costs = int(optmodel.num_cost)
        self.maximizes = optmodel.modelSense == pyepo.EPO.MAXIMIZE
        self._sense = -1.0 if self.maximizes else 1.0
        self._problem = getattr(optmodel, "problem", None)  # of PyEPO's modeling language
        self._chosen = optmodel.c_pred_index
        self._lock = threading.Lock()
        if self._problem is None:
            return
        if self._problem.obj_Q is not None:
            raise UnsupportedError(
                "from_pyepo: the objective has quadratic terms, which PyEPO cannot train on and "
                "this oracle cannot evaluate; use from_cvxpy or from_gurobi"
            )
        self.linear_objective = not np.any(self._problem.fixed_cost)

    def _solve(self, costs: Array, instance: Instance) -> Solution:
        model = self.optmodel
        decisions = np.empty_like(costs)
        objectives = np.empty(len(costs))
        for i, row in enumerate(self._sense * costs):
            with self._lock:
                model._setFullObj(model._fullCost(row))
                try:
                    x, _ = model.solve()
                except RuntimeError as error:
                    raise SolverError(
                        f"PyepoOracle: instance {i}: {type(model).__name__} has no solution: "
                        f"{error}"
                    ) from error
            x = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x, dtype=float)
            known = 0.0
            if self._problem is not None:
                known = self._sense * float(x @ self._problem.fixed_cost)
            decision = x if self._chosen is None else x[self._chosen]
            if decision.shape != row.shape:
                raise InvalidInputError(
                    f"PyepoOracle: instance {i}: {type(model).__name__}.solve returned a decision "
                    f"of shape {decision.shape}, expected {row.shape}"
                )
            decisions[i] = decision
            objectives[i] = costs[i] @ decision + known
        return Solution(decisions, objectives, np.full(len(costs), Status.OPTIMAL, dtype=np.int8))

    def _objective(self, costs: Array, decisions: Array, instance: Instance) -> Array:
        linear = super()._objective(costs, decisions, instance)
        if self.linear_objective:
            return linear
        return linear + HotProgram(self.program()).fixed_part(decisions, type(self).__name__)

    def program(self, instance: Instance | None = None) -> Program:
        """Return the matrix form of a model written in PyEPO's modeling language.

        Raises
        ------
        UnsupportedError
            If the model is written otherwise, or has quadratic constraints.
        """
        if self._problem is None:
            raise UnsupportedError(
                f"PyepoOracle.program: {type(self.optmodel).__name__} does not tell its "
                "constraints; a model in PyEPO's modeling language does"
            )
        if any(Q is not None for Q, *_ in self._problem.constrs):
            raise UnsupportedError(
                "PyepoOracle.program: a matrix form is linear, but the model has quadratic "
                "constraints"
            )
        return _program(self._problem, self.optmodel._extra_constrs, self._sense)

    def __deepcopy__(self, memo: dict[int, Any]) -> PyepoOracle:
        return self  # a model holds a solver's objects, and each solve sets all that it needs

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.optmodel.to_spec(), self.optmodel._extra_constrs)


def _rebuild(spec: Any, extra: list[tuple[Array, float]]) -> PyepoOracle:
    model = spec.build()
    for coefficients, right in extra:
        model = model.addConstr(coefficients, right)
    return PyepoOracle(model)


def _program(problem: Any, extra: list[tuple[Array, float]], sense: float) -> Program:
    """Return the matrix form of a linear problem of PyEPO's modeling language."""
    EPO = import_optional("pyepo.EPO", "pyepo")
    matrices = [sp.csr_array((0, problem.num_vars))]
    lower, upper = [np.zeros(0)], [np.zeros(0)]
    for _, A, comparison, b in problem.constrs:
        b = np.asarray(b, dtype=float).ravel()
        matrices.append(sp.csr_array(A))
        lower.append(np.full(len(b), -np.inf) if comparison == "<=" else b)
        upper.append(np.full(len(b), np.inf) if comparison == ">=" else b)
    for coefficients, right in extra:
        matrices.append(sp.csr_array(np.asarray(coefficients, dtype=float)[None]))
        lower.append(np.array([-np.inf]))
        upper.append(np.array([float(right)]))
    chosen = np.asarray(problem.c_pred_index)
    d = len(chosen)
    return Program(
        sp.vstack(matrices),
        np.concatenate(lower),
        np.concatenate(upper),
        problem.var_lb,
        problem.var_ub,
        [kind != EPO.CONTINUOUS for kind in problem.var_type],
        sense * np.asarray(problem.fixed_cost),
        sp.csr_array((np.ones(d), (np.arange(d), chosen)), shape=(d, problem.num_vars)),
    )


def _native(optmodel: Any) -> Oracle | None:
    """Return the oracle of this package for a model that is one of PyEPO's own, minimizing."""
    kind = type(optmodel)
    if not kind.__module__.startswith("pyepo."):
        return None  # a class of the user's own may do anything
    if getattr(optmodel, "problem", None) is not None:
        try:
            return general_oracle(PyepoOracle(optmodel).program())
        except UnsupportedError:
            return None
    if optmodel._extra_constrs or kind.__name__ not in _NATIVE:
        return None
    return _NATIVE[kind.__name__](optmodel)


# each imports what it needs: the compiled problems take a while
def _grid(optmodel: Any) -> Oracle:
    from dfl_solvers.problems.shortest_path import GridShortestPath

    return GridShortestPath(*optmodel.grid)


def _knapsack(optmodel: Any) -> Oracle:
    from dfl_solvers.problems.knapsack import Knapsack

    return Knapsack(optmodel.weights, optmodel.capacity)


def _relaxed_knapsack(optmodel: Any) -> Oracle:
    from dfl_solvers.problems.knapsack import Knapsack

    return general_oracle(Knapsack(optmodel.weights, optmodel.capacity).program().relax())


def _portfolio(optmodel: Any) -> Oracle:
    from dfl_solvers.problems.portfolio import Portfolio

    return Portfolio(optmodel.covariance, float(optmodel.risk_level))


def _tour(optmodel: Any) -> Oracle:
    from dfl_solvers.problems.traveling_salesman import TravelingSalesman

    return TravelingSalesman(optmodel.num_nodes)


_NATIVE: dict[str, Callable[[Any], Oracle]] = {
    "knapsackModel": _knapsack,
    "knapsackModelRel": _relaxed_knapsack,
    "portfolioModel": _portfolio,
    "shortestPathModel": _grid,
    "tspDFJModel": _tour,
    "tspGGModel": _tour,
    "tspMTZModel": _tour,
}
