"""What decisions were said to cost, and what they did cost."""

from __future__ import annotations

from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_consistent_length

from dfl.exceptions import InvalidInputError
from dfl.plotting._axes import axes, color
from dfl.risk import RiskDecision
from dfl_solvers.oracle import Array


@final
class CostIntervalDisplay:
    """Intervals of the costs of decisions, with what they cost in the end as dots.

    Dots outside of the intervals are in another color: how many there are, and when, says more
    about a promise than its probability does.

    Parameters
    ----------
    decision : RiskDecision
        Of n instances.
    costs : array-like of shape (n,), optional
        What each decision did cost (its value, for a maximizing oracle).
    name : str, default=""
        Title; the share of costs within the intervals is added.

    Attributes
    ----------
    coverage : float or None
        That share.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
        Of the last ``plot``.

    Raises
    ------
    InvalidInputError
        If lengths differ.
    MissingDependencyError
        By ``plot``, if matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.plotting import CostIntervalDisplay
    >>> from dfl.risk import RiskDecision
    >>> low, middle, high = np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])
    >>> found = RiskDecision(np.eye(2), middle, low, high, middle)
    >>> CostIntervalDisplay(found, [2.5, 4.5], "robust").plot().ax_.get_title()
    'robust: 50 % within'
    """

    def __init__(
        self, decision: RiskDecision, costs: npt.ArrayLike | None = None, name: str = ""
    ) -> None:
        self.decision = decision
        self.costs = None if costs is None else np.asarray(costs, dtype=float)
        if self.costs is not None and self.costs.shape != decision.expected.shape:
            raise InvalidInputError(
                f"CostIntervalDisplay: got costs of shape {self.costs.shape}, expected "
                f"{decision.expected.shape}, one an instance"
            )
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        risk: Any,
        *,
        name: str | None = None,
        groups: Any = None,
        instance: Any = None,
    ) -> Self:
        """Let a fitted estimator decide under risk, and look at the true costs.

        Parameters
        ----------
        estimator : fitted estimator
            What decides.
        X, y
            As in the estimator's ``evaluate``.
        risk : rule of dfl.risk
            Calibrated for this estimator.
        name : str, optional
            Default: that of the rule's class.
        groups, instance
            As in the estimator's ``evaluate``.

        Returns
        -------
        CostIntervalDisplay
        """
        from dfl.risk._data import Data

        check_consistent_length(X, y)
        found = estimator.decide(X, groups=groups, instance=instance, risk=risk)
        data = Data(estimator, X, y, groups, instance)
        decisions = data.wide(np.asarray(found.decisions, dtype=float))
        costs = data.sign * data.oracle.evaluate(data.costs(), decisions, data.oracle_instance)
        return cls(found, costs, type(risk).__name__ if name is None else name)

    @property
    def coverage(self) -> float | None:
        """Share of the costs within their intervals; None if they are not known."""
        return None if self.costs is None else float(self._inside(self.costs).mean())

    def plot(self, ax: Any = None) -> Self:
        """Draw an interval an instance, from left to right.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Default: those of a new figure.

        Returns
        -------
        self
            The display itself.
        """
        ax = axes(ax, 7.0, 3.2)
        found = self.decision
        places = np.arange(len(found.expected))
        ax.vlines(places, found.low, found.high, color="lightgray", linewidth=2)
        ax.plot(places, found.expected, color=color(0), linewidth=1, label="expected")
        title = [self.name] if self.name else []
        if self.costs is not None:
            inside = self._inside(self.costs)
            ax.plot(places[inside], self.costs[inside], ".", color=color(6), label="true")
            ax.plot(places[~inside], self.costs[~inside], "x", color=color(1), label="outside")
            title.append(f"{100 * inside.mean():.0f} % within")
        ax.set_title(": ".join(title), fontsize="medium")
        ax.set(xlabel="instance", ylabel="cost of the decision")
        ax.legend(fontsize="small", ncols=3)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _inside(self, costs: Array) -> Array:
        return (costs >= self.decision.low) & (costs <= self.decision.high)
