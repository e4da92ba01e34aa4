"""Weights by the leaves of a forest."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from sklearn.base import RegressorMixin, clone

from dfl.risk.weights import AbstractWeights
from dfl_solvers.oracle import Array


@final
class ForestWeights(AbstractWeights):
    r"""Old instances count as often as trees put them into the same leaf as the new one.

    The forest finds out which features matter, which distances do not. A good first choice.

    Parameters
    ----------
    forest : scikit-learn forest, optional
        Anything with ``apply``; cloned and fitted on the outcomes. Default:
        ``RandomForestRegressor`` with 100 trees of at least 10 instances a leaf.
    random_state : int or None
        Of the default forest.

    Notes
    -----
    :math:`w_i(x) = \frac 1 T \sum_t 1\{x_i \in L_t(x)\} / |L_t(x)|` for the leaves
    :math:`L_t(x)` of T trees, counted over all old instances.

    References
    ----------
    D. Bertsimas, N. Kallus. From Predictive to Prescriptive Analytics. Management Science 66
    (2020). arXiv:1402.5481

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.risk import ForestWeights
    >>> x = np.arange(40.0)[:, None]
    >>> weights = ForestWeights(random_state=0).fit(x, x[:, 0] > 19).weights([[30.0]])
    >>> bool(weights[0, 20:].sum() > 0.95)
    True
    """

    def __init__(self, forest: RegressorMixin | None = None, random_state: Any = None) -> None:
        self.forest = forest
        self.random_state = random_state

    def _fit(self, X: Array, y: Array) -> None:
        from sklearn.ensemble import RandomForestRegressor  # slow to import

        forest: Any = RandomForestRegressor(
            100, min_samples_leaf=10, random_state=self.random_state
        )
        if self.forest is not None:
            forest = clone(self.forest)
        self.forest_ = forest.fit(X, y[:, 0] if y.shape[1] == 1 else y)
        self._leaves = self.forest_.apply(X)

    def _weights(self, X: Array) -> Array:
        weights = np.zeros((len(X), len(self._leaves)))
        for own, old in zip(self.forest_.apply(X).T, self._leaves.T, strict=True):
            together = own[:, None] == old
            weights += together / together.sum(axis=1, keepdims=True)
        return weights / self._leaves.shape[1]
