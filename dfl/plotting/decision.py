"""A picture of one decision, in the form its problem is drawn in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from dfl.exceptions import InvalidInputError
from dfl.plotting._axes import COLORS, axes
from dfl_solvers.oracle import Array, Oracle, minimizing

_TAKEN = COLORS[1]


@final
class DecisionDisplay:
    """One decision: a path, an assignment, a tour, weights, a schedule, or bars.

    Paths are drawn on their grid, with roads as wide as they are costly; assignments as a matrix;
    tours on a circle; schedules as energy by slot against the prices; every other decision as bars.

    Parameters
    ----------
    oracle : Oracle
        The problem, wrapped or not.
    decision : array-like of shape (d,)
        What was decided.
    costs : array-like of shape (d,), optional
        True or predicted costs to draw it against.
    name : str, default=""
        Title; the objective is added where costs are known.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
        Of the last ``plot``.

    Raises
    ------
    InvalidInputError
        If decision or costs are not of the length of the oracle's costs.
    MissingDependencyError
        By ``plot``, if matplotlib is not installed.

    Examples
    --------
    >>> from dfl.plotting import DecisionDisplay
    >>> from dfl_solvers import GridShortestPath
    >>> display = DecisionDisplay(GridShortestPath(2, 2), [1, 0, 1, 0], [1, 5, 1, 1]).plot()
    >>> display.ax_.get_title()
    'objective 2'
    """

    def __init__(
        self,
        oracle: Oracle,
        decision: npt.ArrayLike,
        costs: npt.ArrayLike | None = None,
        name: str = "",
    ) -> None:
        self.oracle = oracle
        self.decision = _vector(oracle, decision, "decision")
        self.costs = None if costs is None else _vector(oracle, costs, "costs")
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: Any, x: npt.ArrayLike, costs: npt.ArrayLike | None = None, name: str = ""
    ) -> Self:
        """Draw what a fitted estimator decides for one instance.

        Parameters
        ----------
        estimator : fitted estimator
            What decides.
        x : array-like of shape (p,) or (1, p)
            Features of the instance.
        costs : array-like of shape (d,), optional
            True costs. Default: the predicted ones.
        name : str, default=""
            Title of the drawing.

        Returns
        -------
        DecisionDisplay
        """
        x = np.atleast_2d(x) if not hasattr(x, "iloc") else x
        decision = np.ravel(estimator.decide(x))
        shown = np.ravel(estimator.predict(x)) if costs is None else costs
        return cls(estimator.oracle, decision, shown, name)

    def plot(self, ax: Any = None) -> Self:
        """Draw the decision.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Default: those of a new figure.

        Returns
        -------
        self
            The display itself.
        """
        problem = _problem(self.oracle)
        ax = axes(ax, 4.0, 3.5)
        _DRAWINGS.get(type(problem).__name__, _bars)(ax, problem, self.decision, self.costs)
        title = [self.name] if self.name else []
        if self.costs is not None:
            objective = self.oracle.evaluate(self.costs[None], self.decision[None])[0]
            title.append(f"objective {objective:.4g}")
        ax.set_title(": ".join(title), fontsize="medium")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _vector(oracle: Oracle, values: npt.ArrayLike, what: str) -> Array:
    vector = np.asarray(values, dtype=float)
    if vector.ndim != 1 or (oracle.n_costs is not None and len(vector) != oracle.n_costs):
        expected = "(d,)" if oracle.n_costs is None else f"({oracle.n_costs},)"
        raise InvalidInputError(
            f"DecisionDisplay: got {what} of shape {vector.shape}, "
            f"expected {expected}: one instance"
        )
    return vector


def _problem(oracle: Oracle) -> Oracle:
    """Return the problem inside wrappers such as ``Maximize``, ``Counting`` and ``Cached``."""
    inner, _ = minimizing(oracle)
    while type(inner).__name__ not in _DRAWINGS and hasattr(inner, "oracle"):
        inner = inner.oracle
    return inner


def _edges(ax: Any, ends: Array, places: Array, decision: Array, costs: Array | None) -> None:
    """Draw roads between places (nodes, 2), wide where costly, and those that are taken."""
    top = 0.0 if costs is None else float(np.abs(costs).max(initial=0.0))
    for e, (a, b) in enumerate(ends):
        x, y = places[[a, b]].T
        width = 1.5 if costs is None or top == 0 else 0.5 + 8 * max(costs[e], 0.0) / top
        ax.plot(x, y, color="lightgray", linewidth=width, zorder=1)
        if decision[e] > 0:
            ax.plot(x, y, color=_TAKEN, linewidth=2, alpha=min(1.0, decision[e]), zorder=2)
    ax.set_aspect("equal")
    ax.set_axis_off()


def _grid_path(ax: Any, oracle: Any, decision: Array, costs: Array | None) -> None:
    places = np.array(
        [(n % oracle.cols, -(n // oracle.cols)) for n in range(oracle.rows * oracle.cols)]
    )
    _edges(ax, oracle.edges(), places, decision, costs)


def _cell_path(ax: Any, oracle: Any, decision: Array, costs: Array | None) -> None:
    shape = oracle.rows, oracle.cols
    if costs is not None:
        ax.imshow(costs.reshape(shape), cmap="Greys")
    rows, columns = np.nonzero(decision.reshape(shape) > 0)
    ax.scatter(columns, rows, color=_TAKEN, s=20)
    ax.set(xlim=(-0.5, oracle.cols - 0.5), ylim=(oracle.rows - 0.5, -0.5), xticks=[], yticks=[])
    ax.set_aspect("equal")


def _matrix(ax: Any, oracle: Any, decision: Array, costs: Array | None) -> None:
    size = round(len(decision) ** 0.5)
    if costs is not None:
        ax.imshow(costs.reshape(size, size), cmap="Greys", alpha=0.6)
    rows, columns = np.nonzero(decision.reshape(size, size) > 0)
    ax.scatter(columns, rows, color=_TAKEN, marker="s", s=30)
    ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), xlabel="assigned to", ylabel="item")
    ax.set_aspect("equal")


def _tour(ax: Any, oracle: Any, decision: Array, costs: Array | None) -> None:
    # the problem knows no coordinates, so that cities stand on a circle
    ends = oracle.edges()
    angle = 2 * np.pi * np.arange(ends.max() + 1) / (ends.max() + 1)
    places = np.column_stack([np.cos(angle), np.sin(angle)])
    taken = np.flatnonzero(decision > 0)
    _edges(ax, ends[taken], places, decision[taken], None)
    ax.scatter(*places.T, color="black", s=12, zorder=3)


def _schedule(ax: Any, oracle: Any, decision: Array, costs: Array | None) -> None:
    slots = np.arange(len(decision) + 1)
    ax.stairs(decision, slots, fill=True, color=_TAKEN, alpha=0.6, label="energy")
    ax.set(xlabel="slot", ylabel="energy")
    if costs is not None:
        other = ax.twinx()
        other.stairs(costs, slots, color="black", label="price")
        other.set_ylabel("price")


def _bars(ax: Any, oracle: Any, decision: Array, costs: Array | None) -> None:
    places = np.arange(len(decision))
    ax.bar(places, decision, color=_TAKEN, alpha=0.7)
    ax.set(xlabel="item", ylabel="decision")
    if costs is not None:
        other = ax.twinx()
        other.plot(places, costs, ".", color="black")
        other.set_ylabel("cost")


# by the name of the class, so that drawing one problem does not import all
_DRAWINGS: dict[str, Callable[[Any, Any, Array, Array | None], None]] = {
    "GridShortestPath": _grid_path,
    "NodeGridShortestPath": _cell_path,
    "Assignment": _matrix,
    "TravelingSalesman": _tour,
    "EnergyScheduling": _schedule,
}
