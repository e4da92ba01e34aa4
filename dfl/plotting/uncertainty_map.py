"""Where in a pool there is most to learn."""

from __future__ import annotations

from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from dfl.exceptions import InvalidInputError
from dfl.plotting._axes import COLORS, axes


@final
class UncertaintyMapDisplay:
    """Scores of the rows of a pool with two features, and the rows that were labeled.

    Of pools with more features, pass two columns, or two principal components.

    Parameters
    ----------
    pool : array-like of shape (n, 2)
        Features of the rows.
    scores : array-like of shape (n,)
        Of any criterion.
    labeled : array-like of int, optional
        Rows that were labeled.
    name : str, default="score"
        Of the scores.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
        Of the last ``plot``.

    Raises
    ------
    InvalidInputError
        If the pool has not two columns, or there is not one score a row.
    MissingDependencyError
        By ``plot``, if matplotlib is not installed.

    Examples
    --------
    >>> from dfl.plotting import UncertaintyMapDisplay
    >>> pool = [[0.0, 0.0], [1.0, 0.5], [2.0, 1.0]]
    >>> display = UncertaintyMapDisplay(pool, [0.1, 1.9, 0.4], labeled=[1]).plot()
    >>> display.ax_.get_xlabel()
    'feature 0'
    """

    def __init__(
        self,
        pool: npt.ArrayLike,
        scores: npt.ArrayLike,
        labeled: npt.ArrayLike = (),
        name: str = "score",
    ) -> None:
        self.pool = np.asarray(pool, dtype=float)
        self.scores = np.asarray(scores, dtype=float)
        self.labeled = np.asarray(labeled, dtype=int)
        self.name = name
        if self.pool.ndim != 2 or self.pool.shape[1] != 2:
            raise InvalidInputError(
                f"UncertaintyMapDisplay: got a pool of shape {self.pool.shape}, expected (n, 2): "
                "choose two columns"
            )
        if self.scores.shape != (len(self.pool),):
            raise InvalidInputError(
                f"UncertaintyMapDisplay: got scores of shape {self.scores.shape}, expected "
                f"({len(self.pool)},)"
            )

    @classmethod
    def from_design(cls, design: Any, pool: npt.ArrayLike) -> Self:
        """Score a pool by the criterion of a ``SequentialDesign``, as its model knows it now."""
        scores = design.criterion.score(design.model, np.asarray(pool), design.oracle)
        return cls(pool, scores, design.indices_, type(design.criterion).__name__)

    def plot(self, ax: Any = None) -> Self:
        """Draw a dot a row, and a ring around each that was labeled.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Default: those of a new figure.

        Returns
        -------
        self
            The display itself.
        """
        ax = axes(ax, 5.0, 4.0)
        drawn = ax.scatter(*self.pool.T, c=self.scores, cmap="viridis", s=14)
        if len(self.labeled):
            ax.scatter(
                *self.pool[self.labeled].T,
                facecolors="none",
                edgecolors=COLORS[1],
                s=50,
                label="labeled",
            )
            ax.legend(fontsize="small")
        ax.figure.colorbar(drawn, ax=ax, label=self.name)
        ax.set_xlabel("feature 0")
        ax.set_ylabel("feature 1")
        self.ax_, self.figure_ = ax, ax.figure
        return self
