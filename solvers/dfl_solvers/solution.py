"""What an oracle answers: decisions, their objectives, and how the solves ended."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]


class Status(enum.IntEnum):
    """How the solve of one instance ended.

    Examples
    --------
    >>> Status(2).message
    'the feasible set is empty'
    """

    OPTIMAL = 0
    FEASIBLE = 1
    INFEASIBLE = 2
    UNBOUNDED = 3
    FAILED = 4

    @property
    def message(self) -> str:
        """What a user reads about this status."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.OPTIMAL: "optimal",
    Status.FEASIBLE: (
        "a limit on time or gap was reached; the decision is feasible but may not be optimal"
    ),
    Status.INFEASIBLE: "the feasible set is empty",
    Status.UNBOUNDED: "the objective is unbounded; an oracle needs a bounded feasible set",
    Status.FAILED: "the solver stopped without a decision",
}


@dataclass(frozen=True)
class Solution:
    """Optimal decisions of a batch of n instances with d decision coordinates.

    Attributes
    ----------
    decisions : ndarray of shape (n, d)
        One decision a row.
    objectives : ndarray of shape (n,)
        Objective of each decision: ``c.w`` plus the problem's own part, if it has one.
    status : ndarray of shape (n,)
        ``Status`` codes; only ``OPTIMAL`` and ``FEASIBLE`` ever reach a caller of ``solve``.
    """

    decisions: Array
    objectives: Array
    status: Array

    def __init__(self, decisions: Array, objectives: Array, status: Array) -> None:
        # what a frozen class writes for itself takes twice as long, and small batches notice
        fields = self.__dict__
        fields["decisions"] = decisions
        fields["objectives"] = objectives
        fields["status"] = status
