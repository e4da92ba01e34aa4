"""One gurobipy model as an oracle."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, final

import numpy as np

from dfl_solvers.backends.gurobi import OPTIMAL, gurobi, optimize
from dfl_solvers.exceptions import InvalidInputError, SolverError, UnsupportedError
from dfl_solvers.imports import _gurobi_model as gurobi_model
from dfl_solvers.imports._programs import affine_program
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Solution, Status
from dfl_solvers.program import Program


@final
class GurobiOracle(AbstractOracle):
    """Minimize over the feasible set of a gurobipy model; see ``from_gurobi``.

    Where the model maximizes, this oracle minimizes the negative: its costs are negative values.
    ``from_gurobi`` puts it into ``Maximize``.

    Parameters
    ----------
    model : gurobipy.Model
        The model, which is changed by solving.
    costs : sequence of Var or LinExpr
        What the costs multiply.
    fixed : {"keep", "drop"}, default="keep"
    callback : callable, optional
        Called by Gurobi while it solves, to add cuts, say.

    Attributes
    ----------
    n_costs : int
        Number d of predicted costs.
    maximizes : bool
        Whether the model itself maximizes.

    Raises
    ------
    InvalidInputError, UnsupportedError
        As ``from_gurobi``.

    Notes
    -----
    Solves ``min c.w + q(x)`` over the feasible x, where ``w = M x + m`` are the values of ``costs``
    and q is the known part. ``evaluate`` charges a decision w the least ``q(x)`` of all feasible x
    with that w; unless w says it all, that is another solve of the model with w fixed.

    One model solves one instance at a time: threads wait for each other. In a process that another
    one has started, as by ``Parallel``, a model whose ``Threads`` are not set has one. Copies share
    the model. A pickle takes it along as an MPS file with its parameters, without its environment
    and MIP starts; a callback cannot be pickled.
    """

    def __init__(
        self,
        model: Any,
        costs: Sequence[Any],
        fixed: Literal["keep", "drop"] = "keep",
        callback: Callable[[Any, int], None] | None = None,
    ) -> None:
        if fixed not in ("keep", "drop"):
            raise InvalidInputError(f"from_gurobi: got fixed={fixed!r}, expected 'keep' or 'drop'")
        gp = gurobi()
        if not isinstance(model, gp.Model):
            raise InvalidInputError(
                f"from_gurobi: got a model of type {type(model).__name__}, expected gurobipy.Model"
            )
        self.model = model
        self.costs = costs
        self.fixed = fixed
        self.callback = callback
        if multiprocessing.parent_process() is not None and not model.Params.Threads:
            model.Params.Threads = 1  # there are as many processes as cores to use
        model.update()
        gurobi_model.refuse_objective(model)
        predicted = gurobi_model.read_costs(model, costs)
        variables = model.getVars()
        self.n_costs: int = predicted.matrix.shape[0]
        self.maximizes: bool = model.ModelSense < 0
        self._sense = -1.0 if self.maximizes else 1.0
        self._matrix, self._offsets = predicted.matrix, predicted.offsets
        if fixed == "drop":
            model.setObjective(0.0)
            model.update()
        self._original = np.array(model.getAttr("Obj", variables))
        self._known = self._original.copy()
        self._known[predicted.replaced] = 0.0
        self._quadratic = model.getQ() if model.NumQNZs or model.IsQP else None
        if self._quadratic is not None and not self._quadratic.nnz:
            self._quadratic = None
        self._integers = np.flatnonzero(np.isin(model.getAttr("VType", variables), ["B", "I", "N"]))
        self._touched = np.unique(self._matrix.indices)
        self._columns = self._matrix[:, self._touched]
        # matrix objects: Gurobi reads and writes their attributes fastest
        together = gp.MVar.fromlist
        self._variables = together(variables)
        self._touched_variables = together([variables[j] for j in self._touched])
        self.linear_objective = not self._known.any() and self._quadratic is None
        self._lock = threading.Lock()

    def _solve(self, costs: Array, instance: Instance) -> Solution:
        name = type(self).__name__
        x = np.zeros((len(costs), len(self._known)))
        status = np.empty(len(costs), dtype=np.int8)
        known = self._known[self._touched]
        objective = known + self._sense * np.asarray(costs @ self._columns)
        with self._known_objective():
            fresh = bool(self.model.IsMIP)
            for i, row in enumerate(objective):
                self._touched_variables.Obj = row
                if fresh:
                    self.model.reset(0)
                optimize(self.model, self.callback, name)
                status[i] = self._outcome(i)
                if status[i] <= Status.FEASIBLE:
                    x[i] = self._values()
        decisions = np.asarray(x @ self._matrix.T) + self._offsets
        return Solution(decisions, np.vecdot(costs, decisions) + self._known_value(x), status)

    def _outcome(self, i: int) -> Status:
        """Return how the solve of instance i ended."""
        if self.model.Status == OPTIMAL:
            return Status.OPTIMAL
        status = gurobi_model.outcome(self.model)
        ended = gurobi_model.status_name(self.model)
        if ended == "INTERRUPTED" and self.callback is None:
            raise KeyboardInterrupt  # Gurobi has caught the user's, and goes on to the next solve
        if status == Status.FAILED:
            raise SolverError(
                f"GurobiOracle: instance {i}: Gurobi ended with status {ended} and no decision"
            )
        return status

    def _values(self) -> Array:
        """Return the values (k,) of the variables, integers exactly integral."""
        x: Array = self._variables.X
        if len(self._integers):
            x[self._integers] = np.round(x[self._integers])
        return x

    def _objective(self, costs: Array, decisions: Array, instance: Instance) -> Array:
        linear = super()._objective(costs, decisions, instance)
        if self.linear_objective:
            return linear
        return linear + self._known_value(self._complete(decisions - self._offsets))

    def _known_value(self, x: Array) -> Array:
        """Return the known part (n,) of the minimized objective at variables (n, k)."""
        value = x @ self._known
        if self._quadratic is not None:
            value = value + np.vecdot(x, np.asarray(x @ self._quadratic))
        return self._sense * value

    def _complete(self, values: Array) -> Array:
        """Return variables (n, k) of least known part whose linear expressions have given values.

        Where single variables are predicted and nothing else has a known cost, that takes no solve.
        """
        x = np.zeros((len(values), len(self._known)))
        single = np.flatnonzero(np.diff(self._matrix.indptr) == 1)
        columns = self._matrix.indices[self._matrix.indptr[single]]
        x[:, columns] = values[:, single] / self._matrix.data[self._matrix.indptr[single]]
        charged = self._known != 0
        if self._quadratic is not None:
            charged[np.unique(np.concatenate(self._quadratic.nonzero()))] = True
        if np.isin(np.flatnonzero(charged), columns).all():
            return x
        with self._known_objective():
            return self._solve_completions(values)

    def _solve_completions(self, values: Array) -> Array:
        model, name = self.model, type(self).__name__
        x = np.zeros((len(values), len(self._known)))
        rows = model.addMConstr(self._matrix, None, "=", np.zeros(self.n_costs))
        try:
            for i, row in enumerate(values):
                rows.RHS = row
                optimize(model, self.callback, name)
                if self._outcome(i) > Status.FEASIBLE:
                    raise InvalidInputError(
                        f"{name}: the decision of instance {i} is not attainable: no feasible "
                        "variables of the model give it"
                    )
                x[i] = self._values()
        finally:
            model.remove(rows)
            model.update()
        return x

    @contextlib.contextmanager
    def _known_objective(self) -> Iterator[None]:
        """Have the model to oneself, with the known part as its objective."""
        with self._lock:
            self.model.update()
            if self.model.NumVars != len(self._known):
                raise InvalidInputError(
                    f"GurobiOracle: the model has {self.model.NumVars} variables, but had "
                    f"{len(self._known)} when it was imported; import it again"
                )
            self._variables.Obj = self._known
            try:
                yield
            finally:
                self._variables.Obj = self._original

    def program(self, instance: Instance | None = None) -> Program:
        """Return the feasible set in matrix form, to be solved without a license.

        Raises
        ------
        UnsupportedError
            If the model has what a matrix form has not, such as quadratic constraints.
        """
        model = self.model
        gurobi_model.refuse_matrix_form(model, self.callback)
        variables, constraints = model.getVars(), model.getConstrs()
        senses = np.array(model.getAttr("Sense", constraints))
        right = np.array(model.getAttr("RHS", constraints), dtype=float)
        infinity = 1e100  # Gurobi's
        lower = np.array(model.getAttr("LB", variables))
        upper = np.array(model.getAttr("UB", variables))
        return affine_program(
            model.getA(),
            np.where(senses == "<", -np.inf, right),
            np.where(senses == ">", np.inf, right),
            np.where(lower <= -infinity, -np.inf, lower),
            np.where(upper >= infinity, np.inf, upper),
            np.isin(model.getAttr("VType", variables), ["B", "I"]),
            self._sense * self._known,
            self._matrix,
            self._offsets,
        )

    def __copy__(self) -> GurobiOracle:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> GurobiOracle:
        return self  # a copied estimator keeps the user's model, environment and callback

    def __reduce__(self) -> tuple[Any, ...]:
        if self.callback is not None:
            raise UnsupportedError(
                "GurobiOracle: a callback holds variables of its model and cannot be pickled; use "
                "from_gurobi(build=...) with a function of a module"
            )
        with self._known_objective():
            self.model.update()
            stored = gurobi_model.store(self.model)
        return _restore, (stored, self._matrix, self._offsets)


def _restore(stored: tuple[bytes, bytes], matrix: Any, offsets: Array) -> GurobiOracle:
    """Return an oracle from its pickle; every cost is an expression, which keeps what is known."""
    model = gurobi_model.restore(stored)
    variables = np.array(model.getVars(), dtype=object)
    expression = gurobi().LinExpr
    costs = []
    for row, offset in zip(matrix, offsets, strict=True):
        cost = expression(row.data.tolist(), variables[row.indices].tolist())
        cost.addConstant(float(offset))
        costs.append(cost)
    return GurobiOracle(model, costs)
