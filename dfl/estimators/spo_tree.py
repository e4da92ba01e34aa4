"""A regression tree whose splits are chosen for the decisions they cause."""

from __future__ import annotations

import numbers
from typing import Any, Literal, Self, final

import numpy as np
from sklearn.utils.validation import check_is_fitted

from dfl.estimators import _tree_pruning
from dfl.estimators._folds import Fold
from dfl.estimators._instance import InstanceData
from dfl.estimators._randomness import generator_of
from dfl.estimators._tree_fit import Task, features_of, folds_of, limits_of, read_task
from dfl.estimators._tree_growth import grow
from dfl.estimators._tree_sample import Limits
from dfl.estimators._tree_text import text_of
from dfl.estimators._trees import Trees
from dfl.estimators.base import BaseDecisionRegressor
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Oracle
from dfl_solvers.wrappers import Counts


@final
class SPOTreeRegressor(BaseDecisionRegressor):
    """A tree of few questions, each of which changes decisions; its leaves predict mean costs.

    Use it where people are to read why a decision is made: ``export_text`` says for each leaf who
    falls into it and what is decided there. A tree of scikit-learn splits where costs change most;
    this one splits where another decision becomes better, so that it needs fewer leaves. A forest
    of them, ``SPOForestRegressor``, decides better and cannot be read.

    Parameters
    ----------
    oracle : Oracle
        The problem that the predicted costs feed; ``Maximize(...)`` of it for values.
    max_depth : int, optional
        Default: until the rows of a leaf agree on a decision.
    min_samples_leaf : int, default=1
        Rows, whatever their weights.
    max_features : int or float, optional
        Features that a node looks at, in number or as a share, drawn for each node. Default: all.
    max_candidates : int, optional
        Thresholds that a node tries of a feature, at even ranks; for slow oracles. Default: all.
    ccp_alpha : float or "cv", default="cv"
        What a leaf has to save to be worth it, in mean regret, in the units of the costs; ``"cv"``
        chooses it by regret on held-out rows.
    cv : int or scikit-learn splitter, default=5
        Folds for ``ccp_alpha="cv"``: random ones, those of ``groups``, or for dated rows folds that
        validate after they train. A splitter of one split is a single validation set. Fewer than
        10 rows are not held out, and the tree is not pruned; nor is it where no fold has weight
        on both sides.
    random_state : int, Generator, RandomState or None
        Draws folds and features.

    Attributes
    ----------
    tree_ : Trees
        The nodes as arrays: ``feature``, ``threshold``, ``left``, ``right``, ``values`` (in the
        sense of minimization), ``weight`` and ``loss``, the regret of a node's rows.
    ccp_alpha_ : float
        The price of a leaf.
    alphas_ : ndarray of shape (k,)
        Prices tried, for ``ccp_alpha="cv"``.
    regret_path_ : ndarray of shape (k, n_folds)
        Their normalized regret on each held-out fold.
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
    SPOForestRegressor : Many trees, for better decisions.
    dfl.plotting.TreeDisplay : Draws the tree.

    Notes
    -----
    The mean cost of a leaf is the best prediction for it, whatever the oracle, since
    ``sum_i c_i.w`` over its rows is least at ``w*(mean)``. A split of weights V and V' is judged by
    what its two sides cost::

        V z*(mean of the left)  +  V' z*(mean of the right)

    which is never more than the node itself costs. Equal splits are told apart by squared error,
    by which a node is split too where no single split changes a decision, though its rows are best
    decided differently. The candidates of a whole level are solved in one call of the oracle, two
    instances each (in several calls where one would take much memory); with ``instance``, every
    row of a node is solved for every candidate instead.

    Pruning is that of Breiman et al. with regret in place of squared error: the splits that save
    least a leaf go first, as far as a price says.

    References
    ----------
    Elmachtoub, Liang & McNellis, "Decision Trees for Decision-Making under the
    Predict-then-Optimize Framework", ICML 2020, arXiv 2003.00360; Breiman, Friedman, Olshen &
    Stone, "Classification and Regression Trees", 1984.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl import SPOTreeRegressor
    >>> from dfl_solvers import Simplex
    >>> x = np.linspace(0, 1, 100)[:, None]
    >>> costs = np.where(x < 0.7, [[1.0, 2.0]], [[2.0, 1.0]]) + 10 * (x < 0.3)
    >>> model = SPOTreeRegressor(Simplex(2), random_state=0).fit(x, costs)
    >>> print(model.export_text())
    x0 <= 0.702: 70 rows, mean regret 0, decide w0
    x0 > 0.702: 30 rows, mean regret 0, decide w1
    """

    tree_: Trees
    budget_: Counts
    _sign: int
    _one_output: bool
    _own_sets: bool

    def __init__(
        self,
        oracle: Oracle | None = None,
        *,
        max_depth: int | None = None,
        min_samples_leaf: int = 1,
        max_features: int | float | None = None,
        max_candidates: int | None = None,
        ccp_alpha: float | Literal["cv"] = "cv",
        cv: Any = 5,
        random_state: Any = None,
    ) -> None:
        self.oracle = oracle
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.max_candidates = max_candidates
        self.ccp_alpha = ccp_alpha
        self.cv = cv
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        groups: Any = None,
        instance: InstanceData | None = None,
    ) -> Self:
        """Grow the tree, and prune it.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.
        y : array-like of shape (n, d), or (n,) for one cost
            Costs (values, for a maximizing oracle).
        sample_weight : array-like of shape (n,), optional
            What each row counts, in splits and in held-out regret; only ratios matter.
        groups : array-like of shape (n,), optional
            Rows that folds keep together; dates order them.
        instance : mapping of str to ndarray, data frame or structured array, optional
            Per-instance data of the oracle, each array with leading n.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or y has NaN or infinite entries, or lengths differ.
        InvalidInputError
            If a width does not fit the oracle, or a parameter is out of its range.
        InfeasibleError, UnboundedError
            If an instance has no optimal decision; it is named.
        """
        by_folds = isinstance(self.ccp_alpha, str) and self.ccp_alpha == "cv"
        number = isinstance(self.ccp_alpha, numbers.Real)
        if not by_folds and not (number and self.ccp_alpha >= 0):  # type: ignore[operator]
            raise InvalidInputError(
                f"{type(self).__name__}: got ccp_alpha={self.ccp_alpha!r}, expected 'cv' or a "
                "number from 0"
            )
        task = read_task(self, X, y, sample_weight, instance)
        limits = limits_of(self, task.sample.X.shape[1])
        rng = generator_of(self.random_state)
        tree = grow(task.sample.take(np.arange(len(task.sample.X))), limits, rng)
        strength = _tree_pruning.strengths(tree)
        for name in ("alphas_", "regret_path_"):  # of an earlier fit
            if hasattr(self, name):
                delattr(self, name)
        alpha = 0.0
        if by_folds:
            found, weights = folds_of(self.cv, task.table, groups, rng), task.sample.weights
            folds = [fold for fold in found if all(weights[rows].any() for rows in fold)]
            if folds:
                self.alphas_ = _tree_pruning.prices(strength)
                self.regret_path_ = self._regrets(task, folds, limits, rng)
                mean = self.regret_path_.mean(axis=1)
                # of equal ones the highest price, and so the smallest tree
                alpha = float(self.alphas_[np.flatnonzero(mean <= mean.min() + 1e-12)[-1]])
        else:
            alpha = float(self.ccp_alpha)
        self.ccp_alpha_ = alpha
        self.tree_ = tree.cut(strength > alpha)
        self._finish(task)
        return self

    def predict(self, X: Any) -> Array:
        """Predict costs: the mean cost of the leaf.

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
        costs = self._sign * self.tree_.mean(X)
        return costs[:, 0] if self._one_output else costs

    def apply(self, X: Any) -> Array:
        """Return the leaf that each row falls into.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.

        Returns
        -------
        ndarray of shape (n,)
            Places of nodes in ``tree_``.
        """
        X = features_of(self, X)
        return self.tree_.apply(X)[:, 0]

    def export_text(self, *, digits: int = 3) -> str:
        """Write the tree down: for each leaf who falls into it and what is decided there.

        Parameters
        ----------
        digits : int, default=3
            Significant digits of thresholds and regrets.

        Returns
        -------
        str
            A line a node, indented by depth. Rows count with their weights. Decisions are written
            as the coordinates that are not zero; where instances have feasible sets of their own
            there is none to write.
        """
        check_is_fitted(self)
        return text_of(self, digits)

    def get_depth(self) -> int:
        """Return the number of questions on the longest way to a leaf."""
        check_is_fitted(self)
        return int(self.tree_.depths().max())

    def get_n_leaves(self) -> int:
        """Return the number of leaves."""
        check_is_fitted(self)
        return int(self.tree_.leaves.sum())

    def _regrets(
        self, task: Task, folds: list[Fold], limits: Limits, rng: np.random.Generator
    ) -> Array:
        columns = []
        for train, held in folds:
            tree = grow(task.sample.take(train), limits, rng)
            columns.append(
                _tree_pruning.held_out_regret(
                    tree, _tree_pruning.strengths(tree), self.alphas_, task.sample.take(held)
                )
            )
        return np.array(columns).T

    def _finish(self, task: Task) -> None:
        self.feature_importances_ = self.tree_.importances(task.sample.X.shape[1])
        self.budget_ = task.counting.counts
        self._sign = task.sign
        self._one_output = task.table.one_output
        self._own_sets = task.sample.instance is not None
