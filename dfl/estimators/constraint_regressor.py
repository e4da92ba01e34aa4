"""The regressor of constraints that is trained for what its decisions cost in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, final

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from dfl.estimators._instance import InstanceData
from dfl.estimators._predictors import (
    dtype_of,
    make_predictor,
    saved_predictor,
    start_at_least_squares,
    unscaled,
)
from dfl.estimators._randomness import generator_of, private_randomness
from dfl.estimators._scaling import Scaling
from dfl.estimators._split import split
from dfl.estimators._table import Table
from dfl.estimators.base import check_oracle_given
from dfl.estimators.constraint_base import BaseConstraintRegressor, Judge
from dfl.exceptions import InvalidInputError
from dfl.losses import PostHocRegretLoss, Target
from dfl.training import TableSource, train
from dfl_solvers.oracle import Array, Oracle, minimizing
from dfl_solvers.recourse.base import AbstractRecourse
from dfl_solvers.wrappers import Counting, Counts


@final
class ConstraintRegressor(BaseConstraintRegressor):
    """Predict weights, capacities or right-hand sides so that decisions cost little in the end.

    Use it where costs are known, part of the constraints is not, and a decision that turns out
    infeasible is corrected at a price. Predictions are good if what is decided by them and then
    corrected is: it pays to predict on the safe side, by as much as the penalties ask for. Compare
    it with ``TwoStageConstraintRegressor``, which may choose a margin.

    Features are standardized and the predicted numbers divided by their mean absolute value inside
    ``fit``. A linear predictor starts at least squares, and training keeps that if no epoch has a
    smaller validation regret.

    Parameters
    ----------
    oracle : Oracle
        A problem whose instances may have constraints of their own, such as ``Knapsack``, alone or
        in ``Maximize``.
    predicts : str, default="weights"
        What is predicted: one of the oracle's ``instance_fields``. A field of several axes is
        predicted row by row.
    recourse : AbstractRecourse
        What is done once the truth is known, and its penalty: ``dfl_solvers.Reoptimize``,
        ``Rescale``, ``Discard`` or one of your own.
    costs : array-like of shape (d,) or (n, d), optional
        Known costs (values, for a maximizing oracle), if all instances share them. Else they are
        given to every method.
    positions : sequence of int, optional
        Which entries of the field are predicted; the others are known. Default: all.
    predictor : {"linear", "mlp"} or nn.Module, default="linear"
        From p features to q numbers. A module is copied.
    sigma : float, default=0.1
        Standard deviation of the noise that smooths regret, in units of the mean absolute value of
        what is predicted.
    n_samples : int, default=10
        Noise draws an instance and step.
    max_iter : int, default=100
        Largest number of epochs.
    batch_size : int, default=32
        Instances per step.
    optimizer : {"adam", "adamw", "sgd"}, default="adam"
    learning_rate : float, default=1e-2
        Of the optimizer.
    early_stopping : bool, default=True
        Hold out validation instances, keep the weights with the smallest validation regret and
        stop after ``n_iter_no_change`` epochs without a smaller one. Fewer than 10 instances are
        all trained on.
    validation_fraction : float, default=0.2
        Share of the instances held out: the last ones if X has a date index, else random ones.
    n_iter_no_change : int, default=20
        Patience in epochs.
    verbose : int, default=0
        1 shows a progress bar with the time left.
    random_state : int, Generator, RandomState or None
        Seeds the split, the first weights, the order of the batches and the noise.

    Attributes
    ----------
    coef_ : ndarray of shape (q, p), or (p,) for 1-d y
        For a linear predictor, in the units of the data.
    intercept_ : ndarray of shape (q,), or float
        Likewise.
    predictor_ : nn.Module
        The trained module, from scaled features to scaled numbers.
    history_ : list of dict
        Per epoch: ``loss``, ``validation`` (normalized post-hoc regret), ``learning_rate`` and
        ``seconds``.
    n_iter_, best_iter_ : int
        Epochs run, and the one whose weights were kept: 0 for those before training.
    budget_ : Counts
        Oracle calls, instances solved and seconds spent in the oracle during ``fit``. What a
        recourse solves by a program of its own is not among them.
    n_features_in_ : int
        Number of features seen in ``fit``.

    See Also
    --------
    DecisionFocusedRegressor : For predicted costs.
    dfl.losses.PostHocRegretLoss : The loss, for training loops of your own.

    References
    ----------
    Hu, Lee & Lee, "Predict+Optimize for Packing and Covering LPs with Unknown Parameters in
    Constraints", arXiv 2209.03668, and "Two-Stage Predict+Optimize for Mixed Integer Linear
    Programs with Unknown Parameters in Constraints", arXiv 2311.08022, for post-hoc regret.
    Silvestri et al., arXiv 2307.05213, for training by the score function.

    Examples
    --------
    >>> from dfl import ConstraintRegressor
    >>> from dfl.datasets import make_knapsack_weights
    >>> from dfl_solvers import Reoptimize
    >>> data = make_knapsack_weights(200, n_items=8, random_state=0)
    >>> model = ConstraintRegressor(
    ...     data.oracle, "weights", Reoptimize(add=0.5, drop=0.5), data.costs,
    ...     max_iter=5, random_state=0,
    ... )
    >>> model.fit(data.X[:100], data.y[:100]).decide(data.X[100:]).shape
    (100, 8)
    """

    coef_: Array
    intercept_: Array | float
    history_: list[dict[str, float]]
    budget_: Counts

    def __init__(
        self,
        oracle: Oracle | None = None,
        predicts: str = "weights",
        recourse: AbstractRecourse | None = None,
        costs: Any = None,
        *,
        positions: Sequence[int] | None = None,
        predictor: str | nn.Module = "linear",
        sigma: float = 0.1,
        n_samples: int = 10,
        max_iter: int = 100,
        batch_size: int = 32,
        optimizer: str = "adam",
        learning_rate: float = 1e-2,
        early_stopping: bool = True,
        validation_fraction: float = 0.2,
        n_iter_no_change: int = 20,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.oracle = oracle
        self.predicts = predicts
        self.recourse = recourse
        self.costs = costs
        self.positions = positions
        self.predictor = predictor
        self.sigma = sigma
        self.n_samples = n_samples
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.verbose = verbose
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        costs: Any = None,
        instance: InstanceData | None = None,
    ) -> Self:
        """Train the predictor.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.
        y : array-like of shape (n, q), or (n,) for one number
            True numbers of the constraint.
        sample_weight : array-like of shape (n,), optional
            What each instance counts, in the loss, the scales and the validation.
        costs : array-like of shape (n, d) or (d,), optional
            Known costs (values, for a maximizing oracle). Default: those of the constructor.
        instance : mapping of str to ndarray, data frame or structured array, optional
            Other data of the instances, each array with leading n.

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
        InfeasibleError
            If an instance has no decision under true or noisy constraints, or cannot be corrected;
            it is named.
        TrainingError
            If training diverges.
        """
        table, known = self._read(X, y, sample_weight, costs, instance)
        rng = generator_of(self.random_state)
        seed = int(rng.integers(2**62))
        rows, held = np.arange(len(known)), np.arange(0)
        if self.early_stopping:
            rows, held = split(len(known), self.validation_fraction, None, rng, table.dates)
        weights = table.weights_of(rows)
        for part, what in ((rows, "train"), (held, "validate")):
            if table.weights is not None and len(part) and not table.weights[part].any():
                raise InvalidInputError(
                    f"the sample weights of all instances to {what} on are zero"
                )
        scaling = Scaling.of(table.inputs[rows], table.truth[rows], 1, weights)
        model = self._start(table, rows, scaling, seed)
        dtype = dtype_of(model)
        counting = Counting(minimizing(check_oracle_given(self, self.oracle))[0])
        loss = self._loss(counting, scaling.cost)
        target = self._target(table, known, rows)
        source = TableSource(
            torch.from_numpy(scaling.features(table.inputs[rows])).to(dtype),
            loss.complete(target).to(dtype),  # labels are solved in float64
            self.batch_size,
            None if weights is None else torch.from_numpy(weights).to(dtype),
        )
        monitor = self._monitor(table, known, held, scaling, counting) if len(held) else None
        with private_randomness(seed, torch.device("cpu")):
            result = train(
                model,
                loss,
                source,
                max_iter=self.max_iter,
                optimizer=self.optimizer,
                learning_rate=self.learning_rate,
                monitor=monitor,
                patience=self.n_iter_no_change,
                progress=self.verbose > 0,
                seed=seed,
            )
        self.predictor_, self._scaling, self._one_output = model, scaling, table.one_output
        self.history_ = result.history
        self.n_iter_ = len(result.history)
        self.best_iter_ = self.n_iter_ if result.best_epoch is None else result.best_epoch
        self.budget_ = counting.counts
        if self.predictor == "linear":
            self.coef_, self.intercept_ = unscaled(model, scaling, self._one_output)
        return self

    def predict(self, X: Any) -> Array:
        """Predict numbers of the constraint.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Features.

        Returns
        -------
        ndarray of shape (n, q), or (n,) if ``fit`` was given a 1-d y
            Numbers in the units of those given to ``fit``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        if self.predictor == "linear":
            return X @ self.coef_.T + self.intercept_
        numbers = _outputs(self.predictor_, X, self._scaling)
        return self._narrow(numbers)

    def _module(self, weights: dict[str, torch.Tensor]) -> nn.Module | None:
        return saved_predictor(self.predictor, self.n_features_in_, weights)

    def _start(self, table: Table, rows: Array, scaling: Scaling, seed: int) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        p, q = table.inputs.shape[1], table.truth.shape[1]
        model = make_predictor(self.predictor, p, q, generator)
        if self.predictor == "linear":
            weights = table.weights_of(rows)
            scaled = table.truth[rows] / scaling.cost
            start_at_least_squares(model, scaling.features(table.inputs[rows]), scaled, weights)
        return model

    def _loss(self, oracle: Oracle, unit: float) -> PostHocRegretLoss:
        return PostHocRegretLoss(
            oracle,
            self.predicts,
            self._recourse(),
            self.positions,
            unit,
            self.sigma,
            self.n_samples,
        )

    def _target(self, table: Table, known: Array, rows: Array) -> Target:
        """Return known costs and true constraints, in the sense of minimization."""
        sign = minimizing(check_oracle_given(self, self.oracle))[1]
        true = self._field().given(table.truth[rows], table.instance_of(rows), predicted=False)
        return Target(costs=torch.from_numpy(sign * known[rows]), instance=true)

    def _monitor(
        self, table: Table, known: Array, held: Array, scaling: Scaling, oracle: Oracle
    ) -> Callable[[nn.Module], float]:
        """Return the validation regret as a function of the model."""
        sign = minimizing(check_oracle_given(self, self.oracle))[1]
        judge = Judge.of_rows(self, oracle, table, sign * known, held)
        X = table.inputs[held]
        return lambda model: judge.normalized(_outputs(model, X, scaling))


def _outputs(model: nn.Module, X: Array, scaling: Scaling) -> Array:
    with torch.no_grad():
        scaled = torch.from_numpy(scaling.features(X)).to(dtype_of(model))
        return np.asarray(model(scaled).double().numpy() * scaling.cost)
