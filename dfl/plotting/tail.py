"""How bad the bad outcomes are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from dfl.exceptions import InvalidInputError
from dfl.plotting._axes import axes, color
from dfl.risk import cvar


@final
class TailDisplay:
    """For each method, which share of its outcomes is worse than a number; logarithmic in shares.

    The mean says little about bad days: there, curves that start alike part. A dot marks the mean
    of the worst outcomes, the conditional value at risk.

    Parameters
    ----------
    outcomes : mapping of str to array-like of shape (n,)
        Costs or regrets of each method; the larger, the worse.
    alpha : float, default=0.9
        The worst ``1 - alpha`` of the outcomes make the dot.
    label : str, default="cost"
        Label of the horizontal axis.

    Attributes
    ----------
    tails : dict of str to float
        The conditional value at risk of each method.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
        Of the last ``plot``.

    Raises
    ------
    InvalidInputError
        If there is no method, an outcome is not finite, or alpha is out of its range.
    MissingDependencyError
        By ``plot``, if matplotlib is not installed.

    Examples
    --------
    >>> from dfl.plotting import TailDisplay
    >>> display = TailDisplay({"bold": [0.0, 0.0, 9.0, 9.0], "careful": [4.0, 5.0, 5.0, 6.0]}, 0.5)
    >>> display.tails
    {'bold': 9.0, 'careful': 5.5}
    """

    def __init__(
        self, outcomes: Mapping[str, npt.ArrayLike], alpha: float = 0.9, label: str = "cost"
    ) -> None:
        if not outcomes:
            raise InvalidInputError("TailDisplay: got no method, expected at least one")
        self.outcomes = {name: np.sort(np.asarray(v, float)) for name, v in outcomes.items()}
        self.tails = {name: cvar(values, alpha) for name, values in self.outcomes.items()}
        self.alpha = alpha
        self.label = label

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        X: Any,
        y: Any,
        *,
        alpha: float = 0.9,
        groups: Any = None,
        instance: Any = None,
    ) -> Self:
        """Take the regrets of fitted estimators on held-out instances.

        Parameters
        ----------
        estimators : mapping of str to fitted estimator
            What decides, by the names to draw.
        X, y
            As in the estimators' ``evaluate``.
        alpha : float, default=0.9
            Where the tail begins, as a share of the instances.
        groups, instance
            As in the estimators' ``evaluate``.

        Returns
        -------
        TailDisplay
        """
        regrets = {
            name: estimator.evaluate(X, y, groups=groups, instance=instance)[0]
            for name, estimator in estimators.items()
        }
        return cls(regrets, alpha, "regret")

    def plot(self, ax: Any = None) -> Self:
        """Draw a curve a method.

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
        for place, (name, values) in enumerate(self.outcomes.items()):
            worse = 1 - np.arange(len(values)) / len(values)
            ax.step(values, worse, where="pre", color=color(place), label=name)
            ax.plot(self.tails[name], 1 - self.alpha, "o", color=color(place))
        ax.axhline(1 - self.alpha, color="gray", linestyle=":", linewidth=1)
        ax.set_yscale("log")
        ax.set(xlabel=self.label, ylabel="share at least that bad")
        ax.grid(alpha=0.3)
        ax.legend(fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self
