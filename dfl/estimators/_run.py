"""One training run of an estimator: from a table and a start to a trained predictor."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from dfl._validation import check_at_least
from dfl.estimators._fingerprint import fingerprint
from dfl.estimators._held_out import Held
from dfl.estimators._predictors import device_of, dtype_of
from dfl.estimators._randomness import private_randomness
from dfl.estimators._scaling import InUnits, Scaling
from dfl.estimators._solver_time import Forecast, Interruptions, Limited
from dfl.estimators._start import Start
from dfl.estimators._table import Table
from dfl.estimators._validation import make_monitor
from dfl.exceptions import InvalidInputError
from dfl.losses import AbstractLoss, Target, make_loss
from dfl.training import Checkpoint, SharedOverItems, TableSource, TrainingResult, train
from dfl.training.train import Callback
from dfl_solvers.oracle import Array, Oracle, minimizing
from dfl_solvers.wrappers import Counting, Counts

if TYPE_CHECKING:
    from dfl.estimators.decision_boosting import DecisionBoostingRegressor
    from dfl.estimators.decision_focused import DecisionFocusedRegressor


def run(
    estimator: DecisionFocusedRegressor,
    start: Start,
    table: Table,
    rows: Array,
    held: Held | None,
    seed: int,
    callbacks: Sequence[Callback] = (),
    *,
    one_pass: bool = False,
) -> tuple[TrainingResult, Counts]:
    """Train the predictor of a start in place; the estimator is read only.

    Parameters
    ----------
    estimator : DecisionFocusedRegressor
    start : Start
    table : Table
    rows : ndarray of int
        The instances to train on.
    held : Held or None
    seed : int
    callbacks : sequence of callables
    one_pass : bool
        Pass over the rows once, at a constant rate and without a checkpoint.

    Returns
    -------
    TrainingResult, Counts
        What training did, and what the oracle solved.
    """
    model, optimizer, scaling = start
    check_at_least(1, "", max_iter=estimator.max_iter)
    oracle, _ = minimizing(estimator._checked_oracle())
    if estimator.n_jobs is not None and estimator.n_jobs != 1:
        # imported here: compiled code is slow to load, and few need this
        from dfl_solvers.parallel import Parallel

        oracle = Parallel(oracle, estimator.n_jobs)
    counting = Counting(oracle)
    asked = Limited(counting, estimator.max_solver_seconds)
    loss = loss_of(estimator, asked, scaling)
    if loss.generator is not None:  # some draw what they complete labels with
        loss.generator.manual_seed(seed)
    dtype, device = dtype_of(model), device_of(model)
    whole = SharedOverItems(model) if table.long else model
    inputs, target = table.tensors(rows, scaling)
    inputs = inputs.to(device, dtype)

    def sample(few: Target) -> None:
        """Do what training does with some instances, but for the step."""
        few = few.to(dtype, device)
        before = {name: value.clone() for name, value in loss.state_dict().items()}
        draws = torch.Generator().manual_seed(seed)
        moved = loss.move_inputs(whole.eval(), inputs[: len(few)], few, draws)
        with torch.no_grad():
            output = whole(moved)
        loss(output.requires_grad_(), few).backward()
        loss.load_state_dict(before)  # some learn from what they see

    n_held = 0 if held is None else len(held.rows)
    forecast = Forecast(
        asked, sample, len(rows), n_held, 0 if one_pass else estimator.max_iter, estimator.n_jobs
    )
    target = forecast.complete(loss, target).to(dtype, device)  # labels are solved in float64
    weights = None
    if table.weights is not None:
        weights = torch.from_numpy(table.weights[rows]).to(device, dtype)
    monitor = None
    if held is not None:
        monitor = make_monitor(loss, asked, *held, scaling, dtype, device)
    forecast.judge(target)
    checkpoint = None
    if estimator.checkpoint is not None and not one_pass:
        parts = [inputs, target.costs, target.decisions, weights, *model.state_dict().values()]
        parts += (target.instance or {}).values()
        if held is not None:
            parts += [held.table.inputs, held.table.truth, held.table.weights, held.rows]
            parts += (held.table.instance or {}).values()
        told = fingerprint(estimator, seed, str(model), parts)
        checkpoint = Checkpoint(estimator.checkpoint, told)
    asked.start()
    with private_randomness(seed, device):
        result = train(
            whole,
            loss,
            TableSource(inputs, target, estimator.batch_size, weights),
            max_iter=1 if one_pass else estimator.max_iter,
            optimizer=optimizer,
            schedule="constant" if one_pass else estimator.schedule,
            monitor=monitor,
            patience=estimator.n_iter_no_change,
            checkpoint=checkpoint,
            callbacks=(Interruptions(counting), *callbacks),
            progress=estimator.verbose > 0,
            seed=seed,
        )
    return result, counting.counts


def loss_of(
    estimator: DecisionFocusedRegressor | DecisionBoostingRegressor,
    oracle: Oracle,
    scaling: Scaling,
) -> AbstractLoss:
    """Make the loss, or copy the one that was given, around an oracle in scaled units."""
    held: Oracle = oracle
    if not getattr(oracle, "linear_objective", True):
        held = InUnits(oracle, abs(scaling.cost))
    if isinstance(estimator.loss, str):
        return make_loss(estimator.loss, held, estimator.loss_parameters)
    if not isinstance(estimator.loss, AbstractLoss) or estimator.loss_parameters is not None:
        raise InvalidInputError(
            f"got loss={estimator.loss!r} with loss_parameters={estimator.loss_parameters!r}, "
            "expected a name with or without parameters, or a loss object without"
        )
    loss = copy.deepcopy(estimator.loss)
    loss.oracle, loss.sign = held, 1  # the sign is applied to the data, once, in ``fit``
    return loss
