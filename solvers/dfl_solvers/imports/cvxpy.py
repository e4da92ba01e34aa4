"""A parametrized CVXPY problem as an oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

import numpy as np

from dfl_solvers.backends.batches import join, share_models

# loaded before CVXPY, which loads ortools: it loads HiGHS, which cannot be loaded after that
from dfl_solvers.backends.hot_program import HotProgram
from dfl_solvers.exceptions import (
    InvalidInputError,
    SolverError,
    UnsupportedError,
    import_optional,
)
from dfl_solvers.imports._cone_adjoint import differentiable, pull_back
from dfl_solvers.imports._cone_form import ConeForm
from dfl_solvers.imports._cone_solver import ConeSolver, known_value
from dfl_solvers.imports._programs import general_oracle, in_sense
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Oracle, Solution, Status
from dfl_solvers.program import Program


def from_cvxpy(problem: Any, predicted: Mapping[str, Any], costs: str | None = None) -> Oracle:
    """Make an oracle of a CVXPY problem with parameters.

    The problem is canonicalized once. Each instance then sets numbers in its matrices and goes to
    HiGHS where it is linear (integers included), to Clarabel where it is not.

    Parameters
    ----------
    problem : cvxpy.Problem
        A convex problem that follows CVXPY's rules for parameters (DPP).
    predicted : mapping of str to cvxpy.Parameter
        The parameters whose values vary: the costs, which multiply affine expressions of the
        variables in the objective, and any others, which become instance data under their names:
        ``oracle.solve(costs, {"b": array of shape (n, ...)})``; the value at the import serves
        where none is given. Parameters that are not named keep the value they have at the import.
    costs : str, optional
        Which of ``predicted`` are the costs. Default: the only one that is linear
        in the objective.

    Returns
    -------
    LinearProgram, MixedIntegerProgram, CvxpyOracle or Maximize
        A decision holds the values of the expressions that the costs multiply, entry by entry; a
        matrix of costs counts row by row. A problem that maximizes becomes ``Maximize(...)``:
        predicted are then values, and the known part of the objective counts as values as well.

    Raises
    ------
    InvalidInputError
        If ``predicted`` does not name parameters of the problem, or which are the costs is open.
    UnsupportedError
        If the problem is not DCP or not DPP, if the costs enter it in another way than linearly in
        the objective, or if it has both integers and cones.
    MissingDependencyError
        If CVXPY is not installed.

    Notes
    -----
    The objective is ``costs.decision`` plus a known part: whatever else the objective has, linear
    or not. Constants are left out: they change no decision and no regret.

    References
    ----------
    A. Agrawal, B. Amos, S. Barratt, S. Boyd, S. Diamond, J. Z. Kolter. Differentiable convex
    optimization layers (2019). arXiv:1910.12430

    Examples
    --------
    >>> import cvxpy as cp
    >>> import numpy as np
    >>> from dfl_solvers.imports import from_cvxpy
    >>> x, c, b = cp.Variable(2), cp.Parameter(2), cp.Parameter()
    >>> problem = cp.Problem(cp.Minimize(c @ x + cp.sum_squares(x)), [cp.sum(x) == b])
    >>> oracle = from_cvxpy(problem, predicted={"c": c, "b": b})
    >>> costs = np.array([[0.0, 0.0], [0.0, 2.0]])
    >>> oracle.solve(costs, {"b": np.array([1.0, 4.0])}).decisions.round(6)
    array([[0.5, 0.5],
           [2.5, 1.5]])
    """
    oracle = CvxpyOracle(problem, predicted, costs)
    if oracle.form.linear and not oracle.instance_fields:
        return in_sense(general_oracle(oracle.form.program({}, None)), oracle.maximizes)
    return in_sense(oracle, oracle.maximizes)


def _check_predicted(
    cp: Any, problem: Any, predicted: Mapping[str, Any], costs: str | None
) -> None:
    """Refuse what are no parameters of the problem."""
    if not isinstance(problem, cp.Problem):
        raise InvalidInputError(
            f"from_cvxpy: got a problem of type {type(problem).__name__}, expected cvxpy.Problem"
        )
    if not isinstance(predicted, Mapping):
        raise InvalidInputError(
            f"from_cvxpy: got predicted of type {type(predicted).__name__}, expected a mapping of "
            "names to parameters, as in predicted={'c': c}"
        )
    known = {p.id for p in problem.parameters()}
    for name, parameter in predicted.items():
        if not isinstance(parameter, cp.Parameter):
            raise InvalidInputError(
                f"from_cvxpy: got predicted[{name!r}] of type {type(parameter).__name__}, "
                "expected cvxpy.Parameter"
            )
        if parameter.id not in known:
            raise InvalidInputError(f"from_cvxpy: predicted[{name!r}] is not in the problem")
    if costs is not None and costs not in predicted:
        raise InvalidInputError(
            f"from_cvxpy: got costs={costs!r}, expected one of {', '.join(predicted)}"
        )


@final
class CvxpyOracle(AbstractOracle):
    """Minimize a CVXPY problem over costs and other parameters; see ``from_cvxpy``.

    Where the problem maximizes, this oracle minimizes the negative: its costs are negative values.
    ``from_cvxpy`` puts it into ``Maximize``.

    Parameters
    ----------
    problem : cvxpy.Problem
        With parameters in place of the costs.
    predicted : mapping of str to cvxpy.Parameter
        The parameters that hold the costs.
    costs : str, optional
        Which of ``predicted`` are the costs; the others are instance data. Default: the only one
        that is linear in the objective.

    Attributes
    ----------
    n_costs : int
        Number d of costs.
    maximizes : bool
        Whether the problem itself maximizes.

    Raises
    ------
    InvalidInputError, UnsupportedError
        As ``from_cvxpy``.

    Notes
    -----
    Cone programs are solved to 1e-9 (feasibility and gap, relative and absolute); ``FEASIBLE``
    stands for one that stopped a little short of that. ``evaluate`` charges a decision the least
    known part of all feasible points with that decision; unless the decision says it all, that is
    another solve.
    """

    def __init__(
        self, problem: Any, predicted: Mapping[str, Any], costs: str | None = None
    ) -> None:
        _check_predicted(import_optional("cvxpy", "cvxpy"), problem, predicted, costs)
        self.problem = problem
        self.predicted = dict(predicted)
        self.form = ConeForm(problem, predicted, costs)
        self.costs = self.form.costs
        self.n_costs = self.form.n_costs
        self.maximizes = self.form.maximizes
        self.instance_fields = frozenset(predicted) - {self.costs}  # type: ignore[misc]
        self.linear_objective = not self.form.fixed_part()
        self._hot: HotProgram | None = None  # what solved the last linear program

    def __deepcopy__(self, memo: dict[int, Any]) -> CvxpyOracle:
        return self  # nothing in it changes

    def program(self, instance: Instance | None = None) -> Program:
        """Return the linear program of one instance in matrix form.

        Raises
        ------
        UnsupportedError
            If the problem is not linear.
        """
        if not self.form.linear:
            raise UnsupportedError(
                "CvxpyOracle.program: a matrix form is linear, but this problem has a quadratic "
                "objective or cones"
            )
        return self.form.program(instance or {}, None)

    @property
    def vector_jacobian_product(self) -> Callable[..., Array]:
        """Gradient of ``vectors . w*(costs)`` in the costs: ``(costs, vectors, instance=None)``.

        The KKT equations of the constraints that are tight at the optimum are differentiated, each
        instance on its own. Where a constraint is tight with multiplier zero, there is a kink and
        the gradient is that of a smooth piece that meets there.

        Raises
        ------
        AttributeError
            If decisions jump, as those of linear programs do, or a cone is neither linear nor of
            second order.
        """
        if self.form.linear or not differentiable(self.form.dims):
            raise AttributeError("CvxpyOracle: the decisions have no derivative that is known")
        return self._pull_back

    def _pull_back(self, costs: Array, vectors: Array, instance: Instance | None = None) -> Array:
        costs = self._check_costs(costs).astype(float, copy=False)
        found = np.empty(costs.shape)
        for i in range(len(costs)):
            shared = not instance
            if i == 0 or not shared:
                data = self.form.data(instance or {}, None if shared else i)
                solver = ConeSolver(self.form, data)
            scale = self._scales(costs[i : i + 1])
            objective = data.f + np.asarray((costs[i : i + 1] / scale) @ self.form.decision_map)
            x, status, multipliers = solver.solve_both(objective)
            if status[0] > Status.FEASIBLE:
                raise SolverError(
                    f"CvxpyOracle.vector_jacobian_product: instance {i} has no optimum: "
                    f"{Status(status[0]).message}"
                )
            parts = x[0], multipliers[0], vectors[i]
            found[i] = pull_back(data, self.form.dims, self.form.decision_map, *parts) / scale[0]
        return found

    def _scales(self, costs: Array) -> Array:
        """Sizes (n, 1) of costs, by which solves divide them: one where a known part fixes it."""
        scale = np.abs(costs).max(axis=1, keepdims=True)
        return np.where((scale > 0) & self.linear_objective, scale, 1.0)

    def _solve(self, costs: Array, instance: Instance) -> Solution:
        if self.form.linear:
            runs = self._runs(len(costs), instance)
            return join([hot.solve(costs[rows], changes) for rows, hot, changes in runs])
        if not instance:
            return self._solve_group(costs, {}, None)
        return join([self._solve_group(costs[i : i + 1], instance, i) for i in range(len(costs))])

    def _runs(self, n: int, instance: Instance) -> Iterator[tuple[slice, HotProgram, Instance]]:
        """Yield rows of a batch whose linear programs differ in numbers that one model changes."""
        if not instance:
            yield slice(0, n), HotProgram(self.form.program({}, None)), {}
            return
        programs = (self.form.program(instance, i) for i in range(n))
        for rows, hot, changes in share_models(programs, HotProgram, self._hot):
            self._hot = hot
            yield rows, hot, changes

    def _solve_group(self, costs: Array, instance: Instance, i: int | None) -> Solution:
        """Solve costs that share the data of instance i, or the default data."""
        form = self.form
        data = form.data(instance, i)
        solver = ConeSolver(form, data)
        scale = self._scales(costs)  # tolerances are absolute as well
        objective = data.f + np.asarray((costs / scale) @ form.decision_map)
        x, status = solver.solve(objective)
        decisions = np.asarray(x @ form.decision_map.T) + form.offsets
        return Solution(decisions, np.vecdot(costs, decisions) + known_value(data, x), status)

    def _objective(self, costs: Array, decisions: Array, instance: Instance) -> Array:
        linear = super()._objective(costs, decisions, instance)
        if self.linear_objective:
            return linear
        if self.form.linear:
            alone = [
                hot.fixed_part(decisions[rows], type(self).__name__, changes, rows.start)
                for rows, hot, changes in self._runs(len(costs), instance)
            ]
            return linear + np.concatenate(alone)
        if not instance:
            return linear + self._known_part(decisions, {}, None)
        alone = [self._known_part(decisions[i : i + 1], instance, i) for i in range(len(decisions))]
        return linear + np.concatenate(alone)

    def _known_part(self, decisions: Array, instance: Instance, i: int | None) -> Array:
        """Return the least known part (n,) over the feasible points with given decisions."""
        form, name = self.form, type(self).__name__
        data, values = form.data(instance, i), decisions - form.offsets
        M = form.decision_map
        single = np.flatnonzero(np.diff(M.indptr) == 1)
        columns = M.indices[M.indptr[single]]
        charged = np.union1d(np.flatnonzero(data.f), np.concatenate(data.P.nonzero()))
        if np.isin(charged, columns).all():
            x = np.zeros((len(values), M.shape[1]))
            x[:, columns] = values[:, single] / M.data[M.indptr[single]]
            return known_value(data, x)
        x, status = ConeSolver(form, data, M).complete(values)
        failed = np.flatnonzero(status > Status.FEASIBLE)
        if len(failed):
            first = failed[0] if i is None else i
            raise InvalidInputError(
                f"{name}: the decision of instance {first} is not attainable: no feasible point of "
                "the problem gives it"
            )
        return known_value(data, x)
