"""What deciding under risk gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from dfl_solvers.oracle import Array


@final
@dataclass(frozen=True, eq=False)
class RiskDecision:
    """Decisions of n instances with what they are expected to cost, and an interval of that.

    Numbers are in the oracle's own sense: values, if it maximizes.

    Attributes
    ----------
    decisions : ndarray of shape (n, d), or (n_rows,) for long data
    expected : ndarray of shape (n,)
        Objective of each decision for the expected costs.
    low, high : ndarray of shape (n,)
        Interval of the objective. What it promises is up to the rule.
    objective : ndarray of shape (n,)
        What the rule made best: the robust value, the conditional value at risk or the mean.
    regret_bound : ndarray of shape (n,), or None
        What the regret exceeds seldom, if the rule knows.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.risk import RiskDecision
    >>> found = RiskDecision(np.eye(2), *np.array([[1.0, 2.0], [0.5, 1.0], [3.0, 3.0], [3.0, 3.0]]))
    >>> (found.high - found.low).tolist()
    [2.5, 2.0]
    """

    decisions: Array
    expected: Array
    low: Array
    high: Array
    objective: Array
    regret_bound: Array | None = None
