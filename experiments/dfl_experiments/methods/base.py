"""What all methods have in common: they learn on one table of a fold, are judged on the other."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, field_validator

from dfl_experiments.base import AbstractModel
from dfl_experiments.config_errors import custom, one_of
from dfl_experiments.problems.base import Fold
from dfl_experiments.space import Space, merged

if TYPE_CHECKING:
    from dfl_solvers.oracle import Array

MINIMUM = "theoretical minimum"


@dataclass(frozen=True)
class Judgement:
    """How good the decisions of a method are on the test table, and how it learned.

    Seconds and solves are those of the fit that was kept, without the trials before.

    Attributes
    ----------
    regret : ndarray of shape (n,)
        Of the decision for each instance of the test table.
    seconds : float
        Of training.
    history : list of dict
        What was measured in each epoch; empty for a method without epochs.
    solves : int
        Instances that the oracle solved in training.
    """

    regret: Array
    seconds: float
    history: list[dict[str, float]] = field(default_factory=list)
    solves: int = 0


class AbstractMethod(AbstractModel):
    """A method of a run."""

    predicts_constraints: ClassVar[bool] = False
    """Whether it predicts numbers of a constraint; else costs."""

    name: str = Field(min_length=1)
    tune: Space = Field(default_factory=dict)
    """What ``dfl sweep`` chooses from by validation regret: fields with lists or ranges."""

    @field_validator("tune")
    @classmethod
    def _tune_parameters_only(cls, value: Space) -> Space:
        fixed = ("name", "estimator", "tune")
        for name in value:
            if name.partition(".")[0] not in set(cls.model_fields) - set(fixed):
                known = [field for field in cls.model_fields if field not in fixed]
                raise custom(f"got {name!r}, expected {one_of(name, known)}")
        return value

    def chosen(self, setting: Mapping[str, Any]) -> Self:
        """Return the method with some of its fields set, and nothing left to choose."""
        own = self.model_dump(exclude={"tune"})
        return type(self).model_validate(merged(own, setting))

    def check(self, fold: Fold) -> None:
        """Refuse what cannot work with this problem, before anything is computed."""
        del fold

    @abstractmethod
    def judge(self, fold: Fold, optimal: Array, seed: int) -> Judgement:
        """Learn, decide and measure the regret against the optimal objectives (n,)."""


def judged(model: Any, fold: Fold, optimal: Array) -> Judgement:
    """Fit an estimator and judge the decisions for what it predicts.

    Parameters
    ----------
    model : estimator
        Unfitted.
    fold : Fold
        The two tables.
    optimal : ndarray of shape (n,)
        Objectives of the best decisions on the test table.

    Returns
    -------
    Judgement
        Seconds are without compilation.
    """
    train, test = fold.train, fold.test
    warm_up(fold)
    start = time.perf_counter()
    model.fit(train.X, train.y, groups=train.groups, instance=train.instance)
    seconds = time.perf_counter() - start
    regret = regret_of(fold, test.wide(model.predict(test.X)), optimal)
    budget = getattr(model, "budget_", None)
    return Judgement(
        regret, seconds, getattr(model, "history_", []), 0 if budget is None else budget.instances
    )


def warm_up(fold: Fold) -> None:
    """Let the oracle compile or load what it needs, so that the seconds are those of training."""
    instance = fold.train.instance or {}
    first = {name: values[:1] for name, values in instance.items()}
    fold.training_oracle.solve(fold.train.wide(fold.train.y)[:1], first)


def regret_of(fold: Fold, predicted: Any, optimal: Array) -> Array:
    """Return the regret (n,) of the best decisions for predicted costs on the test table."""
    from dfl import metrics

    test = fold.test
    return metrics.regret(
        fold.oracle, predicted, test.wide(test.y), instance=test.instance, optimal=optimal
    )
