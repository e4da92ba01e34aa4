"""The design of the least total variance of the parameters."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from dfl.design._linear_design import check, gains, greedy
from dfl.design._scoring import check_pool
from dfl_solvers.oracle import Array, Oracle


@final
class AOptimal:
    r"""How much a label lowers the total variance of the parameters.

    It depends on the units of the features: standardize them.

    Raises
    ------
    UnsupportedError
        By ``score``, if the model is not linear.

    Notes
    -----
    :math:`\lVert A^{-1} z \rVert^2 / (1 + z^\top A^{-1} z)`, by which
    :math:`\operatorname{tr}(A^{-1})` falls (Sherman & Morrison).

    References
    ----------
    Pukelsheim, "Optimal Design of Experiments", 1993.

    Examples
    --------
    >>> from dfl.design import AOptimal, BayesianLinearRegression
    >>> model = BayesianLinearRegression(fit_intercept=False).fit([[1.0]], [[2.0, 3.0]])
    >>> AOptimal().score(model, [[1.0], [2.0]]).round(4)
    array([0.1667, 0.3333])
    """

    def score(
        self, model: Any, pool: Any, oracle: Oracle | None = None, pool_weight: Array | None = None
    ) -> Array:
        """Score a pool by a linear model, (n, p) to (n,)."""
        check(self, model)
        return gains(model.features(check_pool(pool)), model.inverse_, np.eye(len(model.inverse_)))

    def select(
        self,
        model: Any,
        pool: Any,
        n: int,
        allowed: Array,
        repeats: bool,
        oracle: Oracle | None = None,
        pool_weight: Array | None = None,
    ) -> Array:
        """Choose n of the allowed rows, each in view of those before."""
        check(self, model)
        features, inverse = model.features(check_pool(pool)), model.inverse_
        return greedy(features, inverse, np.eye(len(inverse)), n, allowed, repeats)

    def __repr__(self) -> str:
        return "AOptimal()"
