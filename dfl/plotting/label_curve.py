"""How regret falls with the number of labels, for several criteria."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from dfl import metrics
from dfl.exceptions import InvalidInputError
from dfl.plotting._axes import axes, color
from dfl_solvers.oracle import Array


@final
class LabelCurveDisplay:
    """Mean regret by number of labels: a line with its interval for each criterion.

    Use it to see which criterion needs fewer labels. All criteria are to share seeds, pool and
    first labels; bands that overlap do not mean that there is no difference, so look at
    ``metrics.paired_bootstrap`` at the number of labels that matters.

    Parameters
    ----------
    labels : array-like of shape (k,)
        Numbers of labels.
    curves : mapping of str to array-like of shape (n_seeds, k)
        Regret of each criterion, a row a seed.
    label : str, default="regret"
        Label of the vertical axis, with the unit.
    logarithmic : bool, default=False
        Of the vertical axis.

    Attributes
    ----------
    intervals : dict of str to list of Interval
        Mean and 95 % interval of Student at each number of labels.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
        Of the last ``plot``.

    Raises
    ------
    InvalidInputError
        If there is no criterion, or a curve is not of the length of the labels.
    MissingDependencyError
        By ``plot``, if matplotlib is not installed.

    Examples
    --------
    >>> from dfl.plotting import LabelCurveDisplay
    >>> curves = {"directional": [[3.0, 1.0], [5.0, 1.0]], "random": [[3.0, 2.0], [5.0, 4.0]]}
    >>> display = LabelCurveDisplay([10, 20], curves).plot()
    >>> [interval.mean for interval in display.intervals["random"]]
    [4.0, 3.0]
    """

    def __init__(
        self,
        labels: npt.ArrayLike,
        curves: Mapping[str, npt.ArrayLike],
        label: str = "regret",
        logarithmic: bool = False,
    ) -> None:
        self.labels = np.asarray(labels)
        if not curves or self.labels.ndim != 1 or not len(self.labels):
            raise InvalidInputError(
                f"LabelCurveDisplay: got {len(curves)} criteria and labels of shape "
                f"{self.labels.shape}, expected at least one criterion and (k,)"
            )
        self.curves: dict[str, Array] = {}
        for name, values in curves.items():
            rows = np.atleast_2d(np.asarray(values, dtype=float))
            if rows.ndim != 2 or rows.shape[1] != len(self.labels):
                raise InvalidInputError(
                    f"LabelCurveDisplay: got a curve {name!r} of shape {rows.shape}, expected "
                    f"(n_seeds, {len(self.labels)})"
                )
            self.curves[name] = rows
        self.label = label
        self.logarithmic = logarithmic
        self.intervals = {
            name: [metrics.mean_interval(column) for column in rows.T]
            for name, rows in self.curves.items()
        }

    def plot(self, ax: Any = None) -> Self:
        """Draw a line and a band a criterion.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Default: those of a new figure.

        Returns
        -------
        self
            The display itself.
        """
        ax = axes(ax, 6.0, 3.5)
        for place, (name, intervals) in enumerate(self.intervals.items()):
            means, low, high = np.array([(i.mean, i.low, i.high) for i in intervals]).T
            ax.plot(self.labels, means, color=color(place), label=name, linewidth=1.4)
            if np.isfinite(low).all():
                floor = means.min() / 10 if self.logarithmic else -np.inf
                ax.fill_between(
                    self.labels,
                    np.maximum(low, floor),
                    high,
                    color=color(place),
                    alpha=0.15,
                    linewidth=0,
                )
        if self.logarithmic:
            ax.set_yscale("log")
        ax.set_xlabel("labels")
        ax.set_ylabel(self.label)
        ax.grid(alpha=0.3)
        ax.legend(fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self
