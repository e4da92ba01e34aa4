"""What an automatic choice tried, and how it did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, final

import numpy as np

from dfl.estimators import LeaderboardRow, Verdict
from dfl.exceptions import InvalidInputError
from dfl.plotting._axes import axes, color


@final
class LeaderboardDisplay:
    """Candidates against the chosen one: a dot with the interval of the paired difference.

    Differences are paired, since regrets of all candidates go up and down together with the
    instances: their own intervals would overlap although one is better on almost every instance.
    Two-stage candidates have hollow dots; a number of folds stands beside those that dropped out.

    Parameters
    ----------
    rows : sequence of LeaderboardRow
        ``leaderboard_`` of an ``AutoDecisionRegressor``.
    verdict : Verdict, optional
        Its ``is_worth_it_``, for the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
        Of the last ``plot``.

    Raises
    ------
    InvalidInputError
        If there is no row, or none is chosen.
    MissingDependencyError
        By ``plot``, if matplotlib is not installed.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> from dfl import AutoDecisionRegressor, DecisionFocusedRegressor
    >>> from dfl.datasets import make_shortest_path
    >>> from dfl.plotting import LeaderboardDisplay
    >>> data = make_shortest_path(100, degree=6, random_state=0)
    >>> tried = [("least squares", LinearRegression()),
    ...          ("spo+", DecisionFocusedRegressor(max_iter=5))]
    >>> model = AutoDecisionRegressor(data.oracle, tried, random_state=0).fit(data.X, data.C)
    >>> [row.name for row in LeaderboardDisplay.from_estimator(model).rows]
    ['spo+', 'least squares']
    """

    def __init__(self, rows: Sequence[LeaderboardRow], verdict: Verdict | None = None) -> None:
        if not any(row.chosen for row in rows):
            raise InvalidInputError(
                f"LeaderboardDisplay: got {len(rows)} rows and none that is chosen, expected the "
                "leaderboard of a fitted AutoDecisionRegressor"
            )
        self.rows = rows
        self.verdict = verdict

    @classmethod
    def from_estimator(cls, estimator: Any) -> Self:
        """Take what a fitted ``AutoDecisionRegressor`` has found."""
        return cls(estimator.leaderboard_, estimator.is_worth_it_)

    def plot(self, ax: Any = None) -> Self:
        """Draw a line a candidate, the chosen one on top.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Default: those of a new figure.

        Returns
        -------
        self
            The display itself.
        """
        ax = axes(ax, 7.0, 1.4 + 0.3 * len(self.rows))
        most = max(row.n_folds for row in self.rows)
        chosen = next(row for row in self.rows if row.chosen)
        for place, row in enumerate(self.rows):
            mean, low, high = (
                100 * value for value in (row.difference, row.difference_low, row.difference_high)
            )
            known = np.isfinite([low, high]).all() and not row.chosen
            shade = color(0) if row.decision_focused else color(1)
            ax.errorbar(
                mean,
                place,
                xerr=[[max(mean - low, 0.0)], [max(high - mean, 0.0)]] if known else None,
                fmt="D" if row.chosen else "o",
                capsize=3,
                color=shade,
                markerfacecolor=shade if row.decision_focused else "white",
            )
            text = f"{100 * row.regret:.2f} %"
            if row.n_folds < most:
                text += f" ({row.n_folds} fold{'s' * (row.n_folds > 1)})"
            ax.annotate(
                text,
                (1.01, place),
                xycoords=ax.get_yaxis_transform(),
                va="center",
                fontsize="small",
            )
        ax.axvline(0.0, color="gray", linestyle="--")
        ax.set_yticks(range(len(self.rows)), [row.name for row in self.rows])
        ax.set_ylim(len(self.rows) - 0.5, -0.5)
        ax.set_xlabel(f"regret minus that of {chosen.name!r}, points")
        if self.verdict is not None:
            says = "pays" if self.verdict else "not shown to pay"
            ax.set_title(
                f"decision-focused training: {says} (p = {self.verdict.p_value:.2g})",
                fontsize="medium",
            )
        ax.grid(axis="x", alpha=0.3)
        self.ax_, self.figure_ = ax, ax.figure
        return self
