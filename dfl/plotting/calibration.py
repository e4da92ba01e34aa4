"""Calibration functions: what an excess of surrogate risk can hide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from dfl.exceptions import InvalidInputError
from dfl.plotting._axes import axes, color
from dfl.risk import CalibrationFunction


@final
class CalibrationDisplay:
    """Calibration functions of one or more surrogates, with intervals, and bounds below them.

    The higher a curve, the more a small surrogate risk says about regret; a straight one on these
    axes of slope one (a line through the origin) carries rates over, slope two halves them.

    Parameters
    ----------
    functions : mapping of str to CalibrationFunction
        What ``dfl.risk.calibration_function`` estimated, by name; units of the surrogates may
        differ.
    bounds : mapping of str to pair of arrays, optional
        By name, points ``(eps, values)`` of what is known exactly or from below; dashed.
    label : str, default="excess surrogate risk"
        Label of the vertical axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
        Of the last ``plot``.

    Raises
    ------
    InvalidInputError
        If there is no function.
    MissingDependencyError
        By ``plot``, if matplotlib is not installed.

    Examples
    --------
    >>> from dfl.plotting import CalibrationDisplay
    >>> from dfl.risk import calibration_function
    >>> from dfl_solvers import Ball
    >>> found = calibration_function("spo+", Ball(2), [1.0, 0.0], "normal", [0.1, 0.2, 0.4],
    ...                              n_samples=200, random_state=0)
    >>> display = CalibrationDisplay({"SPO+": found}).plot()
    >>> display.ax_.get_xscale(), len(display.ax_.get_lines())
    ('log', 1)
    """

    def __init__(
        self,
        functions: Mapping[str, CalibrationFunction],
        bounds: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]] | None = None,
        label: str = "excess surrogate risk",
    ) -> None:
        if not functions:
            raise InvalidInputError("CalibrationDisplay: got no function, expected at least one")
        self.functions = functions
        self.bounds = bounds or {}
        self.label = label

    def plot(self, ax: Any = None) -> Self:
        """Draw a line a function, with a band for its interval; infinite values are left out.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Default: those of a new figure.

        Returns
        -------
        self
            The display itself.
        """
        ax = axes(ax, 6.0, 4.0)
        for place, (name, found) in enumerate(self.functions.items()):
            finite = np.isfinite(found.value) & (found.value > 0)
            eps = found.eps[finite]
            ax.plot(eps, found.value[finite], "o-", markersize=3, color=color(place), label=name)
            low = np.maximum(found.low[finite], 1e-3 * found.value[finite])  # of a log axis
            ax.fill_between(eps, low, found.high[finite], color=color(place), alpha=0.2)
        for place, (name, (points, values)) in enumerate(self.bounds.items()):
            shade = color(len(self.functions) + place)
            ax.plot(np.asarray(points), np.asarray(values), "--", color=shade, label=name)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("excess regret")
        ax.set_ylabel(self.label)
        ax.grid(alpha=0.3)
        ax.legend(fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self
