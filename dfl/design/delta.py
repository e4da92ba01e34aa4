"""Directional uncertainty of a posterior, to first order."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from dfl.design._scoring import check_pool, lateral
from dfl_solvers.oracle import Array, Oracle


@final
class DeltaDirectionalUncertainty:
    r"""Standard deviation of the direction of the costs, by the delta method.

    Directional uncertainty for models with a covariance, and a smooth one for committees, where it
    does not hang on a single odd member.

    Parameters
    ----------
    project : bool, default=True
        Look at the part of the costs that can change a decision, see ``project_costs``.

    Raises
    ------
    InvalidInputError
        By ``score``, if the oracle is needed and missing.
    UnsupportedError
        By ``score``, if the model has neither a posterior nor members, or the objective of
        the oracle is not ``c.w`` alone.

    Notes
    -----
    Reconstructed. For costs of mean c and covariance :math:`\Sigma`, with
    :math:`P_u = \Pi - u u^\top` and :math:`u = \Pi c / \lVert \Pi c \rVert`,

    .. math::

        U(x) = \min\left(2, \frac{\sqrt{\operatorname{tr}(P_u \Sigma)}}{\lVert \Pi c \rVert}\right),

    whose square is the first-order value of the mean squared distance of directions. A committee
    has the mean and covariance of its members.

    Where one dimension is left after the projection, as between two decisions, a direction is a
    sign and does not move to this order: all scores are zero, and tell no rows apart. Use
    ``DirectionalUncertainty`` there.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.design import DeltaDirectionalUncertainty, FiniteHypothesisClass
    >>> from dfl_solvers import Box
    >>> model = FiniteHypothesisClass(np.array([[[5.0, 1.0]], [[5.0, -1.0]]]))
    >>> DeltaDirectionalUncertainty().score(model, np.arange(1), Box(2)).round(3)
    array([0.283])
    """

    def __init__(self, project: bool = True) -> None:
        self.project = project

    def score(
        self, model: Any, pool: Any, oracle: Oracle | None = None, pool_weight: Array | None = None
    ) -> Array:
        """Score a pool by a model with a posterior or members, (n, p) to (n,), from 0 to 2."""
        lengths, across = lateral(self, model, check_pool(pool), oracle, self.project)
        spread = np.sqrt(across)
        return np.asarray(np.minimum(2.0, spread / np.maximum(lengths, spread / 2 + (spread == 0))))

    def __repr__(self) -> str:
        return f"DeltaDirectionalUncertainty(project={self.project})"
