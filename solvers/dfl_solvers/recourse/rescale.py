"""Correction of packing and covering decisions by one factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from dfl_solvers.exceptions import UnsupportedError
from dfl_solvers.oracle import Array, Instance, Oracle, solving
from dfl_solvers.recourse.base import AbstractRecourse
from dfl_solvers.recourse.constraints import TOLERANCE, rows_of


@final
@dataclass(frozen=True, eq=False)
class Rescale(AbstractRecourse):
    r"""Multiply a decision by the factor nearest to one that makes it feasible.

    Use it for packing and covering linear programs whose decisions are carried out in proportion:
    less of everything where a capacity is exceeded, more where a demand is missed.

    Parameters
    ----------
    add, drop : float or array-like of shape (d,), default=0.0
        Penalty for a unit more, or less, of a coordinate than was decided first, in units of the
        absolute value of its cost; not negative.

    Raises
    ------
    InvalidInputError
        If a penalty is negative or not finite.

    See Also
    --------
    Reoptimize : The best change instead of the same factor for all.

    Notes
    -----
    For ``A w <= b`` it is the largest factor up to one, for ``A w >= b`` the smallest from one,
    with b not negative; bounds of variables count as such rows. A decision that no factor makes
    feasible raises ``InfeasibleError``; one of zeros cannot be scaled up. Programs with integers
    are refused.

    References
    ----------
    Hu, Lee & Lee, "Predict+Optimize for Packing and Covering LPs with Unknown Parameters in
    Constraints", AAAI 2023, arXiv 2209.03668 (reconstructed from its abstract).

    Examples
    --------
    >>> import numpy as np
    >>> from dfl_solvers import LinearProgram, Program, Rescale
    >>> cover = LinearProgram(Program([[1.0, 1.0]], [2.0], [np.inf], [0.0, 0.0], [9.0, 9.0]))
    >>> first, costs = np.array([[2.0, 0.0]]), np.array([[1.0, 3.0]])
    >>> truth = {"row_lower": np.array([[3.0]])}
    >>> settled = Rescale(add=0.5).settle(cover, first, costs, truth)
    >>> settled.decisions, settled.objectives
    (array([[3., 0.]]), array([3.5]))
    """

    def correct(
        self, oracle: Oracle, decisions: Array, costs: Array, instance: Instance | None
    ) -> Array:
        """Scale; see ``AbstractRecourse``."""
        del costs
        held: Any = solving(oracle)
        if hasattr(held, "program") and np.asarray(held.program().integrality).any():
            raise UnsupportedError(
                f"Rescale does not go with {type(held).__name__}: integers cannot be scaled; use "
                "Reoptimize, or Discard for a knapsack"
            )
        rows = rows_of(held, instance, len(decisions), "Rescale")
        # bounds of variables are rows too
        used = np.hstack([rows.used(decisions), decisions])
        slack = np.hstack([rows.slack(decisions), np.full(decisions.shape, TOLERANCE)])
        upper, lower = (
            np.hstack([np.broadcast_to(part, (len(used), part.shape[1])) for part in pair])
            for pair in ((rows.row_upper, rows.upper), (rows.row_lower, rows.lower))
        )
        # a row that is missed by rounding only asks for no factor: where it is to be zero, that
        # factor would be zero
        with np.errstate(divide="ignore", invalid="ignore"):
            down = np.where(used > upper + slack, upper / used, 1.0).min(axis=1, initial=1)
            up = np.where(used < lower - slack, lower / used, 1.0).max(axis=1, initial=1)
        factor = np.where(up > 1, up, down)
        bad = ~np.isfinite(factor) | (factor < 0)
        scaled = np.where(bad, 0.0, factor)[:, None] * decisions
        self._cannot(
            bad | rows.violated(scaled), "no factor makes its decision feasible; use Reoptimize"
        )
        return scaled
