"""What a trial is judged by: the last part of the training table of each fold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal, final

from pydantic import Field

from dfl_experiments.catalog import Problem
from dfl_experiments.problems.base import AbstractProblem, Fold, Table


@final
class HeldOut(AbstractProblem):
    """A problem whose test tables stay unseen: methods learn and are judged on a training table.

    It is that of the first fold: where folds walk forward in time, those after it are trained on
    instances that earlier ones test on. The set that may be trained on also judges, as it does
    wherever a method validates itself.
    """

    kind: Literal["held-out"] = "held-out"
    problem: Problem
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the training instances that judge: the last ones, which are the latest if dated."""

    def folds(self, seed: int) -> Iterator[Fold]:
        """Yield the first fold of the problem without its test table."""
        fold = next(self.problem.folds(seed))
        train, n = fold.train, len(fold.train.wide(fold.train.y))
        cut = n - min(max(round(self.fraction * n), 1), n - 1)
        yield replace(
            fold,
            train=_rows(train, 0, cut),
            test=_rows(train, cut, n),
            oracle=fold.training_oracle,
        )

    def optimal(self, fold: Fold) -> Any:
        """Return the best objectives; the problem knows how."""
        return self.problem.optimal(fold)


def _rows(table: Table, first: int, end: int) -> Table:
    """Return some of the instances of a table."""
    n = len(table.wide(table.y))
    per = len(table.y) // n if table.groups is not None else 1
    rows = slice(first * per, end * per)
    return Table(
        table.X.iloc[rows] if hasattr(table.X, "iloc") else table.X[rows],
        table.y[rows],
        None if table.groups is None else table.groups[rows],
        None
        if table.instance is None
        else {name: values[first:end] for name, values in table.instance.items()},
        None if table.expected is None else table.expected[first:end],
    )
