"""What training time buys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self, final

from dfl import metrics
from dfl.exceptions import InvalidInputError
from dfl.plotting._axes import axes, color


@final
class TrainingTimeDisplay:
    """Regret against seconds of training: a dot a method, and the front that nothing beats.

    Use it to see what a dearer method gains. A method is on the front if every other one that takes
    as little time has more regret; only these show their intervals, since many would hide the dots.

    Parameters
    ----------
    intervals : mapping of str to Interval
        Normalized regret (a share, not percent) of each method; NaN bounds draw the dot alone.
    seconds : mapping of str to float
        Training time of each of them, positive.
    label : str, default="normalized regret, %"
        Label of the vertical axis.

    Attributes
    ----------
    front : list of str
        Methods on the front, from the fastest.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
        Of the last ``plot``.

    Raises
    ------
    InvalidInputError
        If there is no method, or the seconds of one are missing or not positive.
    MissingDependencyError
        By ``plot``, if matplotlib is not installed.

    Examples
    --------
    >>> from dfl.metrics import Interval
    >>> from dfl.plotting import TrainingTimeDisplay
    >>> regrets = {"least squares": 0.09, "black-box": 0.08, "SPO+": 0.07}
    >>> intervals = {name: Interval(mean, mean, mean) for name, mean in regrets.items()}
    >>> seconds = {"least squares": 0.01, "black-box": 1.0, "SPO+": 0.2}
    >>> TrainingTimeDisplay(intervals, seconds).front
    ['least squares', 'SPO+']
    """

    def __init__(
        self,
        intervals: Mapping[str, metrics.Interval],
        seconds: Mapping[str, float],
        label: str = "normalized regret, %",
    ) -> None:
        if not intervals:
            raise InvalidInputError("TrainingTimeDisplay: got no method, expected at least one")
        for name in intervals:
            if not seconds.get(name, 0.0) > 0:
                raise InvalidInputError(
                    f"TrainingTimeDisplay: got {seconds.get(name)} seconds for {name!r}, expected "
                    "a positive number"
                )
        self.intervals = intervals
        self.seconds = seconds
        self.label = label
        self.front: list[str] = []
        for name in sorted(intervals, key=lambda name: (seconds[name], intervals[name].mean)):
            if not self.front or intervals[name].mean < intervals[self.front[-1]].mean:
                self.front.append(name)

    def plot(self, ax: Any = None) -> Self:
        """Draw the methods; those on the front are filled and joined by a line.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Default: those of a new figure.

        Returns
        -------
        self
            The display itself.
        """
        ax = axes(ax, 8.0, 5.0)
        for name, interval in self.intervals.items():
            mean, low, high = (100 * x for x in (interval.mean, interval.low, interval.high))
            on_front = name in self.front
            known = on_front and math.isfinite(low) and math.isfinite(high)
            ax.errorbar(
                self.seconds[name],
                mean,
                yerr=[[mean - low], [high - mean]] if known else None,
                fmt="o",
                color=color(0) if on_front else "gray",
                markerfacecolor=color(0) if on_front else "white",
                capsize=3,
                markersize=5,
            )
            ax.annotate(
                name,
                (self.seconds[name], mean),
                xytext=(4, 2),
                textcoords="offset points",
                fontsize="x-small",
                color="black" if on_front else "dimgray",
            )
        ax.plot(
            [self.seconds[name] for name in self.front],
            [100 * self.intervals[name].mean for name in self.front],
            color=color(0),
            drawstyle="steps-post",
            linewidth=1.0,
        )
        ax.set_xscale("log")
        ax.set_xlabel("training, s")
        ax.set_ylabel(self.label)
        ax.grid(alpha=0.3)
        self.ax_, self.figure_ = ax, ax.figure
        return self
