"""Distance between predicted costs, blind to decisions."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from dfl.design._kernels import farthest
from dfl.design._scoring import blocks, check_pool
from dfl.design.projection import off
from dfl_solvers.kernels import SLOW, run
from dfl_solvers.oracle import Array, Oracle


@final
class L2Uncertainty:
    r"""Largest distance between the costs that two members predict; the usual baseline.

    Blind to decisions: it spends labels on the scale of costs as on their direction.

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
    :math:`\max_{h, h'} \lVert h(x) - h'(x) \rVert`, in O(M^2 d) a row.

    References
    ----------
    Wan, Liu, Grigas & Shen, 2026, arXiv 2602.05340, where it is the baseline.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.design import FiniteHypothesisClass, L2Uncertainty
    >>> model = FiniteHypothesisClass(np.array([[[1.0, 2.0]], [[4.0, 6.0]]]))
    >>> L2Uncertainty().score(model, np.arange(1))
    array([5.])
    """

    def __init__(self, project: bool = False) -> None:
        self.project = project

    def score(
        self, model: Any, pool: Any, oracle: Oracle | None = None, pool_weight: Array | None = None
    ) -> Array:
        """Score a pool by the committee ``model``, (n, p) to (n,), in units of the costs."""
        pool = check_pool(pool)
        scores = np.empty(len(pool))
        for rows, costs, normal in blocks(self, model, pool, oracle, self.project):
            run(farthest, len(costs), off(costs, normal), scores[rows], serial=SLOW)
        return scores

    def __repr__(self) -> str:
        return f"L2Uncertainty(project={self.project})"
