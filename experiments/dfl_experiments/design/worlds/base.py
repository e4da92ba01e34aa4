"""What a design is tried in: a pool, labels, and the truth to judge by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

if TYPE_CHECKING:
    import numpy as np

    from dfl_solvers.oracle import Array, Oracle

    Label = Callable[[Array, np.random.Generator], Array]
    Predict = Callable[[Array], Array]


Features = Literal["statistics", "words", "embedding"]


@final
@dataclass(frozen=True)
class World:
    """A world drawn by a seed.

    Attributes
    ----------
    oracle : Oracle
    pool : ndarray of shape (N, p)
        What may be labeled.
    label : callable
        Takes rows (m,) of the pool and a generator, returns costs (m, d): one experiment each.
    repeats : bool
        Whether a row may be labeled again: a category may, a text may not.
    regret : callable
        Takes what predicts costs, (n, p) to (n, d), returns the mean regret of the decisions.
    hypotheses : ndarray of shape (M, N, d), optional
        What M hypotheses, fixed in advance, predict for the rows of the pool.
    risks : ndarray of shape (M,), optional
        Mean regret of each of them.
    """

    oracle: Oracle
    pool: Array
    label: Label
    repeats: bool
    regret: Callable[[Predict], float]
    hypotheses: Array | None = None
    risks: Array | None = None
