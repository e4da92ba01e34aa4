"""Variance of predicted costs, blind to decisions."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from dfl.design._scoring import blocks, check_pool
from dfl.design.projection import off
from dfl_solvers.oracle import Array, Oracle


@final
class CommitteeVariance:
    r"""Total variance of the costs that members predict; query by committee, a baseline.

    Parameters
    ----------
    project : bool, default=False
        Look at the part of the costs that can change a decision only, see ``project_costs``.

    Raises
    ------
    InvalidInputError
        By ``score``, if the oracle is needed and missing.
    UnsupportedError
        By ``score``, if the model has no members.

    Notes
    -----
    :math:`\frac{1}{M - 1} \sum_m \lVert h_m(x) - \bar h(x) \rVert^2`, in squared units of the
    costs.

    References
    ----------
    Burbidge, Rowland & King, "Active Learning for Regression Based on Query by Committee", IDEAL
    2007, doi 10.1007/978-3-540-77226-2_22.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.design import CommitteeVariance, FiniteHypothesisClass
    >>> model = FiniteHypothesisClass(np.array([[[1.0, 2.0]], [[3.0, 2.0]]]))
    >>> CommitteeVariance().score(model, np.arange(1))
    array([2.])
    """

    def __init__(self, project: bool = False) -> None:
        self.project = project

    def score(
        self, model: Any, pool: Any, oracle: Oracle | None = None, pool_weight: Array | None = None
    ) -> Array:
        """Score a pool by a model with members, (n, p) to (n,)."""
        pool = check_pool(pool)
        scores = np.empty(len(pool))
        for rows, costs, normal in blocks(self, model, pool, oracle, self.project):
            # the mean is taken off first: sums of squares alone would lose all digits
            away = off(costs - costs.mean(axis=1, keepdims=True), normal)
            scores[rows] = np.vecdot(away, away).sum(axis=1) / max(1, costs.shape[1] - 1)
        return scores

    def __repr__(self) -> str:
        return f"CommitteeVariance(project={self.project})"
