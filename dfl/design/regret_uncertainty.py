"""Directional uncertainty in units of regret."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from dfl.design._scoring import check_pool, lateral
from dfl_solvers.oracle import Array, Oracle


@final
class RegretUncertainty:
    r"""Expected regret of deciding by the mean costs: directional uncertainty times their length.

    A wrong direction costs little where costs are small. Use it instead of directional uncertainty
    where rows differ in the size of their costs.

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
    Reconstructed. With the terms of ``DeltaDirectionalUncertainty``,

    .. math::

        U(x) = \frac{\operatorname{tr}(P_u \Sigma)}{2 \lVert \Pi c \rVert}
             = \frac 1 2 \lVert \Pi c \rVert \, U_\Delta(x)^2,

    the expected regret on the unit ball to second order; for other sets it is a guide. It is cut at
    :math:`\sqrt{\operatorname{tr}(P_u \Sigma)}`, since regret does not exceed the size of the
    uncertainty where the mean vanishes.

    Where one dimension is left after the projection, as between two decisions, a direction is a
    sign and does not move to this order: all scores are zero, and tell no rows apart. Use
    ``DirectionalUncertainty`` there.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.design import FiniteHypothesisClass, RegretUncertainty
    >>> from dfl_solvers import Box
    >>> model = FiniteHypothesisClass(np.array([[[5.0, 1.0]], [[5.0, -1.0]]]))
    >>> RegretUncertainty().score(model, np.arange(1), Box(2))
    array([0.2])
    """

    def __init__(self, project: bool = True) -> None:
        self.project = project

    def score(
        self, model: Any, pool: Any, oracle: Oracle | None = None, pool_weight: Array | None = None
    ) -> Array:
        """Score a pool by a model with a posterior or members, (n, p) to (n,), as a cost."""
        lengths, across = lateral(self, model, check_pool(pool), oracle, self.project)
        spread = np.sqrt(across)
        return np.asarray(across / np.maximum(2 * lengths, spread + (spread == 0)))

    def __repr__(self) -> str:
        return f"RegretUncertainty(project={self.project})"
