"""A tree of decisions, drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from dfl.estimators._tree_text import feature_names, leaf_labels
from dfl.estimators._trees import Trees
from dfl.exceptions import InvalidInputError
from dfl.plotting._axes import axes, color

if TYPE_CHECKING:
    from dfl.estimators.spo_tree import SPOTreeRegressor


@final
class TreeDisplay:
    """The questions of a tree, and what each of its leaves decides.

    Use it for trees of up to some twenty leaves; ``export_text`` writes down any.

    Parameters
    ----------
    places : ndarray of shape (m, 2)
        Of the nodes: leaves side by side from 0, depth downward as a negative number.
    edges : ndarray of shape (m - 1, 2) of int
        Parents and children.
    texts : sequence of m str
        What stands in the nodes.
    leaves : ndarray of shape (m,) of bool
        True for the nodes that decide.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
        Of the last ``plot``.

    Raises
    ------
    InvalidInputError
        If numbers of places and texts differ.
    MissingDependencyError
        By ``plot``, if matplotlib is not installed.

    Examples
    --------
    >>> from dfl import SPOTreeRegressor
    >>> from dfl.plotting import TreeDisplay
    >>> from dfl_solvers import Simplex
    >>> model = SPOTreeRegressor(Simplex(2), ccp_alpha=0.0)
    >>> model = model.fit([[0.0], [1.0]], [[1.0, 2.0], [2.0, 1.0]])
    >>> TreeDisplay.from_estimator(model).plot().texts[0]
    'x0 <= 0.5'
    """

    def __init__(self, places: Any, edges: Any, texts: Any, leaves: Any) -> None:
        self.places = np.asarray(places, dtype=float)
        self.edges = np.asarray(edges, dtype=int).reshape(-1, 2)
        self.texts = list(texts)
        self.leaves = np.asarray(leaves, dtype=bool)
        if not len(self.places) == len(self.texts) == len(self.leaves):
            raise InvalidInputError(
                f"TreeDisplay: got {len(self.places)} places, {len(self.texts)} texts and "
                f"{len(self.leaves)} marks of leaves, expected as many of each"
            )

    @classmethod
    def from_estimator(cls, estimator: SPOTreeRegressor, *, digits: int = 3) -> Self:
        """Lay out a fitted tree.

        Parameters
        ----------
        estimator : SPOTreeRegressor
            A fitted tree.
        digits : int, default=3
            Significant digits of thresholds and regrets.

        Raises
        ------
        NotFittedError
            If the estimator was not fitted.
        InvalidInputError
            If it is no SPOTreeRegressor.
        """
        from sklearn.utils.validation import check_is_fitted  # slow to import

        check_is_fitted(estimator)
        tree = getattr(estimator, "tree_", None)
        if not isinstance(tree, Trees):
            raise InvalidInputError(
                f"TreeDisplay: got a {type(estimator).__name__}, expected an SPOTreeRegressor"
            )
        names = feature_names(estimator)
        labels = leaf_labels(estimator, digits)
        x = np.zeros(len(tree.feature))
        ahead, n_leaves = [int(tree.roots[0])], 0
        while ahead:  # leaves from left to right
            node = ahead.pop()
            if tree.leaves[node]:
                x[node] = n_leaves
                n_leaves += 1
            else:
                ahead += [int(tree.right[node]), int(tree.left[node])]
        inner = np.flatnonzero(~tree.leaves)
        for node in inner[::-1]:  # children first
            x[node] = (x[tree.left[node]] + x[tree.right[node]]) / 2
        texts = [
            labels[node].replace(", mean", "\nmean").replace(", decide", "\ndecide")
            if tree.leaves[node]
            else f"{names[tree.feature[node]]} <= {tree.threshold[node]:.{digits}g}"
            for node in range(len(x))
        ]
        edges = [(node, child[node]) for node in inner for child in (tree.left, tree.right)]
        return cls(np.column_stack([x, -tree.depths()]), edges, texts, tree.leaves)

    def plot(self, ax: Any = None) -> Self:
        """Draw the tree; rows go left where the answer is yes.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Default: those of a new figure.

        Returns
        -------
        self
            The display itself.
        """
        wide, deep = self.places[:, 0].max() + 1, 1 - self.places[:, 1].min()
        ax = axes(ax, max(4.0, 1.8 * wide), max(2.0, 1.2 * deep))
        for parent, child in self.edges:
            ax.plot(*self.places[[parent, child]].T, color="0.6", linewidth=1.0, zorder=1)
        for place, text, leaf in zip(self.places, self.texts, self.leaves, strict=True):
            box = {"boxstyle": "round", "facecolor": "white", "edgecolor": color(2 if leaf else 0)}
            ax.text(*place, text, ha="center", va="center", fontsize="small", bbox=box, zorder=2)
        ax.set_xlim(-0.6, wide - 0.4)
        ax.set_ylim(0.5 - deep, 0.5)
        ax.axis("off")
        self.ax_, self.figure_ = ax, ax.figure
        return self
