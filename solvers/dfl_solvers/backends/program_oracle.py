"""What oracles of a program share, whatever solves it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from dfl_solvers.backends.model import Backend, Bounds
from dfl_solvers.exceptions import InvalidInputError, SolverError
from dfl_solvers.oracle import AbstractOracle, Array, Instance, Solution, Status
from dfl_solvers.program import Program


class AbstractProgramOracle(AbstractOracle):
    """Base of the oracles of a ``Program``; a leaf sets ``n_costs`` and ``_hot``.

    Where a leaf says so by ``instance_fields``, bounds of rows and variables differ by instance.
    """

    _hot: Backend

    def program(self, instance: Instance | None = None) -> Program:
        """Return the feasible set of one instance in matrix form."""
        if not instance:
            return self._hot.program
        changes: dict[str, Any] = dict(instance)
        return dataclasses.replace(self._hot.program, **changes)

    def _solve(self, costs: Array, instance: Instance) -> Solution:
        return self._hot.solve(costs, instance)

    def _objective(self, costs: Array, decisions: Array, instance: Instance) -> Array:
        linear = super()._objective(costs, decisions, instance)
        if self.linear_objective:
            return linear
        return linear + self._hot.fixed_part(decisions, type(self).__name__, instance)

    def _check_instance(self, instance: Instance | None, costs: Array) -> Instance:
        """Check bounds of instances, which are infinite where there is none."""
        if not instance or not self.instance_fields.issubset(Bounds._fields):
            return super()._check_instance(instance, costs)
        bounds = {name: np.asarray(value, dtype=float) for name, value in instance.items()}
        finite = {
            name: np.nan_to_num(value, nan=np.nan, posinf=0.0, neginf=0.0)
            for name, value in bounds.items()
        }
        super()._check_instance(finite, costs)
        for name, value in bounds.items():
            expected = (len(costs), *getattr(self._hot.program, name).shape)
            if value.shape != expected:
                raise InvalidInputError(
                    f"{type(self).__name__}: got instance data {name!r} of shape {value.shape}, "
                    f"expected {expected}"
                )
        return bounds

    def _raise_for(self, status: Array) -> None:
        raise_at_limit(type(self).__name__, status, getattr(self, "time_limit", None))
        super()._raise_for(status)


def raise_at_limit(name: str, status: Array, time_limit: float | None) -> None:
    """Raise if a limit was reached without a decision."""
    failed = np.flatnonzero(status == Status.FAILED)
    if len(failed) and time_limit is not None:
        raise SolverError(
            f"{name}: instance {failed[0]}: no feasible decision was found within "
            f"time_limit={time_limit} seconds"
        )
