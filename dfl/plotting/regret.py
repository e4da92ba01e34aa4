"""Regret of several methods with intervals."""

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
class RegretDisplay:
    """Normalized regret in percent: a dot with its interval for each method.

    Use it to compare methods on the same held-out instances, or over the seeds of an experiment.
    Overlapping intervals do not mean that there is no difference: instances are shared, so look at
    ``metrics.paired_bootstrap`` as well.

    Parameters
    ----------
    intervals : mapping of str to Interval
        Normalized regret (a share, not percent) of each method; NaN bounds draw the dot alone.
    floor : float, optional
        The least regret that is possible, such as that of decisions for E[c|x]; a dashed line.
    label : str, default="normalized regret, %"
        Label of the horizontal axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
        Of the last ``plot``.

    Raises
    ------
    InvalidInputError
        If there is no method.
    MissingDependencyError
        By ``plot``, if matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.plotting import RegretDisplay
    >>> regrets = {"least squares": np.array([2.0, 0.0, 1.0]), "SPO+": np.array([1.0, 0.0, 0.5])}
    >>> display = RegretDisplay.from_regrets(regrets, np.array([10.0, 10.0, 10.0]))
    >>> {name: round(interval.mean, 3) for name, interval in display.intervals.items()}
    {'least squares': 0.1, 'SPO+': 0.05}
    """

    def __init__(
        self,
        intervals: Mapping[str, metrics.Interval],
        floor: float | None = None,
        label: str = "normalized regret, %",
    ) -> None:
        if not intervals:
            raise InvalidInputError("RegretDisplay: got no method, expected at least one")
        self.intervals = intervals
        self.floor = floor
        self.label = label

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        name: str | None = None,
        groups: Any = None,
        instance: Mapping[str, Array] | None = None,
    ) -> Self:
        """Judge one fitted estimator; see ``from_estimators``."""
        named = {name or type(estimator).__name__: estimator}
        return cls.from_estimators(named, X, y, groups=groups, instance=instance)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        X: Any,
        y: Any,
        *,
        groups: Any = None,
        instance: Mapping[str, Array] | None = None,
    ) -> Self:
        """Judge fitted estimators on held-out instances.

        Parameters
        ----------
        estimators : mapping of str to fitted estimator
            What decides, by the names to draw.
        X : array-like of shape (n, p), or (n_rows, p) with ``groups``
            Features.
        y : array-like of shape (n, d), or (n_rows,) with ``groups``
            True costs.
        groups, instance
            As in ``decide``.

        Returns
        -------
        RegretDisplay
            With 95 % intervals over resampled instances, drawn with a fixed seed.
        """
        if not isinstance(estimators, Mapping):
            raise InvalidInputError(
                f"got estimators of type {type(estimators).__name__}, expected a mapping from "
                "names to fitted estimators, such as {'SPO+': model}"
            )
        regrets, optimal = {}, np.zeros(0)
        for name, estimator in estimators.items():
            regrets[name], optimal = estimator.evaluate(X, y, groups=groups, instance=instance)
        return cls.from_regrets(regrets, optimal)

    @classmethod
    def from_regrets(cls, regrets: Mapping[str, npt.ArrayLike], optimal: npt.ArrayLike) -> Self:
        """Take regrets (n,) of each method, and the optimal objectives (n,) they are shares of."""
        intervals = {}
        for name, regret in regrets.items():
            found = metrics.paired_bootstrap(
                regret, np.zeros(np.shape(regret)), weights=np.abs(optimal), random_state=0
            )
            intervals[name] = metrics.Interval(found.difference, found.low, found.high)
        return cls(intervals)

    @classmethod
    def from_results(cls, results: Any, problem: str | None = None) -> Self:
        """Take the tidy results of an experiment.

        Parameters
        ----------
        results : DataFrame
            With columns ``problem, method, seed, metric, value``, as in ``results.parquet``.
        problem : str, optional
            Which problem, where there are several.

        Returns
        -------
        RegretDisplay
            Mean normalized regret with Student's interval over seeds.

        Raises
        ------
        InvalidInputError
            If columns are missing, or there are several problems and none was chosen.
        """
        missing = {"problem", "method", "seed", "metric", "value"} - set(results.columns)
        if missing:
            raise InvalidInputError(
                f"RegretDisplay: got results without the columns {', '.join(sorted(missing))}, "
                "expected those of results.parquet"
            )
        results = results[results["metric"] == "normalized-regret"]
        problems = list(dict.fromkeys(results["problem"]))
        if problem is None and len(problems) == 1:
            problem = problems[0]
        if problem not in problems:
            raise InvalidInputError(
                f"RegretDisplay: got problem={problem!r}, expected one of: "
                + ", ".join(map(str, problems))
            )
        own = results[results["problem"] == problem]
        return cls(
            {
                str(name): metrics.mean_interval(rows.groupby("seed")["value"].mean())
                for name, rows in own.groupby("method", sort=False)
            }
        )

    def plot(self, ax: Any = None) -> Self:
        """Draw a line a method, the first on top.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Default: those of a new figure.

        Returns
        -------
        self
            The display itself.
        """
        ax = axes(ax, 6.0, 1.2 + 0.35 * len(self.intervals))
        for place, interval in enumerate(self.intervals.values()):
            mean, low, high = (100 * v for v in (interval.mean, interval.low, interval.high))
            known = np.isfinite([low, high]).all()
            ax.errorbar(
                mean,
                place,
                xerr=[[max(mean - low, 0.0)], [max(high - mean, 0.0)]] if known else None,
                fmt="o",
                capsize=4,
                color=color(place),
            )
        if self.floor is not None:
            ax.axvline(100 * self.floor, color="gray", linestyle="--")
        ax.set_yticks(range(len(self.intervals)), list(self.intervals))
        ax.set_ylim(len(self.intervals) - 0.5, -0.5)
        ax.set_xlabel(self.label)
        ax.grid(axis="x", alpha=0.3)
        self.ax_, self.figure_ = ax, ax.figure
        return self
