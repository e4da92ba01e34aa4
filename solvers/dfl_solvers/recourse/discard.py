"""Correction of knapsacks by taking items out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from dfl_solvers.exceptions import UnsupportedError
from dfl_solvers.oracle import Array, Instance, Oracle, solving
from dfl_solvers.problems.knapsack import Knapsack
from dfl_solvers.recourse.base import AbstractRecourse
from dfl_solvers.recourse.constraints import TOLERANCE


@final
@dataclass(frozen=True, eq=False)
class Discard(AbstractRecourse):
    r"""Take items out of a knapsack that is too full, the worst first.

    Use it where nothing can be chosen anew once the weights are known, and the rule of the day is
    to leave out what brings least for the room it takes.

    Parameters
    ----------
    add, drop : float or array-like of shape (d,), default=0.0
        Penalty for an item that is left out, in units of the absolute value of its cost; not
        negative. Nothing is ever added.

    Raises
    ------
    InvalidInputError
        If a penalty is negative or not finite.

    See Also
    --------
    Reoptimize : The best exchange instead of a rule.

    Notes
    -----
    While a capacity is exceeded, the chosen item with the least ``value / sum_i (weight_i /
    capacity_i)`` goes, the last of equal ones.

    References
    ----------
    Hu, Lee & Lee, "Branch & Learn with Post-hoc Correction for Predict+Optimize with Unknown
    Parameters in Constraints", CPAIOR 2023, arXiv 2303.06698, compares corrections of this kind;
    the order here is our own.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import Discard, Knapsack, Maximize
    >>> oracle, values = Maximize(Knapsack([[3.0, 4.0, 2.0]], [6.0])), np.array([[5.0, 4.0, 1.0]])
    >>> settled = Discard(drop=0.5).settle(oracle, np.array([[1.0, 1.0, 0.0]]), values)
    >>> settled.decisions, settled.objectives
    (array([[1., 0., 0.]]), array([3.]))
    """

    def correct(
        self, oracle: Oracle, decisions: Array, costs: Array, instance: Instance | None
    ) -> Array:
        """Take out; see ``AbstractRecourse``."""
        held: Any = solving(oracle)
        if not isinstance(held, Knapsack):
            raise UnsupportedError(
                f"Discard does not go with {type(held).__name__}: it takes items out of a Knapsack"
            )
        n, own = len(decisions), instance or {}
        weights = np.asarray(own.get("weights", held.weights[None]), dtype=float)
        capacities = np.asarray(own.get("capacities", held.capacities[None]), dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.nan_to_num((weights / capacities[:, :, None]).sum(axis=1), posinf=np.inf)
            worth = np.nan_to_num(-costs / room, posinf=np.inf)  # what takes no room may stay
        order = np.argsort(worth[:, ::-1], axis=1, kind="stable")
        order = decisions.shape[1] - 1 - order
        final, every = decisions.copy(), np.arange(n)
        limit = capacities + TOLERANCE * np.maximum(capacities, 1.0)
        for items in order.T:
            used = (weights @ final[:, :, None])[:, :, 0]
            full = (used > limit).any(axis=1)
            if not full.any():
                break
            final[every[full], items[full]] = 0.0
        return final
