"""Directional uncertainty as the spread of all directions, not of the two extreme ones."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from dfl.design._scoring import check_pool, unit_blocks
from dfl_solvers.oracle import Array, Oracle


@final
class ResultantUncertainty:
    r"""One minus the length of the mean direction of members or posterior draws.

    The Monte Carlo form of directional uncertainty for models of any kind: all members count, in
    time linear in their number.

    Parameters
    ----------
    project : bool, default=True
        Look at the part of the costs that can change a decision, see ``project_costs``.

    Raises
    ------
    InvalidInputError
        By ``score``, if the oracle is needed and missing.
    UnsupportedError
        By ``score``, if the model has no members, or the objective of
        the oracle is not ``c.w`` alone.

    Notes
    -----
    Reconstructed. For directions u of M members,

    .. math::

        U(x) = 1 - \Bigl\lVert \frac 1 M \sum_m u_m \Bigr\rVert \in [0, 1].

    The mean squared distance of two members drawn with replacement is
    :math:`2 - 2 (1 - U(x))^2`. Members without direction count as zero in the mean.

    References
    ----------
    Mardia & Jupp, "Directional Statistics", 2000, section 9.2, for the resultant.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.design import FiniteHypothesisClass, ResultantUncertainty
    >>> from dfl_solvers import Box
    >>> model = FiniteHypothesisClass(np.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> ResultantUncertainty().score(model, np.arange(1), Box(2)).round(4)
    array([0.2929])
    """

    def __init__(self, project: bool = True) -> None:
        self.project = project

    def score(
        self, model: Any, pool: Any, oracle: Oracle | None = None, pool_weight: Array | None = None
    ) -> Array:
        """Score a pool by a model with members, (n, p) to (n,), from 0 to 1."""
        pool = check_pool(pool)
        scores = np.empty(len(pool))
        for rows, _, unit, _ in unit_blocks(self, model, pool, oracle, self.project):
            scores[rows] = 1 - np.linalg.norm(unit.mean(axis=1), axis=1)
        return np.maximum(scores, 0.0)

    def __repr__(self) -> str:
        return f"ResultantUncertainty(project={self.project})"
