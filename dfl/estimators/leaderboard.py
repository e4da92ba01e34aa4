"""What an automatic choice reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class LeaderboardRow:
    """How a candidate did; ``pandas.DataFrame(model.leaderboard_)`` makes a table of them.

    Attributes
    ----------
    name : str
    chosen : bool
    decision_focused : bool
        Whether decisions play a part in its training; if not, at most in the choice of a penalty.
    regret, low, high : float
        Normalized regret on the held-out instances that it was judged on, with its 95 % interval.
        Those that dropped out were judged on fewer.
    difference, difference_low, difference_high : float
        Regret minus that of the chosen one on the same instances, with its 95 % interval.
    n_folds : int
        Folds it was judged on before it dropped out.
    fit_seconds : float
        Mean time of a fit on a fold.
    solves : int
        Instances that the oracle solved in a fit, on average.
    weight : float
        Part in the predicted costs: 1 for the only one, 0 for those that have none.
    """

    name: str
    chosen: bool
    decision_focused: bool
    regret: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    n_folds: int
    fit_seconds: float
    solves: int
    weight: float


@final
@dataclass(frozen=True)
class Verdict:
    """Whether decision-focused training is worth it, against two-stage models tuned as well.

    Attributes
    ----------
    p_value : float
        One-sided, of the hypothesis that it is not better.
    difference, low, high : float
        Normalized regret of decision-focused minus two-stage training, with its 95 % interval.
    decision_focused, two_stage : str
        The best of either kind.
    n_instances : int
        Held-out instances the test rests on.
    """

    p_value: float
    difference: float
    low: float
    high: float
    decision_focused: str
    two_stage: str
    n_instances: int

    def __bool__(self) -> bool:
        """Return whether the p-value is below 5 %."""
        return self.p_value < 0.05

    def __str__(self) -> str:
        return (
            f"{self.decision_focused!r} minus {self.two_stage!r}: "
            f"{100 * self.difference:+.2f} points "
            f"[{100 * self.low:+.2f}, {100 * self.high:+.2f}], p = {self.p_value:.3g}"
        )
