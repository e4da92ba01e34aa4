"""Training as the published experiments do it, so that published settings mean the same here."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, final

from pydantic import Field, PositiveFloat, PositiveInt

from dfl.exceptions import InvalidInputError
from dfl_experiments.methods.base import AbstractMethod, Judgement, regret_of, warm_up
from dfl_experiments.problems.base import Fold, Table

if TYPE_CHECKING:
    from dfl_solvers.oracle import Array, Oracle


@final
class PublishedTraining(AbstractMethod):
    """Costs in their own units, torch's first weights, and the last or the best epoch.

    ``decision-focused`` is what this library recommends: it scales costs and starts at least
    squares, so that published learning rates and noise levels would mean something else there.
    """

    estimator: Literal["published-training"]
    loss: str = "spo+"
    loss_parameters: dict[str, Any] = Field(default_factory=dict)
    hidden: tuple[PositiveInt, ...] = ()
    """Widths of hidden layers; none for a linear predictor."""
    max_iter: PositiveInt = 20
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = 1e-2
    schedule: Literal["constant", "plateau"] = "constant"
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the training table, at its end, that chooses the epoch; 0: the last one is kept."""
    standardize: bool = False
    """Whether features are brought to mean zero and variance one, as on the training table."""

    def check(self, fold: Fold) -> None:
        """Refuse an unknown loss, a wrong parameter, or a schedule that lacks a number to watch."""
        from dfl import make_loss
        from dfl_solvers.oracle import minimizing

        make_loss(self.loss, minimizing(fold.training_oracle)[0], self.loss_parameters)
        if self.schedule == "plateau" and not self.validation_fraction:
            raise InvalidInputError("schedule 'plateau' needs a validation_fraction above 0")

    def judge(self, fold: Fold, optimal: Array, seed: int) -> Judgement:
        """Train, and decide by what was learned."""
        import torch

        from dfl import Target, make_loss
        from dfl.training import TableSource, train
        from dfl_solvers import Counting
        from dfl_solvers.oracle import minimizing

        minimal, sign = minimizing(fold.training_oracle)
        warm_up(fold)
        oracle = Counting(minimal)
        start = time.perf_counter()
        inputs, shift, scale = _inputs(fold.train, self.standardize)
        costs = sign * fold.train.wide(fold.train.y)
        instance = fold.train.instance or None
        cut = len(costs) - round(self.validation_fraction * len(costs))
        target = Target(
            costs=torch.from_numpy(costs[:cut].copy()), instance=_rows(instance, slice(cut))
        )
        loss = make_loss(self.loss, oracle, self.loss_parameters)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self._model(inputs.shape, costs.shape[1])
            if loss.generator is not None:
                loss.generator.manual_seed(seed)
            x = torch.from_numpy(inputs)
            held = _rows(instance, slice(cut, None))
            monitor = _monitor(oracle, x[cut:], costs[cut:], held) if cut < len(costs) else None
            result = train(
                model,
                loss,
                TableSource(x[:cut], loss.complete(target), self.batch_size),
                max_iter=self.max_iter,
                learning_rate=self.learning_rate,
                schedule=self.schedule,
                monitor=monitor,
                seed=seed,
            )
        seconds = time.perf_counter() - start
        test, _, _ = _inputs(fold.test, self.standardize, shift, scale)
        with torch.no_grad():
            predicted = sign * model(torch.from_numpy(test)).numpy()
        regret = regret_of(fold, predicted, optimal)
        return Judgement(regret, seconds, result.history, oracle.counts.instances)

    def _model(self, shape: tuple[int, ...], n_costs: int) -> Any:
        """Make the predictor: one for all items if features are those of items."""
        from torch import nn

        from dfl.training import SharedOverItems

        long = len(shape) == 3
        sizes = (shape[-1], *self.hidden, 1 if long else n_costs)
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(sizes):
            layers += [nn.Linear(a, b).double(), nn.ReLU()]
        module = layers[0] if len(layers) == 2 else nn.Sequential(*layers[:-1])
        return SharedOverItems(module) if long else module


def _monitor(oracle: Oracle, inputs: Any, costs: Array, instance: Any) -> Callable[[Any], float]:
    """Return the normalized regret of a model on held-out instances."""
    from dfl import metrics

    best = metrics.optimal_objectives(oracle, costs, instance=instance)

    def regret(model: Any) -> float:
        predicted = model(inputs).numpy()
        found = metrics.regret(oracle, predicted, costs, instance=instance, optimal=best)
        return float(found.sum() / abs(best).sum())

    return regret


def _inputs(table: Table, standardize: bool, shift: Any = None, scale: Any = None) -> Any:
    """Return the features (n, p), or (n, d, p) of long data, and how they were standardized."""
    import numpy as np

    x = np.array(table.X, dtype=float)
    if standardize:
        if shift is None:
            shift, scale = x.mean(axis=0), x.std(axis=0)
            scale[scale == 0] = 1.0
        x = (x - shift) / scale
    if table.groups is not None:
        n, d = table.wide(table.y).shape
        x = x.reshape(n, d, -1)
    return x, shift, scale


def _rows(instance: Any, rows: slice) -> Any:
    return None if instance is None else {name: value[rows] for name, value in instance.items()}
