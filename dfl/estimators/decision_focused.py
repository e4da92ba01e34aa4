"""The regressor that is trained for the decisions its predictions cause."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any, Self, final

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from dfl.estimators._held_out import Held, hold_out
from dfl.estimators._instance import InstanceData
from dfl.estimators._predictors import device_of, dtype_of, saved_predictor, unscaled
from dfl.estimators._randomness import generator_of
from dfl.estimators._reading import read
from dfl.estimators._run import run
from dfl.estimators._start import Start, go_on, start_afresh
from dfl.estimators._table import Table
from dfl.estimators.base import BaseDecisionRegressor
from dfl.losses import AbstractLoss
from dfl.training.train import Callback
from dfl_solvers.oracle import Array, Oracle
from dfl_solvers.wrappers import Counts


@final
class DecisionFocusedRegressor(BaseDecisionRegressor):
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
        Of the optimizer, for scaled features and costs.
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
    n_jobs : int, optional
        Processes among which ``fit`` deals out the instances of a batch, -1 for as many as there
        are cores; for oracles that take some ten milliseconds an instance. Default: this process,
        where compiled oracles use all cores by themselves. ``dfl_solvers.Parallel`` around the
        oracle keeps the processes for ``decide`` and for the next fit.
    device : str or torch.device, default="cpu"
        Where the predictor is trained, such as ``"cuda"``. Oracles solve on the CPU, whatever it
        is: it pays for large modules only.
    checkpoint : path, optional
        File that keeps the state of ``fit``; a killed fit continues from it to the same weights.
        ``partial_fit`` leaves it alone.
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
    cost_names_ : ndarray of str
        Names of the costs, if ``fit`` was given a data frame or a series with a name.
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

    coef_: Array
    intercept_: Array | float
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
        n_jobs: int | None = None,
        device: str | torch.device = "cpu",
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
        self.n_jobs = n_jobs
        self.device = device
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
        instance: InstanceData | None = None,
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
        instance : mapping of str to ndarray, data frame or structured array, optional
            Per-instance data of the oracle, each array with leading n. For long data, instances
            are in the order of their dates, else of their first appearance. Cross-validation
            splits the latter two by rows; a frame may hold an array in a cell.
        validation : (X, y), or mapping of this method's arguments by name, optional
            Instances to validate on; all those of X are then trained on. ``early_stopping`` must
            be on.
        callbacks : sequence of callables, default=()
            Each is called after each epoch with its entry of ``history_``; training stops if one
            returns True.

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
        rows, held = hold_out(self, table, rng, validation)
        start = start_afresh(self, table, rows, seed) if fresh else go_on(self, new_optimizer=True)
        self._learn(start, table, rows, held, seed, callbacks)
        return self

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        decisions: Any = None,
        groups: Any = None,
        instance: InstanceData | None = None,
    ) -> Self:
        """Pass over some instances once, going on from the present weights.

        The optimizer goes on from its state as well, also where the estimator was saved and loaded
        in between. Scales of features and costs are those of the first call. Nothing is held out,
        and the learning rate is constant.

        Parameters
        ----------
        X, y, sample_weight, decisions, groups, instance
            As in ``fit``.

        Returns
        -------
        self
            The fitted estimator.

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
            start = start_afresh(self, table, rows, seed)
        else:
            seed = self._seed + len(history)
            start = go_on(self, new_optimizer=False)
        self._learn(start, table, rows, None, seed, one_pass=True)
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
            Features.

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
            scaled = torch.from_numpy(self._scaling.features(X))
            scaled = scaled.to(device_of(self.predictor_), dtype_of(self.predictor_))
            costs = self.predictor_(scaled).double().cpu().numpy() * self._scaling.cost
        return costs[:, 0] if self._one_output else costs

    def _module(self, weights: dict[str, torch.Tensor]) -> nn.Module | None:
        return saved_predictor(self.predictor, self.n_features_in_, weights)

    def _learn(
        self,
        start: Start,
        table: Table,
        rows: Array,
        held: Held | None,
        seed: int,
        callbacks: Sequence[Callback] = (),
        *,
        one_pass: bool = False,
    ) -> None:
        """Train, and set what was learned once all has gone well."""
        result, budget = run(self, start, table, rows, held, seed, callbacks, one_pass=one_pass)
        if not result.history and self.max_solver_seconds is not None:
            warnings.warn(
                f"max_solver_seconds={self.max_solver_seconds} were spent before the first epoch "
                "ended; the predictor is as it was before training",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.predictor_, self._optimizer, self._scaling = start
        self.history_ = result.history
        self.n_iter_ = len(result.history)
        self.best_iter_ = self.n_iter_ if result.best_epoch is None else result.best_epoch
        self.budget_ = budget
        self._seed = seed
        self._one_output = table.one_output
        if self.predictor == "linear":
            self.coef_, self.intercept_ = unscaled(self.predictor_, self._scaling, self._one_output)
