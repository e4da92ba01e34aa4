"""Directional uncertainty: how far apart the directions of predicted costs are."""

from __future__ import annotations

from typing import Any, Literal, final

import numpy as np

from dfl.design._kernels import around_mean, farthest_directions
from dfl.design._scoring import blocks, check_pool, need_direction
from dfl.design.projection import TINY
from dfl.exceptions import InvalidInputError
from dfl_solvers.kernels import SLOW, run
from dfl_solvers.oracle import Array, Oracle

# what is left of the distance of equal directions by rounding
_ROUNDING = 1e-12


@final
class DirectionalUncertainty:
    r"""Largest distance between the directions of the costs that two hypotheses predict.

    Decisions depend on the direction of the costs only. Hypotheses that differ in scale agree on
    every decision, and this criterion spends no label on telling them apart. It calls no oracle.
    Use it with a class of hypotheses or a committee, and sample by it: always labeling the row of
    the largest uncertainty was worse than random in our measurements.

    Parameters
    ----------
    method : {"exact", "bound"}, default="exact"
        ``"exact"`` compares all pairs of M members, O(M^2 d) a row. ``"bound"`` is twice the
        largest distance to the mean direction, O(M d) a row: never below the exact value and at
        most twice as large, so that what is certified with it stays certified.
    project : bool, default=True
        Look at the part of the costs that can change a decision, see ``project_costs``. Without
        equality constraints it changes nothing.

    Raises
    ------
    InvalidInputError
        By ``score``, if the method is unknown or the oracle is needed and missing.
    UnsupportedError
        By ``score``, if the model has no members, or the objective of the oracle is not ``c.w``
        alone: decisions then depend on the scale of the costs too.

    Notes
    -----
    For hypotheses h in the surviving set H, after projection,

    .. math::

        U(x) = \max_{h, h' \in H} \left\lVert \frac{h(x)}{\lVert h(x) \rVert}
               - \frac{h'(x)}{\lVert h'(x) \rVert} \right\rVert \in [0, 2],

    which is :math:`2 \sin(\theta_{\max} / 2)`. Costs of length zero have no direction; where a
    member predicts them, :math:`U(x) = 2`.

    References
    ----------
    Wan, Liu, Grigas & Shen, "Decision-Focused Sequential Experimental Design: A Directional
    Uncertainty-Guided Approach", 2026, arXiv 2602.05340. The bound is ours.

    Examples
    --------
    Two hypotheses for two designs: of other scale for the first, of other direction for the second.

    >>> import numpy as np
    >>> from dfl.design import DirectionalUncertainty, FiniteHypothesisClass
    >>> from dfl_solvers import Box
    >>> table = np.array([[[1.0, 2.0], [1.0, 0.0]], [[3.0, 6.0], [0.0, 1.0]]])
    >>> DirectionalUncertainty().score(FiniteHypothesisClass(table), np.arange(2), Box(2)).round(3)
    array([0.   , 1.414])
    """

    def __init__(self, method: Literal["exact", "bound"] = "exact", project: bool = True) -> None:
        self.method = method
        self.project = project

    def score(
        self, model: Any, pool: Any, oracle: Oracle | None = None, pool_weight: Array | None = None
    ) -> Array:
        """Score a pool.

        Parameters
        ----------
        model : committee
            With ``members(X) -> (n, M, d)``.
        pool : array-like of shape (n, p)
            Features of the rows to choose from.
        oracle : Oracle, optional
            For the projection; it is not asked to solve anything.
        pool_weight : ignored
            Not used; criteria of whole designs need it.

        Returns
        -------
        ndarray of shape (n,)
            Between 0 and 2, without unit.
        """
        if self.method not in ("exact", "bound"):
            raise InvalidInputError(f"got method={self.method!r}, expected 'exact' or 'bound'")
        need_direction(self, oracle)
        pool = check_pool(pool)
        scores = np.empty(len(pool))
        for rows, costs, normal in blocks(self, model, pool, oracle, self.project):
            lost, own = np.empty(costs.shape[:2], dtype=bool), scores[rows]
            kernel = farthest_directions if self.method == "exact" else around_mean
            run(kernel, len(costs), costs, normal, TINY, lost, own, serial=SLOW)
            own[own < _ROUNDING] = 0.0
            own[lost.any(axis=1) & (costs.shape[1] > 1)] = 2.0
        return scores

    def __repr__(self) -> str:
        return f"DirectionalUncertainty(method={self.method!r}, project={self.project})"
