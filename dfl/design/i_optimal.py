"""The design of the least mean variance of predictions."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from dfl.design._linear_design import check, gains, greedy, moments
from dfl.design._scoring import check_pool
from dfl_solvers.oracle import Array, Oracle


@final
class IOptimal:
    r"""How much a label lowers the mean variance of predictions over the pool.

    Also called V-optimal. Blind to decisions; ``IntegratedDirectionalDesign`` weighs rows by what
    their errors do to decisions.

    Raises
    ------
    UnsupportedError
        By ``score``, if the model is not linear.

    Notes
    -----
    :math:`z^\top A^{-1} M A^{-1} z / (1 + z^\top A^{-1} z)` with
    :math:`M = \sum_x p(x) z(x) z(x)^\top`, by which the mean of
    :math:`z^\top A^{-1} z` over the pool falls (Sherman & Morrison).

    References
    ----------
    Pukelsheim, "Optimal Design of Experiments", 1993.

    Examples
    --------
    >>> from dfl.design import BayesianLinearRegression, IOptimal
    >>> model = BayesianLinearRegression(fit_intercept=False).fit([[1.0]], [[2.0, 3.0]])
    >>> IOptimal().score(model, [[1.0], [2.0]]).round(4)
    array([0.4167, 0.8333])
    """

    def score(
        self, model: Any, pool: Any, oracle: Oracle | None = None, pool_weight: Array | None = None
    ) -> Array:
        """Score a pool by a linear model, (n, p) to (n,)."""
        check(self, model)
        features = model.features(check_pool(pool))
        return gains(features, model.inverse_, _matrix(features, pool_weight))

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
        features = model.features(check_pool(pool))
        matrix = _matrix(features, pool_weight)
        return greedy(features, model.inverse_, matrix, n, allowed, repeats)

    def __repr__(self) -> str:
        return "IOptimal()"


def _matrix(features: Array, law: Array | None) -> Array:
    return moments(features, np.ones(len(features)), law)
