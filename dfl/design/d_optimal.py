"""The design of the smallest confidence region for the parameters."""

from __future__ import annotations

from typing import Any, final

from dfl.design._linear_design import check, gains, greedy
from dfl.design._scoring import check_pool
from dfl_solvers.oracle import Array, Oracle


@final
class DOptimal:
    r"""Leverage of a row: the label that shrinks the volume of the confidence region the most.

    The classical design of linear models. In our measurements no criterion of decisions beat it on
    linear models with equal noise.

    Raises
    ------
    UnsupportedError
        By ``score``, if the model is not linear.

    Notes
    -----
    :math:`z^\top A^{-1} z` with the features z of a row and :math:`A = \sum z z^\top + \lambda I`;
    the logarithm of the determinant of A rises by :math:`\log(1 + z^\top A^{-1} z)`.

    References
    ----------
    Pukelsheim, "Optimal Design of Experiments", 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.design import BayesianLinearRegression, DOptimal
    >>> model = BayesianLinearRegression(fit_intercept=False).fit([[1.0]], [[2.0, 3.0]])
    >>> DOptimal().score(model, [[1.0], [2.0]])
    array([0.5, 2. ])
    """

    def score(
        self, model: Any, pool: Any, oracle: Oracle | None = None, pool_weight: Array | None = None
    ) -> Array:
        """Score a pool by a linear model, (n, p) to (n,)."""
        check(self, model)
        return gains(model.features(check_pool(pool)), model.inverse_, None)

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
        return greedy(features, model.inverse_, None, n, allowed, repeats)

    def __repr__(self) -> str:
        return "DOptimal()"
