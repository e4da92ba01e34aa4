"""The one training loop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import nn
from tqdm.std import tqdm

from dfl._validation import check_above_zero, check_at_least
from dfl.exceptions import InvalidInputError
from dfl.losses import AbstractLoss
from dfl.training._run import Run
from dfl.training.checkpoint import Checkpoint
from dfl.training.epoch import StopTraining
from dfl.training.source import Source

# a checkpoint is written at most this often, since a small epoch takes milliseconds
_SECONDS_BETWEEN_CHECKPOINTS = 2.0

Callback = Callable[[dict[str, float]], bool | None]


@final
@dataclass
class TrainingResult:
    """What a training run did.

    Attributes
    ----------
    history : list of dict
        One entry an epoch: ``epoch`` (from 1), ``loss`` (mean over the samples), ``validation``
        (the monitored number, if any), ``learning_rate`` and ``seconds`` since the start.
    best_epoch : int or None
        Epoch whose weights were kept, 0 for those before training; None without a monitor, when
        the last ones are.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int | None = None

    @property
    def seconds(self) -> float:
        """What training took, with the time before it was killed and went on."""
        return self.history[-1]["seconds"] if self.history else 0.0


def train(
    model: nn.Module,
    loss: AbstractLoss,
    source: Source,
    *,
    max_iter: int = 100,
    optimizer: str | torch.optim.Optimizer = "adam",
    learning_rate: float = 1e-2,
    schedule: str = "constant",
    micro_batch_size: int | None = None,
    max_grad_norm: float | None = None,
    before_step: Callable[[nn.Module], None] | None = None,
    monitor: Callable[[nn.Module], float] | None = None,
    patience: int | None = None,
    checkpoint: Checkpoint | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
    seed: int = 0,
) -> TrainingResult:
    """Train a model in place; the loop of every method.

    Parameters
    ----------
    model : nn.Module
        Takes a batch of inputs and gives the output the loss expects.
    loss : AbstractLoss
        Called as ``loss(output, target)``. Its generator, if it has one, is seeded here.
    source : Source
        Yields the batches of an epoch.
    max_iter : int, default=100
        Number of epochs.
    optimizer : {"adam", "adamw", "sgd"} or torch.optim.Optimizer, default="adam"
        One of the model's parameters goes on from its own state.
    learning_rate : float, default=1e-2
        Of an optimizer given by name.
    schedule : {"constant", "cosine", "plateau"}, default="constant"
        How the learning rate changes over the epochs; ``"plateau"`` needs a monitor.
    micro_batch_size : int, optional
        Most samples that pass through the model at a time. The gradients of the pieces of a batch
        add up to that of the batch, in less memory. Default: whole batches.
    max_grad_norm : float, optional
        Gradients that are longer are cut to this length before a step.
    before_step : callable, optional
        Is given the model when the gradients of a batch are complete, before they are cut, such as
        to average them over processes.
    monitor : callable, optional
        Takes the model, in evaluation mode, before the first and after each epoch and returns a
        number to be made small, such as validation regret. The weights with the smallest one are
        kept.
    patience : int, optional
        Stop after this many epochs without a smaller monitored number.
    checkpoint : Checkpoint, optional
        Where to keep the state; an existing one is resumed and gives the same weights as an
        unbroken run. Torch's own generator, which dropout draws from, is set to where it was.
    callbacks : sequence of callables, default=()
        Each is called after each epoch with its entry of the history, to which it may add numbers;
        training stops if one returns True.
    progress : bool, default=False
        Show a progress bar with the time left on the standard error stream.
    seed : int, default=0
        Seeds the order of the batches and the noise of the loss.

    Returns
    -------
    TrainingResult
        The history and the epoch whose weights the model now has.

    Raises
    ------
    InvalidInputError
        If an argument is out of its range.
    TrainingError
        If the loss becomes NaN or infinite, or the checkpoint belongs to another run.

    Notes
    -----
    A linear layer is trained by compiled code where the loss has a closed form
    (``value_and_gradient``), the rows come from a ``TableSource`` and the optimizer is one of the
    three; anything else by autograd. The two do the same, up to rounding. ``StopTraining``, raised
    by an oracle, say, ends training like the last epoch; the one that it interrupts is not in the
    history.

    Examples
    --------
    >>> import torch
    >>> from dfl import Target, make_loss
    >>> from dfl.training import TableSource, train
    >>> from dfl_solvers import Box
    >>> x = torch.linspace(-1, 1, 16)[:, None]
    >>> model = torch.nn.Linear(1, 1)
    >>> source = TableSource(x, Target(costs=3 * x), batch_size=4)
    >>> result = train(model, make_loss("squared", Box()), source, learning_rate=0.1)
    >>> len(result.history), round(model.weight.item(), 2)
    (100, 3.0)
    """
    _check(max_iter, schedule, monitor, patience)
    if micro_batch_size is not None:
        check_at_least(1, "", micro_batch_size=micro_batch_size)
    if max_grad_norm is not None:
        check_above_zero("", max_grad_norm=max_grad_norm)
    run = Run(
        model,
        loss,
        source,
        optimizer,
        learning_rate,
        schedule,
        max_iter,
        seed,
        micro_batch_size,
        max_grad_norm,
        before_step,
    )
    if checkpoint is not None:
        run.resume(checkpoint)
    start = time.perf_counter() - (run.history[-1]["seconds"] if run.history else 0.0)
    written = time.perf_counter()
    bar = tqdm(total=max_iter, initial=len(run.history), desc="training", disable=not progress)
    with bar, contextlib.suppress(StopTraining):
        if monitor is not None and not run.history:
            run.judge(monitor, epoch=0)
        while not run.finished and len(run.history) < max_iter:
            entry = run.epoch()
            entry["seconds"] = time.perf_counter() - start
            if monitor is not None:
                entry["validation"] = run.judge(monitor, epoch=len(run.history) + 1)
                run.finished = patience is not None and run.epochs_without_gain >= patience
            run.history.append(entry)
            run.advance(entry)
            stops = [callback(entry) for callback in callbacks]
            run.finished = run.finished or True in stops or len(run.history) == max_iter
            if progress:
                shown = {k: f"{v:.4g}" for k, v in entry.items() if k in ("loss", "validation")}
                bar.set_postfix(shown, refresh=False)
                bar.update()
            due = time.perf_counter() - written > _SECONDS_BETWEEN_CHECKPOINTS
            if checkpoint is not None and (due or run.finished):
                run.save(checkpoint)
                written = time.perf_counter()
    run.keep_best()
    return TrainingResult(run.history, run.best_epoch)


def _check(
    max_iter: int, schedule: str, monitor: Callable[[nn.Module], float] | None, patience: int | None
) -> None:
    check_at_least(1, "", max_iter=max_iter)
    if patience is not None:
        check_at_least(1, "", patience=patience)
    if schedule == "plateau" and monitor is None:
        raise InvalidInputError(
            "schedule='plateau' needs a monitored number, got none; "
            "use early_stopping=True or another schedule"
        )
