"""A forest of trees whose splits are chosen for the decisions they cause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self, final

import numpy as np

from dfl.estimators._instance import InstanceData
from dfl.estimators._randomness import generator_of
from dfl.estimators._tree_fit import features_of, limits_of, read_task, whole
from dfl.estimators._tree_growth import grow
from dfl.estimators._tree_sample import Limits, Sample
from dfl.estimators._trees import Trees
from dfl.estimators.base import BaseDecisionRegressor
from dfl_solvers.oracle import Array, Oracle
from dfl_solvers.wrappers import Counts

# numbers held for rows that were drawn, so that memory stays bounded
_BLOCK = 1 << 23


@final
class SPOForestRegressor(BaseDecisionRegressor):
    """Many trees that split for decisions, each on rows of its own; predicts their mean cost.

    Use it where costs depend on features in ways that no line follows, and decisions need not be
    read; ``SPOTreeRegressor`` is the one to read.

    Parameters
    ----------
    oracle : Oracle
        The problem that the predicted costs feed; ``Maximize(...)`` of it for values.
    n_estimators : int, default=100
        Trees.
    max_depth : int, optional
        Default: until the rows of a leaf agree on a decision.
    min_samples_leaf : int, default=1
        Different rows, however often each was drawn.
    max_features : int, float or None, default=1/3
        Features that a node looks at, in number or as a share, drawn for each node; None for all.
    max_candidates : int, optional
        Thresholds that a node tries of a feature, at even ranks; for slow oracles. Default: all.
    bootstrap : bool, default=True
        Whether each tree is grown on n rows drawn with replacement, instead of on all rows.
    random_state : int, Generator, RandomState or None
        Draws rows and features.

    Attributes
    ----------
    trees_ : Trees
        The nodes of all trees as arrays; see ``SPOTreeRegressor``.
    feature_importances_ : ndarray of shape (p,)
        Share of each feature in the regret that splits save on the rows they were grown on.
    budget_ : Counts
        Oracle calls, instances solved and seconds spent in the oracle during ``fit``.
    n_features_in_ : int
        Number of features seen in ``fit``.
    cost_names_ : ndarray of str
        Names of the costs, if ``fit`` was given a data frame or a series with a name.

    See Also
    --------
    SPOTreeRegressor : One tree, to be read; says how splits are chosen.
    dfl.risk.ForestWeights : Decides under risk by the leaves of a forest, of this one too.

    References
    ----------
    Elmachtoub, Liang & McNellis, "Decision Trees for Decision-Making under the
    Predict-then-Optimize Framework", ICML 2020, arXiv 2003.00360; Breiman, "Random Forests",
    Machine Learning 45, 2001, doi 10.1023/A:1010933404324.

    Examples
    --------
    >>> from dfl import SPOForestRegressor
    >>> from dfl.datasets import make_shortest_path
    >>> data = make_shortest_path(200, grid=(3, 3), degree=4, random_state=0)
    >>> model = SPOForestRegressor(data.oracle, n_estimators=20, random_state=0)
    >>> bool(model.fit(data.X, data.C).score(data.X, data.C) > 0.95)
    True
    """

    trees_: Trees
    budget_: Counts
    _sign: int
    _one_output: bool

    def __init__(
        self,
        oracle: Oracle | None = None,
        *,
        n_estimators: int = 100,
        max_depth: int | None = None,
        min_samples_leaf: int = 1,
        max_features: int | float | None = 1 / 3,
        max_candidates: int | None = None,
        bootstrap: bool = True,
        random_state: Any = None,
    ) -> None:
        self.oracle = oracle
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.max_candidates = max_candidates
        self.bootstrap = bootstrap
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        instance: InstanceData | None = None,
    ) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X, y, sample_weight, instance
            As in ``SPOTreeRegressor.fit``.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError, InvalidInputError, InfeasibleError, UnboundedError
            As in ``SPOTreeRegressor.fit``.
        """
        whole(self, "n_estimators")
        task = read_task(self, X, y, sample_weight, instance)
        limits = limits_of(self, task.sample.X.shape[1])
        trees = self._grown(task.sample, limits, generator_of(self.random_state))
        self.trees_ = Trees.join(list(trees))
        self.feature_importances_ = self.trees_.importances(task.sample.X.shape[1])
        self.budget_ = task.counting.counts
        self._sign = task.sign
        self._one_output = task.table.one_output
        return self

    def _grown(self, sample: Sample, limits: Limits, rng: np.random.Generator) -> Iterator[Trees]:
        """Draw rows and grow trees, as many at once as memory allows."""
        n, d = sample.costs.shape
        at_once = max(1, _BLOCK // (n * (d + sample.X.shape[1])))
        for first in range(0, self.n_estimators, at_once):
            k = min(at_once, self.n_estimators - first)
            drawn = np.ones((k, n), dtype=np.int64)
            if self.bootstrap:
                # among rows of weight, so that those without leave no trace
                able = np.flatnonzero(sample.weights)
                drawn = np.zeros_like(drawn)
                picks = able[rng.integers(len(able), size=(k, len(able)))]
                np.add.at(drawn, (np.arange(k)[:, None], picks), 1)
            tree, rows = np.nonzero(drawn * (sample.weights > 0))
            yield grow(sample.take(rows, drawn[tree, rows]), limits, rng, tree, k)

    def predict(self, X: Any) -> Array:
        """Predict costs: the mean over the trees of the mean costs of their leaves.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.

        Returns
        -------
        ndarray of shape (n, d), or (n,) if ``fit`` was given 1-d costs
            Costs in the units of those given to ``fit``.
        """
        X = features_of(self, X)
        costs = self._sign * self.trees_.mean(X)
        return costs[:, 0] if self._one_output else costs

    def apply(self, X: Any) -> Array:
        """Return the leaf of each row in each tree.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.

        Returns
        -------
        ndarray of shape (n, n_estimators)
            Places of nodes in ``trees_``.
        """
        X = features_of(self, X)
        return self.trees_.apply(X)
