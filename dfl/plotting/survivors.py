"""How many hypotheses are left, label by label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, final

from dfl.exceptions import InvalidInputError
from dfl.plotting._axes import axes, color


@final
class SurvivorsDisplay:
    """Surviving hypotheses by number of labels, for one or several designs.

    Parameters
    ----------
    histories : mapping of str to sequence of dict
        ``history_`` of each design, of models with a number of ``survivors``.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
        Of the last ``plot``.

    Raises
    ------
    InvalidInputError
        If there is no history, or one does not know the survivors.
    MissingDependencyError
        By ``plot``, if matplotlib is not installed.

    Examples
    --------
    >>> from dfl.plotting import SurvivorsDisplay
    >>> history = [{"labels": 1.0, "survivors": 9.0}, {"labels": 2.0, "survivors": 4.0}]
    >>> SurvivorsDisplay({"directional": history}).plot().ax_.get_ylabel()
    'hypotheses left'
    """

    def __init__(self, histories: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
        if not histories:
            raise InvalidInputError("SurvivorsDisplay: got no design, expected at least one")
        for name, history in histories.items():
            if not history or any("survivors" not in entry for entry in history):
                raise InvalidInputError(
                    f"SurvivorsDisplay: the history of {name!r} does not know the survivors; "
                    "expected that of a FiniteHypothesisClass after a label"
                )
        self.histories = histories

    @classmethod
    def from_design(cls, design: Any, name: str | None = None) -> Self:
        """Take the history of a ``SequentialDesign``; its criterion is the default name."""
        return cls({name or type(design.criterion).__name__: design.history_})

    def plot(self, ax: Any = None) -> Self:
        """Draw a step line a design.

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
        for place, (name, history) in enumerate(self.histories.items()):
            labels = [entry["labels"] for entry in history]
            left = [entry["survivors"] for entry in history]
            ax.step(labels, left, where="post", color=color(place), label=name)
        ax.set_xlabel("labels")
        ax.set_ylabel("hypotheses left")
        ax.set_ylim(bottom=0)
        ax.grid(alpha=0.3)
        ax.legend(fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self
