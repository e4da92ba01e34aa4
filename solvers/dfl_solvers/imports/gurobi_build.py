"""A gurobipy model for each instance, built by the user's function, as an oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, final

import numpy as np

from dfl_solvers.exceptions import InvalidInputError
from dfl_solvers.imports.gurobi_oracle import GurobiOracle
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Solution
from dfl_solvers.program import Program

Build = Callable[[Instance], tuple[Any, Sequence[Any]]]


@final
class BuiltGurobiOracle(AbstractOracle):
    """Minimize over gurobipy models that a function builds, one an instance; see ``from_gurobi``.

    Parameters
    ----------
    build : callable
        Takes a mapping of names to arrays, the data of one instance; returns a model and its costs.
    fields : tuple of str, default=()
        Names of the instance data.
    fixed : {"keep", "drop"}, default="keep"
    maximize : bool, default=False
        Whether the models maximize; their costs are then negative values.

    Raises
    ------
    InvalidInputError
        If a model has the other sense or another number of costs than said.
    """

    def __init__(
        self,
        build: Build,
        fields: tuple[str, ...] = (),
        fixed: Literal["keep", "drop"] = "keep",
        maximize: bool = False,
    ) -> None:
        self.build = build
        self.fields = fields
        self.fixed = fixed
        self.maximize = maximize
        self.instance_fields = frozenset(fields)  # type: ignore[misc]
        self.linear_objective = False

    def _solve(self, costs: Array, instance: Instance) -> Solution:
        decisions = np.empty_like(costs)
        objectives = np.empty(len(costs))
        status = np.empty(len(costs), dtype=np.int8)
        for i in range(len(costs)):
            solution = self._oracle(instance, i, costs)._solve(costs[i : i + 1], {})
            decisions[i], objectives[i] = solution.decisions[0], solution.objectives[0]
            status[i] = solution.status[0]
        return Solution(decisions, objectives, status)

    def _objective(self, costs: Array, decisions: Array, instance: Instance) -> Array:
        parts = [
            self._oracle(instance, i, costs).evaluate(costs[i : i + 1], decisions[i : i + 1])[0]
            for i in range(len(costs))
        ]
        return np.array(parts)

    def program(self, instance: Instance | None = None) -> Program:
        """Return the feasible set of one instance in matrix form."""
        return self._build(instance or {}).program()

    def _oracle(self, instance: Instance, i: int, costs: Array) -> GurobiOracle:
        oracle = self._build({name: values[i] for name, values in instance.items()})
        if oracle.n_costs != costs.shape[1]:
            raise InvalidInputError(
                f"BuiltGurobiOracle: instance {i}: got {costs.shape[1]} costs, but build returns "
                f"{oracle.n_costs}"
            )
        return oracle

    def _build(self, instance: Instance) -> GurobiOracle:
        model, costs = self.build(instance)
        oracle = GurobiOracle(model, costs, self.fixed)
        if oracle.maximizes != self.maximize:
            does = "maximizes" if oracle.maximizes else "minimizes"
            raise InvalidInputError(
                f"BuiltGurobiOracle: build returns a model that {does}, but maximize is "
                f"{self.maximize}"
            )
        return oracle
