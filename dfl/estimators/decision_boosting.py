"""Boosting of trees on the gradient of a decision-focused loss."""

from __future__ import annotations

import numbers
import time
from collections.abc import Iterator, Mapping
from typing import Any, Self, final

import numpy as np
import torch
from sklearn.base import RegressorMixin, clone
from sklearn.utils.validation import has_fit_parameter

from dfl.estimators._gradients import gradients_of
from dfl.estimators._instance import InstanceData
from dfl.estimators._randomness import generator_of, private_randomness
from dfl.estimators._reading import read
from dfl.estimators._run import loss_of
from dfl.estimators._scaling import Scaling
from dfl.estimators._split import split
from dfl.estimators._table import Table
from dfl.estimators._tree_fit import features_of, whole
from dfl.estimators._trees import Trees
from dfl.estimators._validation import make_monitor
from dfl.estimators.base import BaseDecisionRegressor
from dfl.exceptions import InvalidInputError
from dfl.losses import AbstractLoss
from dfl_solvers.oracle import Array, Oracle, minimizing
from dfl_solvers.wrappers import Counting, Counts

_CPU = torch.device("cpu")


@final
class DecisionBoostingRegressor(BaseDecisionRegressor):
    """Correct a regressor tree by tree, where its decisions are bad.

    Use it where a linear model is a good start but not all there is. The first prediction is that
    of ``init``; every round fits one tree of d outputs to the negative gradient of the loss and
    adds a part of it. Rounds after the least validation regret are dropped, so that on the
    validation rows the result is never worse than the start.

    Parameters
    ----------
    oracle : Oracle
        The problem that the predicted costs feed; ``Maximize(...)`` of it for values.
    loss : str or AbstractLoss, default="spo+"
        A name of ``dfl.losses.available()``, or a loss object, which is copied and given
        ``oracle``.
    init : scikit-learn regressor, optional
        Where boosting starts; cloned, and fitted on the training rows. Default: least squares;
        ``sklearn.dummy.DummyRegressor()`` starts at the mean.
    loss_parameters : mapping, optional
        Parameters of a loss given by name.
    max_iter : int, default=200
        Largest number of rounds.
    learning_rate : float, default=0.1
        Part of a tree that is added. Costs are divided by their mean absolute value in ``fit``, so
        that it has no unit.
    max_depth : int or None, default=6
        Of the trees.
    min_samples_leaf : int, default=30
        Rows of a leaf.
    early_stopping : bool, default=True
        Hold out validation instances, keep the rounds up to the smallest validation regret, and
        stop after ``n_iter_no_change`` rounds without a smaller one. Fewer than 10 instances are
        all trained on.
    validation_fraction : float, default=0.2
        Share of the instances held out: the last ones if instances are dated, else random ones.
    n_iter_no_change : int, default=30
        Patience in rounds.
    cv : scikit-learn splitter, optional
        Its last split separates training from validation instances.
    random_state : int, Generator, RandomState or None
        Seeds the split, the trees and the noise of losses that sample.

    Attributes
    ----------
    init_ : scikit-learn regressor
        The fitted start.
    trees_ : Trees
        The trees that were kept, as arrays; see ``SPOTreeRegressor``. Their ``loss`` is squared
        error.
    history_ : list of dict
        Per round: ``loss`` before it, ``validation`` (normalized regret) after it, ``seconds``.
    n_iter_, best_iter_ : int
        Rounds run, and rounds kept: 0 is the start itself.
    budget_ : Counts
        Oracle calls, instances solved and seconds spent in the oracle during ``fit``.
    n_features_in_ : int
        Number of features seen in ``fit``.
    cost_names_ : ndarray of str
        Names of the costs, if ``fit`` was given a data frame or a series with a name.

    See Also
    --------
    DecisionFocusedRegressor : Moves a linear model or a network by the same gradient.
    SPOForestRegressor : Trees that split by decision loss itself.

    Notes
    -----
    Round m adds ``learning_rate * t_m(x)`` to the scaled prediction, where the tree t_m is fitted
    by least squares to ``-dl/dp`` at the prediction so far; for SPO+ that is
    ``2 (w*(2p - c) - w*(c))``. A round is one call of the oracle on the training rows, and one on
    those that validate.

    References
    ----------
    Friedman, "Greedy Function Approximation: A Gradient Boosting Machine", Annals of Statistics
    29, 2001, doi 10.1214/aos/1013203451; Elmachtoub & Grigas, "Smart 'Predict, then Optimize'",
    arXiv 1710.08005 (SPO+ and its subgradient). Their combination is a reconstruction from these
    parts.

    Examples
    --------
    >>> from dfl import DecisionBoostingRegressor
    >>> from dfl.datasets import make_shortest_path
    >>> data = make_shortest_path(300, degree=6, random_state=0)
    >>> model = DecisionBoostingRegressor(data.oracle, max_iter=30, random_state=0)
    >>> model.fit(data.X, data.C).history_[-1]["loss"] < model.history_[0]["loss"]
    True
    """

    history_: list[dict[str, float]]
    trees_: Trees
    budget_: Counts

    def __init__(
        self,
        oracle: Oracle | None = None,
        loss: str | AbstractLoss = "spo+",
        init: RegressorMixin | None = None,
        *,
        loss_parameters: Mapping[str, Any] | None = None,
        max_iter: int = 200,
        learning_rate: float = 0.1,
        max_depth: int | None = 6,
        min_samples_leaf: int = 30,
        early_stopping: bool = True,
        validation_fraction: float = 0.2,
        n_iter_no_change: int = 30,
        cv: Any = None,
        random_state: Any = None,
    ) -> None:
        self.oracle = oracle
        self.loss = loss
        self.init = init
        self.loss_parameters = loss_parameters
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
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
        """Fit the start, and then tree by tree.

        Parameters
        ----------
        X : array-like of shape (n, p), or (n_rows, p) for long data
            Features.
        y : array-like of shape (n, d), or (n_rows,) for long data
            Costs (values, for a maximizing oracle).
        sample_weight : array-like of shape (n,), optional
            What each instance counts, in the trees and the validation, and in the start if the
            ``fit`` of ``init`` takes ``sample_weight``, which that of a pipeline does not.
        groups : array-like of shape (n,) or (n_rows,), optional
            With 1-d y: long data, and the instance each row belongs to. With 2-d y: instances with
            the same label are not separated by the validation split.
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
        self._check_parameters()
        table = read(self, X, y, sample_weight=sample_weight, groups=groups, instance=instance)
        rng = generator_of(self.random_state)
        seed = int(rng.integers(2**31))
        rows, held = np.arange(len(table.inputs)), np.zeros(0, dtype=np.int64)
        if self.early_stopping:
            rows, held = split(
                len(rows), self.validation_fraction, self.cv, rng, table.dates, table.labels
            )
        if table.weights is not None:  # rows that do not count must not leave a trace
            rows = rows[table.weights[rows] > 0]
            if not len(rows):
                raise InvalidInputError("the sample weights of all instances to train on are zero")
            if len(held) and not table.weights[held].any():
                raise InvalidInputError(
                    "the sample weights of all instances to validate on are zero; pass another cv, "
                    "or early_stopping=False"
                )
        with private_randomness(seed, _CPU):
            self._boost(table, rows, held, seed)
        return self

    def predict(self, X: Any) -> Array:
        """Predict costs.

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
        return self._shaped(self._start(X) + self._scale * self.trees_.sum(_rounded(X)))

    def staged_predict(self, X: Any) -> Iterator[Array]:
        """Predict costs after each round that was kept, from the start on.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.

        Yields
        ------
        ndarray of shape (n, d), or (n,) if ``fit`` was given 1-d costs
            ``best_iter_ + 1`` of them; the last is what ``predict`` returns, up to rounding.
        """
        X = features_of(self, X)
        costs, rounded = self._start(X), _rounded(X)
        yield self._shaped(costs.copy())
        for tree in self.trees_:
            costs += self._scale * tree.sum(rounded)
            yield self._shaped(costs.copy())

    def _start(self, X: Array) -> Array:
        """Return what boosting starts from, (n, d)."""
        found: Array = np.asarray(self.init_.predict(X), dtype=float)
        return found[:, None] if found.ndim == 1 else found

    def _shaped(self, costs: Array) -> Array:
        return costs[:, 0] if self._one_output else costs

    def _boost(self, table: Table, rows: Array, held: Array, seed: int) -> None:
        from sklearn.linear_model import LinearRegression  # imported late: it is slow to import
        from sklearn.tree import DecisionTreeRegressor

        features, costs, weights = (
            table.features(rows),
            table.costs(rows),
            table.row_weights(rows),
        )
        oracle, sign = minimizing(self._checked_oracle())
        counting = Counting(oracle)
        scaling = Scaling.of(features, costs, sign, weights)
        loss = loss_of(self, counting, scaling)
        _, target = table.tensors(rows, scaling)
        init = LinearRegression() if self.init is None else clone(self.init)
        weighted = weights is not None and has_fit_parameter(init, "sample_weight")
        self.init_ = init.fit(features, costs, **({"sample_weight": weights} if weighted else {}))
        # long data: every item of every instance, padding too, which no loss looks at
        flat, flat_held = (
            np.ascontiguousarray(table.inputs[at].reshape(-1, table.inputs.shape[-1]))
            for at in (rows, held)
        )
        seen, seen_held = _rounded(flat), _rounded(flat_held)
        share = table.weights_of(rows)
        shape = (len(rows), table.truth.shape[1])
        output = (self._start(flat) / scaling.cost).reshape(shape)
        gradients = gradients_of(loss, target, shape)
        watched, best = None, np.inf
        if len(held):
            monitor = make_monitor(loss, counting, table, held, scaling, torch.float64, _CPU)
            watched = (self._start(flat_held) / scaling.cost).reshape(len(held), shape[1])
            best = monitor(_Known(watched))
        trees: list[Trees] = []
        history: list[dict[str, float]] = []
        best_iter, started = 0, time.perf_counter()
        for k in range(self.max_iter):
            values, gradient = gradients(output)
            pull = -table._real(gradient, rows)
            if not pull.any():
                break
            tree = Trees.of(
                DecisionTreeRegressor(
                    max_depth=self.max_depth,
                    min_samples_leaf=self.min_samples_leaf,
                    random_state=(seed + k) % 2**31,
                ).fit(features, pull, sample_weight=weights)
            )
            trees.append(tree)
            output += self.learning_rate * tree.sum(seen).reshape(shape)
            entry = {"loss": float(np.average(values, weights=share))}
            if watched is None:
                best_iter = k + 1
            else:
                watched += self.learning_rate * tree.sum(seen_held).reshape(watched.shape)
                entry["validation"] = monitor(_Known(watched))
                if entry["validation"] < best:
                    best, best_iter = entry["validation"], k + 1
            history.append(entry | {"seconds": time.perf_counter() - started})
            if k + 1 - best_iter >= self.n_iter_no_change:
                break
        d = 1 if table.long else shape[1]
        self.trees_ = Trees.join(trees[:best_iter]) if best_iter else Trees.none(d)
        self.history_, self.n_iter_, self.best_iter_ = history, len(history), best_iter
        self.budget_ = counting.counts
        self._scale = self.learning_rate * scaling.cost
        self._one_output = table.one_output

    def _check_parameters(self) -> None:
        for parameter in ("max_iter", "n_iter_no_change", "min_samples_leaf"):
            whole(self, parameter)
        rate = self.learning_rate
        if not isinstance(rate, numbers.Real) or not 0 < rate < np.inf:
            raise InvalidInputError(
                f"{type(self).__name__}: got learning_rate={rate!r}, expected a positive number"
            )


class _Known(torch.nn.Module):
    """A model whose outputs are known."""

    def __init__(self, outputs: Array) -> None:
        super().__init__()
        self.outputs = torch.from_numpy(outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.outputs


def _rounded(X: Array) -> Array:
    """Return features as scikit-learn's trees see them, in single precision."""
    return X.astype(np.float32).astype(np.float64)
