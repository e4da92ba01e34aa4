"""How near a prediction is to another decision."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import numpy.typing as npt

from dfl.design._scoring import check_pool, need_direction
from dfl.design.projection import TINY, project_costs
from dfl.exceptions import InvalidInputError
from dfl_solvers.degeneracy import degeneracy_distance
from dfl_solvers.oracle import Array, Oracle


@final
class MarginUncertainty:
    r"""Nearness of the predicted costs to a tie between decisions.

    Margin-based active learning, for a pool. It solves the whole pool at each ``ask`` and needs the
    distance to degeneracy of the oracle; directional uncertainty needs neither. For a stream of
    rows, with the published guarantees, use ``MarginStream``.

    Raises
    ------
    InvalidInputError
        By ``score``, if the oracle is missing.
    UnsupportedError
        By ``score``, if the distances of the oracle are not known; see ``degeneracy_distance``.

    Notes
    -----
    Reconstructed for pools: the paper thresholds :math:`\nu_S` in a stream. With the distance
    :math:`\nu_S(h(x))` of the predicted costs to the nearest ones with several optimal decisions,
    and its median m over the pool, the score is :math:`m / (m + \nu_S)`: 1 at a tie, 1/2 at the
    median.

    References
    ----------
    M. Liu, P. Grigas, H. Liu, Z.-J. M. Shen. Active learning in the predict-then-optimize
    framework: a margin-based approach (2023). arXiv 2305.06584

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.design import FiniteHypothesisClass, MarginUncertainty
    >>> from dfl_solvers import Box
    >>> model = FiniteHypothesisClass(np.array([[[0.5, 2.0], [4.0, 1.0], [3.0, 0.0]]]))
    >>> MarginUncertainty().score(model, np.arange(3), Box(2)).round(3)
    array([0.5  , 0.333, 1.   ])
    """

    def score(
        self, model: Any, pool: Any, oracle: Oracle | None = None, pool_weight: Array | None = None
    ) -> Array:
        """Score a pool by any model that predicts, (n, p) to (n,), from 0 to 1."""
        if oracle is None:
            raise InvalidInputError("MarginUncertainty needs the oracle; pass oracle=")
        margins = degeneracy_distance(oracle, model.predict(check_pool(pool))).distance
        finite = margins[np.isfinite(margins)]
        middle = float(np.median(finite)) if len(finite) else 0.0
        if not middle > 0:  # half of the pool is at a tie
            return np.where(margins == 0, 1.0, 0.0)
        return np.asarray(middle / (middle + margins))

    def __repr__(self) -> str:
        return "MarginUncertainty()"


def directional_margin(oracle: Oracle, costs: npt.ArrayLike, quantile: float = 0.0) -> float:
    r"""Estimate how far directions of predicted costs stay away from ties.

    The constant of the margin condition, for ``directional_lipschitz`` and
    ``DirectionsWithinMargin``.

    Parameters
    ----------
    oracle : Oracle
        The problem that the costs feed.
    costs : array-like of shape (n, d)
        Predictions of all hypotheses on all rows that matter. Others may be nearer to a tie: the
        least over a sample is an estimate from above.
    quantile : float, default=0
        0 is the least margin. A small quantile ignores the few rows nearest to a tie, and the
        condition then fails on them.

    Returns
    -------
    float
        Between 0 and 1. Where distances to ties are lower bounds only, so is it.

    Raises
    ------
    InvalidInputError
        If there are no costs, one is not finite, or the quantile is not between 0 and 1.
    UnsupportedError
        If the distances of the oracle are not known, or its objective is not ``c.w`` alone.

    Notes
    -----
    The quantile of :math:`\nu_S(\Pi c) / \lVert \Pi c \rVert`, with
    :math:`\nu_S` as in ``degeneracy_distance``; zero for costs without direction.

    References
    ----------
    Wan, Liu, Grigas & Shen, 2026, arXiv 2602.05340, for the condition; estimating it is ours.

    Examples
    --------
    >>> from dfl.design import directional_margin
    >>> from dfl_solvers import Box
    >>> directional_margin(Box(2), [[3.0, 4.0], [1.0, 0.0]], quantile=1.0)
    0.6
    """
    array = np.asarray(costs, dtype=float)
    if array.ndim != 2 or not len(array):
        raise InvalidInputError(f"got costs of shape {array.shape}, expected (n, d), n at least 1")
    if not 0 <= quantile <= 1:
        raise InvalidInputError(f"got quantile={quantile}, expected 0 to 1")
    need_direction(directional_margin, oracle)
    projected = project_costs(oracle, array)
    lengths = np.linalg.norm(projected, axis=1)
    some = lengths > TINY * np.linalg.norm(array, axis=1)
    distance = degeneracy_distance(oracle, projected).distance
    ratio = np.divide(distance, lengths, out=np.zeros(len(lengths)), where=some)
    return float(np.quantile(ratio, quantile))
