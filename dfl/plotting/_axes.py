"""What the displays share: axes, and colors that color-blind readers can tell apart."""

from __future__ import annotations

from typing import Any

from dfl_solvers.exceptions import import_optional

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def color(place: int) -> str:
    """Return the color of the method at a place; they repeat after seven."""
    return COLORS[place % len(COLORS)]


def axes(ax: Any, width: float = 6.0, height: float = 4.0) -> Any:
    """Return the axes to draw on: the given ones, or those of a new figure (sizes in inches).

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    import_optional("matplotlib", "experiments")
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), layout="constrained")[1]
