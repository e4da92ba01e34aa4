"""The regressor that is trained for the decisions its predictions cause."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any, NamedTuple, Self, final

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from dfl.estimators._fingerprint import fingerprint
from dfl.estimators._predictors import dtype_of, make_predictor, start_at_least_squares
from dfl.estimators._randomness import generator_of, private_randomness
from dfl.estimators._reading import read
from dfl.estimators._scaling import InUnits, Scaling
from dfl.estimators._solver_time import Interruptions, Limited, warn_of_long_fit
from dfl.estimators._split import split
from dfl.estimators._table import Table
from dfl.estimators._validation import make_monitor
from dfl.estimators.base import BaseDecisionEstimator
from dfl.exceptions import InvalidInputError
from dfl.losses import AbstractLoss, make_loss
from dfl.training import Checkpoint, SharedOverItems, TableSource, make_optimizer, train
from dfl.training.train import Callback
from dfl_solvers.oracle import Array, Oracle, minimizing
from dfl_solvers.wrappers import Counting, Counts


class _Start(NamedTuple):
    """What training starts from."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaling: Scaling


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
    warm_start : bool, default=False
        Whether ``fit`` starts from the weights of the fit before, in its scales of features and
        costs, instead of afresh.
    max_solver_seconds : float, optional
        Training ends once the oracle has solved for this long in the fit, and keeps the best
        weights so far. Labels are solved first, in any case.
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
        Per epoch: ``loss``, ``validation`` (normalized regret), ``learning_rate``, ``seconds``, and
        ``interrupted``, the solves that a limit on time or gap ended before optimality was proven.
    n_iter_, best_iter_ : int
        Epochs run, and the one whose weights were kept: 0 for those before training.
    budget_ : Counts
        Oracle calls, instances solved and seconds spent in the oracle during ``fit``.

    Notes
    -----
    Rows are dated if X is a data frame with a date index, or ``groups`` holds dates. Dated
    instances that validate always come after those that train.

    The linear predictor has double precision. With a loss whose gradient is known in closed form
    (``"spo+"``, ``"squared"``) it is trained by compiled code, without autograd. Other predictors
    have the precision of their module, single by default.

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

    history_: list[dict[str, float]]
    budget_: Counts
    _seed: int

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
        warm_start: bool = False,
        max_solver_seconds: float | None = None,
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
        self.warm_start = warm_start
        self.max_solver_seconds = max_solver_seconds
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        decisions: Any = None,
        groups: Any = None,
        instance: Mapping[str, Array] | None = None,
        validation: tuple[Any, Any] | Mapping[str, Any] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Train the predictor.

        Parameters
        ----------
        X : array-like of shape (n, p), or (n_rows, p) for long data
            Features.
        y : array-like of shape (n, d), or (n_rows,) for long data
            Costs (values, for a maximizing oracle).
        sample_weight : array-like of shape (n,), optional
            What each instance counts, in the loss, the scales and the validation; only ratios
            matter. One per instance for long data too, in the order of ``instance``.
        decisions : array-like of the shape of y, optional
            Observed good decisions, where costs were not recorded; instead of y.
        groups : array-like of shape (n,) or (n_rows,), optional
            With 1-d y: long data, and the instance each row belongs to. With 2-d y: instances with
            the same label are not separated by the validation split.
        instance : mapping of str to ndarray, optional
            Per-instance data of the oracle, each array with leading n. For long data, instances
            are in the order of their dates, else of their first appearance.
        validation : (X, y), or mapping of this method's arguments by name, optional
            Instances to validate on; all those of X are then trained on. ``early_stopping`` must
            be on.
        callbacks : sequence of callables, default=()
            Each is called after each epoch with its entry of ``history_``; training stops if one
            returns True.

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
        fresh = not (self.warm_start and hasattr(self, "predictor_"))
        table = read(
            self, X, y, sample_weight=sample_weight, decisions=decisions, groups=groups,
            instance=instance, reset=fresh,
        )  # fmt: skip
        rng = generator_of(self.random_state)
        seed = int(rng.integers(2**62))
        rows, held = self._split(table, rng, validation)
        start = self._start(table, rows, seed) if fresh else self._go_on(new_optimizer=True)
        self._train(start, table, rows, held, seed, callbacks)
        return self

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        decisions: Any = None,
        groups: Any = None,
        instance: Mapping[str, Array] | None = None,
    ) -> Self:
        """Pass over some instances once, going on from the present weights.

        The optimizer goes on from its state as well, unless the estimator was loaded from a folder.
        Scales of features and costs are those of the first call. Nothing is held out, and the
        learning rate is constant.

        Parameters
        ----------
        X, y, sample_weight, decisions, groups, instance
            As in ``fit``.

        Returns
        -------
        self

        Raises
        ------
        Exception
            As ``fit`` does; the estimator is then as it was.
        """
        first = not hasattr(self, "predictor_")
        table = read(
            self, X, y, sample_weight=sample_weight, decisions=decisions, groups=groups,
            instance=instance, reset=first,
        )  # fmt: skip
        rows = np.arange(len(table.inputs))
        history, spent = getattr(self, "history_", []), getattr(self, "budget_", Counts())
        if first:
            seed = int(generator_of(self.random_state).integers(2**62))
            start = self._start(table, rows, seed)
        else:
            seed = self._seed + len(history)
            start = self._go_on(new_optimizer=False)
        self._train(start, table, rows, None, seed, one_pass=True)
        for entry in self.history_:
            entry["epoch"] = len(history) + 1
            entry["seconds"] += history[-1]["seconds"] if history else 0.0
        self.history_ = history + self.history_
        self.n_iter_ = self.best_iter_ = len(self.history_)
        totals = zip(astuple(spent), astuple(self.budget_), strict=True)
        self.budget_ = Counts(*(before + now for before, now in totals))
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

    def _start(self, table: Table, rows: Array, seed: int) -> _Start:
        """Make a predictor, and measure the scales of what it is to train on."""
        _, sign = minimizing(self._checked_oracle())
        features, costs = table.features(rows), table.costs(rows)
        weights = table.row_weights(rows)
        if weights is not None and not weights.any():
            raise InvalidInputError("the sample weights of all instances to train on are zero")
        scaling = Scaling.of(features, costs, sign, weights)
        model = make_predictor(
            self.predictor,
            table.inputs.shape[-1],
            1 if table.long else table.truth.shape[1],
            torch.Generator().manual_seed(seed),
        )
        if self.predictor == "linear" and costs is not None:
            start_at_least_squares(model, scaling.features(features), costs / scaling.cost, weights)
        optimizer = make_optimizer(self.optimizer, model, self.learning_rate)
        return _Start(model, optimizer, scaling)

    def _go_on(self, *, new_optimizer: bool) -> _Start:
        """Copy what was learned, so that an error leaves it as it is."""
        model, optimizer = copy.deepcopy((self.predictor_, self._optimizer))
        if new_optimizer or not isinstance(optimizer, torch.optim.Optimizer):  # as after loading
            optimizer = make_optimizer(self.optimizer, model, self.learning_rate)
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate  # a schedule may have changed it
        return _Start(model, optimizer, self._scaling)

    def _split(
        self, table: Table, rng: np.random.Generator, validation: Any
    ) -> tuple[Array, tuple[Table, Array] | None]:
        """Return the rows to train on; and what validates, as a table and rows of it, if any do."""
        every = np.arange(len(table.inputs))
        if validation is not None:
            if not self.early_stopping:
                raise InvalidInputError("got validation instances, but early_stopping is off")
            if not isinstance(validation, Mapping):
                validation = dict(zip(("X", "y"), validation, strict=True))
            held = read(self, **{"y": None, **validation}, reset=False)
            return every, (held, np.arange(len(held.inputs)))
        if not self.early_stopping:
            return every, None
        rows, held_out = split(
            len(every), self.validation_fraction, self.cv, rng, table.dates, table.labels
        )
        return rows, (table, held_out) if len(held_out) else None

    def _train(
        self,
        start: _Start,
        table: Table,
        rows: Array,
        held: tuple[Table, Array] | None,
        seed: int,
        callbacks: Sequence[Callback] = (),
        *,
        one_pass: bool = False,
    ) -> None:
        """Train, and set what was learned once all has gone well."""
        model, optimizer, scaling = start
        oracle, sign = minimizing(self._checked_oracle())
        counting = Counting(oracle)
        asked = Limited(counting, self.max_solver_seconds)
        loss = self._loss(asked, scaling)
        inputs, target = table.tensors(rows, scaling, dtype_of(model))
        target = loss.complete(target).to(inputs.dtype)  # labels are solved in float64
        weights = None
        if table.weights is not None:
            weights = torch.from_numpy(table.weights[rows]).to(inputs.dtype)
        monitor = None
        if held is not None:
            monitor = make_monitor(loss, asked, *held, scaling, dtype_of(model))
        checkpoint = None
        if self.checkpoint is not None and not one_pass:
            parts = [inputs, target.costs, target.decisions, weights, *model.state_dict().values()]
            if held is not None:
                validating, held_out = held
                parts += [validating.inputs, validating.truth, validating.weights, held_out]
            checkpoint = Checkpoint(self.checkpoint, fingerprint(self, seed, str(model), parts))
        if "decisions" in loss.requires and table.has_costs and not one_pass:
            solves = len(rows) + (0 if held is None else len(held[1]))
            warn_of_long_fit(
                asked, table.truth[rows] * sign, target.instance, solves, self.max_iter
            )
        asked.start()
        with private_randomness(seed, self.predictor):
            result = train(
                SharedOverItems(model) if table.long else model,
                loss,
                TableSource(inputs, target, self.batch_size, weights),
                max_iter=1 if one_pass else self.max_iter,
                optimizer=optimizer,
                schedule="constant" if one_pass else self.schedule,
                monitor=monitor,
                patience=self.n_iter_no_change,
                checkpoint=checkpoint,
                callbacks=(Interruptions(counting), *callbacks),
                progress=self.verbose > 0,
                seed=seed,
            )
        if not result.history and self.max_solver_seconds is not None:
            warnings.warn(
                f"max_solver_seconds={self.max_solver_seconds} were spent before the first epoch "
                "ended; the predictor is as it was before training",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.predictor_ = model
        self.history_ = result.history
        self.n_iter_ = len(result.history)
        self.best_iter_ = self.n_iter_ if result.best_epoch is None else result.best_epoch
        self.budget_ = counting.counts
        self._optimizer, self._scaling, self._seed = optimizer, scaling, seed
        self._one_output = table.one_output
        if self.predictor == "linear":
            self._fold()

    def _loss(self, oracle: Oracle, scaling: Scaling) -> AbstractLoss:
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

    def _fold(self) -> None:
        """Carry the scales into the weights of a linear predictor."""
        weight, bias = (p.detach().double().numpy() for p in self.predictor_.parameters())
        coef = self._scaling.cost * weight / self._scaling.scale
        intercept = self._scaling.cost * bias - coef @ self._scaling.mean
        self.coef_ = coef[0] if self._one_output else coef
        self.intercept_ = float(intercept[0]) if self._one_output else intercept
