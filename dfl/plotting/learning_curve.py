"""How training went, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, final

from dfl.exceptions import InvalidInputError
from dfl.plotting._axes import axes, color


@final
class LearningCurveDisplay:
    """Validation regret, or training loss, by epoch.

    Look at it before trusting a fit: a curve that still falls wants more epochs, one that jumps a
    smaller learning rate, and one that only rises says that the start, least squares, was best.

    Parameters
    ----------
    curves : mapping of str to sequence of sequences of float
        For each method one or more runs, a number an epoch.
    kept : mapping of str to int, optional
        Epoch whose weights a method kept; 0 for those before training.
    label : str, default="validation regret, %"
        Label of the vertical axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
        Of the last ``plot``.

    Raises
    ------
    InvalidInputError
        If there is no curve.
    MissingDependencyError
        By ``plot``, if matplotlib is not installed.

    Examples
    --------
    >>> from dfl.plotting import LearningCurveDisplay
    >>> display = LearningCurveDisplay({"SPO+": [[9.0, 8.0, 7.7]]}, kept={"SPO+": 3}).plot()
    >>> display.ax_.get_xlabel()
    'epoch'
    """

    def __init__(
        self,
        curves: Mapping[str, Sequence[Sequence[float]]],
        kept: Mapping[str, int] | None = None,
        label: str = "validation regret, %",
    ) -> None:
        if not any(len(run) for runs in curves.values() for run in runs):
            raise InvalidInputError(
                "LearningCurveDisplay: got no curve, expected at least one run of one epoch"
            )
        self.curves = curves
        self.kept = kept or {}
        self.label = label

    @classmethod
    def from_estimator(cls, estimator: Any, name: str | None = None) -> Self:
        """Take the history of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator with ``history_``
            Whose training is drawn.
        name : str, optional
            Its name in the legend. Default: that of its class.

        Returns
        -------
        LearningCurveDisplay
            Of the validation regret in percent, or of the training loss where none was measured.

        Raises
        ------
        NotFittedError
            If the estimator was not fitted.
        """
        return cls.from_estimators({name or type(estimator).__name__: estimator})

    @classmethod
    def from_estimators(cls, estimators: Mapping[str, Any]) -> Self:
        """Take the histories of several fitted estimators, by name; see ``from_estimator``."""
        from sklearn.utils.validation import check_is_fitted  # slow to import

        for estimator in estimators.values():
            check_is_fitted(estimator, "history_")
        histories = {name: estimator.history_ for name, estimator in estimators.items()}
        kept = {name: estimator.best_iter_ for name, estimator in estimators.items()}
        if all("validation" in entry for entries in histories.values() for entry in entries):
            curves = {
                name: [[100 * entry["validation"] for entry in entries]]
                for name, entries in histories.items()
            }
            return cls(curves, kept)
        losses = {name: [[e["loss"] for e in entries]] for name, entries in histories.items()}
        return cls(losses, label="training loss")

    def plot(self, ax: Any = None) -> Self:
        """Draw a line a run, in the color of its method.

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
        for place, (name, runs) in enumerate(self.curves.items()):
            for number, run in enumerate(runs):
                ax.plot(
                    range(1, 1 + len(run)),
                    run,
                    color=color(place),
                    alpha=0.6 if len(runs) > 1 else 1.0,
                    linewidth=0.8 if len(runs) > 1 else 1.4,
                    label=name if number == 0 else None,
                )
            if name in self.kept:
                ax.axvline(self.kept[name], color=color(place), linestyle=":", linewidth=1.0)
        ax.set_xlabel("epoch")
        ax.set_ylabel(self.label)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
        ax.legend(fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self
