"""The regressor that is trained for the decisions its predictions cause."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any, Self, final

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from dfl import metrics
from dfl.estimators._long import LongLayout, as_labels, is_dated
from dfl.estimators._predictors import (
    SharedOverItems,
    dtype_of,
    make_predictor,
    start_at_least_squares,
)
from dfl.estimators._scaling import InUnits, Scaling
from dfl.estimators._split import split
from dfl.estimators._table import Table, date_index
from dfl.estimators.base import BaseDecisionEstimator, with_mask
from dfl.exceptions import InvalidInputError
from dfl.losses import AbstractLoss, Target, make_loss
from dfl.training import Checkpoint, TableSource, train
from dfl_solvers.oracle import Array, Instance, Oracle, minimizing
from dfl_solvers.wrappers import Counting


@final
class DecisionFocusedRegressor(BaseDecisionEstimator):
    """Predict costs so that the decisions made from them are good.

    Use it where a model's predictions feed an optimization problem and a prediction error matters
    only through the decision it causes. Compare it with ``PredictThenOptimizeRegressor`` on
    held-out instances before trusting it: with few or noisy data and a well specified model, least
    squares often wins.

    Features are standardized and costs are divided by their mean absolute value inside ``fit``, so
    that the result does not depend on units. A linear predictor starts at least squares, where
    predict-then-optimize ends, and training keeps that if no epoch has a smaller validation regret.

    Parameters
    ----------
    oracle : Oracle
        The problem that the predicted costs feed; ``Maximize(...)`` of it for values.
    loss : str or AbstractLoss, default="spo+"
        A name of ``dfl.losses.available()``, or a loss object, which is copied and given
        ``oracle``.
    predictor : {"linear", "mlp"} or nn.Module, default="linear"
        From p features to d costs. For long data, from the p features of an item to one cost. A
        module is copied.
    loss_parameters : mapping, optional
        Parameters of a loss given by name, such as ``{"sigma": 0.5}``.
    max_iter : int, default=100
        Largest number of epochs.
    batch_size : int, default=32
        Instances per step.
    optimizer : {"adam", "adamw", "sgd"}, default="adam"
    learning_rate : float, default=1e-2
    schedule : {"constant", "cosine", "plateau"}, default="constant"
        How the learning rate changes over the epochs.
    early_stopping : bool, default=True
        Hold out validation instances, keep the weights with the smallest validation regret and
        stop after ``n_iter_no_change`` epochs without a smaller one. Fewer than 10 instances are
        all trained on.
    validation_fraction : float, default=0.2
        Share of the instances held out: the last ones if instances are dated, else random ones.
    n_iter_no_change : int, default=20
        Patience in epochs.
    cv : scikit-learn splitter, optional
        Its last split separates training from validation instances; ``TimeSeriesSplit`` and
        ``GroupKFold`` are typical.
    checkpoint : path, optional
        File that keeps the state of the fit; a killed fit continues from it to the same weights.
    verbose : int, default=0
        1 shows a progress bar with the time left.
    random_state : int, Generator, RandomState or None
        Seeds the split, the first weights, the order of the batches and the noise.

    Attributes
    ----------
    coef_ : ndarray of shape (d, p), or (p,) for 1-d costs
        For a linear predictor, in the units of the data.
    intercept_ : ndarray of shape (d,), or float
        Likewise.
    predictor_ : nn.Module
        The trained module, from scaled features to scaled costs.
    history_ : list of dict
        Per epoch: ``loss``, ``validation`` (normalized regret), ``learning_rate``, ``seconds``.
    n_iter_, best_iter_ : int
        Epochs run, and the one whose weights were kept: 0 for those before training.
    budget_ : Counts
        Oracle calls, instances solved and seconds spent in the oracle during ``fit``.

    Notes
    -----
    Rows are dated if X is a data frame with a date index, or ``groups`` holds dates. Dated
    instances that validate always come after those that train.

    References
    ----------
    Elmachtoub & Grigas, "Smart 'Predict, then Optimize'", arXiv 1710.08005; Mandi et al.,
    "Decision-Focused Learning: Foundations, State of the Art, Benchmark and Future
    Opportunities", JAIR 80, 2024, doi 10.1613/jair.1.15320.

    Examples
    --------
    >>> from dfl import DecisionFocusedRegressor
    >>> from dfl.datasets import make_shortest_path
    >>> data = make_shortest_path(300, degree=6, random_state=0)
    >>> model = DecisionFocusedRegressor(data.oracle, max_iter=10, random_state=0)
    >>> model.fit(data.X[:200], data.C[:200]).decide(data.X[200:]).shape
    (100, 40)
    """

    def __init__(
        self,
        oracle: Oracle | None = None,
        loss: str | AbstractLoss = "spo+",
        predictor: str | nn.Module = "linear",
        *,
        loss_parameters: Mapping[str, Any] | None = None,
        max_iter: int = 100,
        batch_size: int = 32,
        optimizer: str = "adam",
        learning_rate: float = 1e-2,
        schedule: str = "constant",
        early_stopping: bool = True,
        validation_fraction: float = 0.2,
        n_iter_no_change: int = 20,
        cv: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.oracle = oracle
        self.loss = loss
        self.predictor = predictor
        self.loss_parameters = loss_parameters
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.cv = cv
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        decisions: Any = None,
        groups: Any = None,
        instance: Mapping[str, Array] | None = None,
    ) -> Self:
        """Train the predictor.

        Parameters
        ----------
        X : array-like of shape (n, p), or (n_rows, p) for long data
            Features.
        y : array-like of shape (n, d), or (n_rows,) for long data
            Costs (values, for a maximizing oracle).
        decisions : array-like of the shape of y, optional
            Observed good decisions, where costs were not recorded; instead of y.
        groups : array-like of shape (n,) or (n_rows,), optional
            With 1-d y: long data, and the instance each row belongs to. With 2-d y: instances with
            the same label are not separated by the validation split.
        instance : mapping of str to ndarray, optional
            Per-instance data of the oracle, each array with leading n. For long data, instances
            are in the order of their dates, else of their first appearance.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X or y has NaN or infinite entries, or lengths differ.
        InvalidInputError
            If a width does not fit the oracle, or a parameter is out of its range.
        InfeasibleError, UnboundedError
            If an instance has no optimal decision; it is named.
        TrainingError
            If training diverges, or ``checkpoint`` belongs to another fit.
        """
        oracle, sign = minimizing(self._checked_oracle())
        table = self._read(X, y, decisions, groups, instance)
        rng = _generator(self.random_state)
        seed = int(rng.integers(2**62))
        rows, held_out = self._split(table, rng)
        features, costs = table.features(rows), table.costs(rows)
        scaling = Scaling.of(features, costs, sign)
        counting = Counting(oracle)
        loss = self._loss(counting, scaling)
        model = make_predictor(
            self.predictor,
            table.inputs.shape[-1],
            1 if table.long else table.truth.shape[1],
            torch.Generator().manual_seed(seed),
        )
        if self.predictor == "linear" and costs is not None:
            start_at_least_squares(model, scaling.features(features), costs / scaling.cost)
        network = SharedOverItems(model) if table.long else model
        inputs, target = table.tensors(rows, scaling, dtype_of(model))
        target = loss.complete(target).to(inputs.dtype)  # labels are solved in float64
        monitor = None
        if len(held_out):
            monitor = _monitor(loss, counting, table, held_out, scaling, dtype_of(model))
        with _private_randomness(seed, self.predictor):
            result = train(
                network,
                loss,
                TableSource(inputs, target, self.batch_size),
                max_iter=self.max_iter,
                optimizer=self.optimizer,
                learning_rate=self.learning_rate,
                schedule=self.schedule,
                monitor=monitor,
                patience=self.n_iter_no_change,
                checkpoint=self._checkpoint(inputs, target, model, seed),
                progress=self.verbose > 0,
                seed=seed,
            )
        self.predictor_ = model
        self.history_ = result.history
        self.n_iter_ = len(result.history)
        self.best_iter_ = self.n_iter_ if result.best_epoch is None else result.best_epoch
        self.budget_ = counting.counts
        self._scaling = scaling
        self._one_output = table.one_output
        if self.predictor == "linear":
            self._fold()
        return self

    def predict(self, X: Any) -> Array:
        """Predict costs.

        Parameters
        ----------
        X : array-like of shape (n, p)

        Returns
        -------
        ndarray of shape (n, d), or (n,) if ``fit`` was given 1-d costs
            In the units of the costs given to ``fit``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        if self.predictor == "linear":
            return X @ self.coef_.T + self.intercept_
        with torch.no_grad():
            scaled = torch.from_numpy(self._scaling.features(X)).to(dtype_of(self.predictor_))
            costs = self.predictor_(scaled).double().numpy() * self._scaling.cost
        return costs[:, 0] if self._one_output else costs

    def _read(
        self, X: Any, y: Any, decisions: Any, groups: Any, instance: Instance | None
    ) -> Table:
        """Check what ``fit`` was given and arrange it by instances."""
        name = type(self).__name__
        if (y is None) == (decisions is None):
            raise InvalidInputError(
                f"{name} requires y to be passed, but the target y is None; pass costs as y, or "
                "observed decisions as decisions="
                if y is None
                else f"{name}: got both y and decisions, expected one of them"
            )
        dates = date_index(X)
        X, truth = validate_data(
            self, X, decisions if y is None else y, multi_output=True, y_numeric=True,
            dtype=np.float64,
        )  # fmt: skip
        truth = truth.astype(np.float64)
        if groups is None or truth.ndim == 2:
            one_output = truth.ndim == 1
            truth = truth[:, None] if one_output else truth
            self._check_width(truth.shape[1], "costs" if decisions is None else "decisions")
            labels = None if groups is None else as_labels(groups, len(X))
            if labels is not None and is_dated(labels):
                dates, labels = labels, None
            return Table(X, truth, y is not None, instance, dates, labels, one_output)
        layout = LongLayout(groups, len(X), self._checked_oracle())
        return Table(
            layout.gather(X),
            layout.gather(truth),
            y is not None,
            with_mask(instance, layout),
            layout.labels if is_dated(layout.labels) else None,
            layout.labels,
            True,
        )

    def _split(self, table: Table, rng: np.random.Generator) -> tuple[Array, Array]:
        n = len(table.inputs)
        if not self.early_stopping:
            return np.arange(n), np.arange(0)
        return split(n, self.validation_fraction, self.cv, rng, table.dates, table.labels)

    def _loss(self, oracle: Counting, scaling: Scaling) -> AbstractLoss:
        held: Oracle = oracle
        if not getattr(oracle, "linear_objective", True):
            held = InUnits(oracle, abs(scaling.cost))
        if isinstance(self.loss, str):
            return make_loss(self.loss, held, self.loss_parameters)
        if not isinstance(self.loss, AbstractLoss) or self.loss_parameters is not None:
            raise InvalidInputError(
                f"got loss={self.loss!r} with loss_parameters={self.loss_parameters!r}, expected a "
                "name with or without parameters, or a loss object without"
            )
        loss = copy.deepcopy(self.loss)
        loss.oracle, loss.sign = held, 1  # the sign is applied to the data, once, in ``fit``
        return loss

    def _checkpoint(
        self, inputs: Tensor, target: Target, model: nn.Module, seed: int
    ) -> Checkpoint | None:
        if self.checkpoint is None:
            return None
        digest = hashlib.sha256(
            repr((seed, self.oracle, self.loss, self.loss_parameters, str(model), self.max_iter,
                  self.batch_size, self.optimizer, self.learning_rate, self.schedule,
                  self.early_stopping, self.n_iter_no_change)).encode()
        )  # fmt: skip
        tensors = [inputs, target.costs, target.decisions, *model.state_dict().values()]
        for tensor in tensors:
            if tensor is not None:
                digest.update(tensor.numpy().tobytes())
        return Checkpoint(self.checkpoint, digest.hexdigest())

    def _fold(self) -> None:
        """Carry the scales into the weights of a linear predictor."""
        weight, bias = (p.detach().double().numpy() for p in self.predictor_.parameters())
        coef = self._scaling.cost * weight / self._scaling.scale
        intercept = self._scaling.cost * bias - coef @ self._scaling.mean
        self.coef_ = coef[0] if self._one_output else coef
        self.intercept_ = float(intercept[0]) if self._one_output else intercept


def _monitor(
    loss: AbstractLoss,
    oracle: Oracle,
    table: Table,
    rows: Array,
    scaling: Scaling,
    dtype: torch.dtype,
) -> Callable[[nn.Module], float]:
    """Make the number that early stopping watches: regret, or the loss where costs are unknown."""
    inputs, target = table.tensors(rows, scaling, dtype)
    if target.costs is None:
        return lambda model: float(loss(model(inputs), target.to(dtype)))
    costs = table.truth[rows] * np.sign(scaling.cost)
    optimal = metrics.optimal_objectives(oracle, costs, instance=target.instance)
    norm = float(np.abs(optimal).sum()) or 1.0

    def validation_regret(model: nn.Module) -> float:
        predicted = model(inputs).double().numpy() * abs(scaling.cost)
        regret = metrics.regret(oracle, predicted, costs, instance=target.instance, optimal=optimal)
        return float(regret.sum()) / norm

    return validation_regret


def _generator(random_state: Any) -> np.random.Generator:
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31))
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"got random_state={random_state!r}: {error}") from error


def _private_randomness(
    seed: int, predictor: str | nn.Module
) -> contextlib.AbstractContextManager[Any]:
    """Seed what a user's module draws (dropout, say) without touching the caller's generator."""
    if isinstance(predictor, str):
        return contextlib.nullcontext()
    stack = contextlib.ExitStack()
    stack.enter_context(torch.random.fork_rng(devices=[]))
    torch.manual_seed(seed)
    return stack
