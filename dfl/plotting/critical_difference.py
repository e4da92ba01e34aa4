"""Mean ranks of methods, and which of them differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, final

from dfl.exceptions import InvalidInputError
from dfl.plotting._axes import axes, color


@final
class CriticalDifferenceDisplay:
    """Mean ranks over data sets: a dot a method; bars join those that do not differ.

    Use it after ``metrics.compare_ranks``. It says who wins more often, not by how much.

    Parameters
    ----------
    ranks : mapping of str to float
        Mean rank of each method; 1 is the best.
    critical_difference : float
        Methods whose mean ranks are further apart differ.

    Attributes
    ----------
    groups : list of tuple of str
        The largest groups of methods, the best first, of which no two differ.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
        Of the last ``plot``.

    Raises
    ------
    InvalidInputError
        If there are fewer than two methods, or the critical difference is not positive.
    MissingDependencyError
        By ``plot``, if matplotlib is not installed.

    References
    ----------
    Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006.

    Examples
    --------
    >>> from dfl.plotting import CriticalDifferenceDisplay
    >>> ranks = {"least squares": 2.9, "forest": 2.1, "SPO+": 1.0}
    >>> CriticalDifferenceDisplay(ranks, critical_difference=1.2).groups
    [('SPO+', 'forest'), ('forest', 'least squares')]
    """

    def __init__(self, ranks: Mapping[str, float], critical_difference: float) -> None:
        if len(ranks) < 2 or not critical_difference > 0:
            raise InvalidInputError(
                f"CriticalDifferenceDisplay: got {len(ranks)} methods and a critical difference of "
                f"{critical_difference}, expected at least two and a positive one"
            )
        self.ranks = dict(sorted(ranks.items(), key=lambda item: item[1]))
        self.critical_difference = critical_difference
        self.groups: list[tuple[str, ...]] = []
        names = list(self.ranks)
        end = 0
        for start, name in enumerate(names):
            within = [
                place
                for place in range(start, len(names))
                if self.ranks[names[place]] - self.ranks[name] <= critical_difference
            ]
            # a group that reaches no further than the one before is part of it
            if within[-1] + 1 > end and len(within) > 1:
                self.groups.append(tuple(names[start : within[-1] + 1]))
            end = max(end, within[-1] + 1)

    def plot(self, ax: Any = None) -> Self:
        """Draw a line a method, the best on top, and a bar beside each group.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Default: those of a new figure.

        Returns
        -------
        self
            The display itself.
        """
        ax = axes(ax, 6.0, 1.2 + 0.3 * len(self.ranks))
        names, best = list(self.ranks), min(self.ranks.values())
        ax.axvspan(best, best + self.critical_difference, color=color(0), alpha=0.12, linewidth=0)
        for place, name in enumerate(names):
            ax.plot(self.ranks[name], place, "o", color=color(0))
        for group in self.groups:
            first, last = names.index(group[0]), names.index(group[-1])
            # to the right of its last dot, where no dot of the group is in the way
            where = self.ranks[group[-1]] + 0.02 * len(names)
            ax.plot([where, where], [first - 0.2, last + 0.2], color="gray", linewidth=2.0)
        ax.set_yticks(range(len(names)), names)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_xlabel(f"mean rank; critical difference {self.critical_difference:.2f}")
        ax.grid(axis="x", alpha=0.3)
        self.ax_, self.figure_ = ax, ax.figure
        return self
