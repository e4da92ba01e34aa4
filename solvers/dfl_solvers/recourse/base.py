"""The base of every recourse: penalties and the price of the final decision, once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from dfl_solvers.exceptions import InfeasibleError, InvalidInputError
from dfl_solvers.oracle import Array, Instance, Oracle, Solution, minimizing


@dataclass(frozen=True, eq=False)
class AbstractRecourse(ABC):
    """What becomes of a first decision when the true constraints are revealed.

    A leaf writes ``correct``, which makes a feasible decision of the first one. Changes cost a
    share of the coordinate's own cost, in either direction.

    Parameters
    ----------
    add, drop : float or array-like of shape (d,), default=0.0
        Penalty for a unit more, or less, of a coordinate than was decided first, in units of the
        absolute value of its cost; not negative. With ``drop=1`` a purchase is not refunded; with
        ``add=0.5`` what is bought late costs half as much again.

    Raises
    ------
    InvalidInputError
        If a penalty is negative or not finite.
    """

    add: Any = 0.0
    drop: Any = 0.0

    def __post_init__(self) -> None:
        for name in ("add", "drop"):
            try:
                value = np.asarray(getattr(self, name), dtype=float)
            except (TypeError, ValueError):
                value = np.array(np.nan)  # refused below
            if value.ndim > 1 or not (np.isfinite(value) & (value >= 0)).all():
                raise InvalidInputError(
                    f"{type(self).__name__}: got {name}={getattr(self, name)!r}, expected a finite "
                    "number of at least 0, or one a coordinate"
                )

    @abstractmethod
    def correct(
        self, oracle: Oracle, decisions: Array, costs: Array, instance: Instance | None
    ) -> Array:
        """Make feasible decisions (n, d) of first ones (n, d), in the sense of minimization."""

    @final
    def settle(
        self, oracle: Oracle, decisions: Array, costs: Array, instance: Instance | None = None
    ) -> Solution:
        """Correct decisions under the true constraints.

        Parameters
        ----------
        oracle : Oracle
            The problem; a maximizing one takes values.
        decisions : ndarray of shape (n, d)
            First decisions, made from predicted constraints.
        costs : ndarray of shape (n, d)
            Known costs (values, for a maximizing oracle).
        instance : mapping of str to ndarray, optional
            Per-instance data with the **true** constraints, each array with leading n.

        Returns
        -------
        Solution
            Final decisions (n, d), what they cost with the penalty (n,) (their value less the
            penalty, for a maximizing oracle), and the status of the correction.

        Raises
        ------
        InvalidInputError
            If shapes differ.
        InfeasibleError
            If an instance cannot be corrected; it is named.
        UnsupportedError
            If this recourse does not suit the oracle.
        """
        held, sign = minimizing(oracle)
        decisions, costs = np.asarray(decisions, dtype=float), sign * np.asarray(costs, dtype=float)
        if decisions.shape != costs.shape:
            raise InvalidInputError(
                f"{type(self).__name__}: got decisions of shape {decisions.shape}, expected "
                f"{costs.shape}, the shape of the costs"
            )
        for name in ("add", "drop"):
            shape = np.shape(getattr(self, name))
            if shape not in ((), costs.shape[1:]):
                raise InvalidInputError(
                    f"{type(self).__name__}: got {name} of shape {shape}, expected a number or "
                    f"{costs.shape[1:]}, one a coordinate"
                )
        final = self.correct(held, decisions, costs, instance)
        objectives = held.evaluate(costs, final, instance) + self.penalty(costs, decisions, final)
        return Solution(final, sign * objectives, np.zeros(len(final), dtype=np.int8))

    @final
    def penalty(self, costs: Array, decisions: Array, final: Array) -> Array:
        """Return what the change from first to final decisions (n, d) costs, shape (n,)."""
        change = final - decisions
        prices = np.where(change > 0, self.add, self.drop)
        return np.asarray((np.abs(costs) * prices * np.abs(change)).sum(axis=1))

    def _cannot(self, bad: Array, hint: str) -> None:
        """Raise for the first instance that is not feasible after correction."""
        rows = np.flatnonzero(bad)
        if len(rows):
            raise InfeasibleError(
                f"{type(self).__name__}: instance {rows[0]} cannot be corrected under the true "
                f"constraints; {hint}"
            )


def check_recourse(recourse: Any, owner: str) -> AbstractRecourse:
    """Return a recourse; refuse what is none, such as the class without its penalties."""
    if not isinstance(recourse, AbstractRecourse):
        raise InvalidInputError(
            f"{owner}: got recourse={recourse!r}, expected what is done once the truth is known, "
            "such as dfl_solvers.Reoptimize(add=0.5, drop=0.5)"
        )
    return recourse
