"""Scales of features and costs, so that a fixed learning rate suits any units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from sklearn.preprocessing import StandardScaler

from dfl_solvers.oracle import Array, Instance, Oracle, Solution
from dfl_solvers.program import Program


@final
@dataclass(frozen=True)
class Scaling:
    """Standardized features, and costs in units of their mean absolute value.

    Attributes
    ----------
    mean, scale : ndarray of shape (p,)
        Of the features; ``scale`` is one where a feature is constant.
    cost : float
        Signed: a scaled output times ``cost`` is a cost in the user's units and sense.
    """

    mean: Array
    scale: Array
    cost: float

    @classmethod
    def of(
        cls, rows: Array, costs: Array | None, sign: int, weights: Array | None = None
    ) -> Scaling:
        """Measure the scales of training rows (n, p) and, if known, of their costs (n, ...)."""
        scaler = StandardScaler().fit(rows, sample_weight=weights)
        cost = 0.0
        if costs is not None and costs.size:
            sizes = np.abs(costs).reshape(len(costs), -1)
            cost = float(
                sizes.mean() if weights is None else np.average(sizes.mean(1), weights=weights)
            )
        return cls(scaler.mean_, scaler.scale_, sign * (cost if cost > 0 else 1.0))

    def features(self, X: Array) -> Array:
        """Scale features (..., p)."""
        return (X - self.mean) / self.scale

    def unfolded(self, weight: Array, bias: Array) -> tuple[Array, Array]:
        """Return what a linear layer (q, p), (q,) is in the units of the data."""
        coef = self.cost * weight / self.scale
        return coef, self.cost * bias - coef @ self.mean


@final
class InUnits:
    """An oracle seen in units of its costs, for problems whose objective is not only ``c.w``.

    Scaling the costs of such a problem would change its decisions; here ``solve(c)`` solves for
    ``unit * c`` and reports the objective in the same units.
    """

    linear_objective = False

    def __init__(self, oracle: Oracle, unit: float) -> None:
        self.oracle = oracle
        self.unit = unit
        self.n_costs = oracle.n_costs
        self.instance_fields: frozenset[str] = getattr(oracle, "instance_fields", frozenset())

    def solve(self, costs: Array, instance: Instance | None = None) -> Solution:
        """Solve for costs (n, d) given in units."""
        found = self.oracle.solve(costs * self.unit, instance)
        return Solution(found.decisions, found.objectives / self.unit, found.status)

    def evaluate(self, costs: Array, decisions: Array, instance: Instance | None = None) -> Array:
        """Objective (n,) in units."""
        return self.oracle.evaluate(costs * self.unit, decisions, instance) / self.unit

    def __getattr__(self, name: str) -> Any:
        # only what the oracle itself has
        if name not in ("program", "vector_jacobian_product"):
            raise AttributeError(name)
        inner = getattr(self.oracle, name)
        if name == "program":
            return lambda instance=None: self._in_units(inner(instance))
        return lambda costs, *others: inner(costs * self.unit, *others) * self.unit

    def _in_units(self, program: Program) -> Program:
        return replace(program, fixed_costs=program.fixed_costs / self.unit)
