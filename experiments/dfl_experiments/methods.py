"""The methods a run compares: each learns on one table of a fold, is judged on the other."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, final

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from dfl.exceptions import InvalidInputError
from dfl_experiments.base import AbstractModel
from dfl_experiments.config_errors import custom, one_of
from dfl_experiments.features import Features, expanded
from dfl_experiments.problems.base import Fold
from dfl_experiments.regressors import Regressor, regressor
from dfl_experiments.space import Space, merged

if TYPE_CHECKING:
    from dfl_solvers.oracle import Array

MINIMUM = "theoretical minimum"


@dataclass(frozen=True)
class Judgement:
    """Regret (n,) of the decisions a method makes on the test table, and how it learned.

    Seconds and solves are those of the fit that was kept, without the trials before.
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


@final
class TwoStage(AbstractMethod):
    """Predict costs as well as possible, then optimize."""

    estimator: Literal["two-stage"]
    regressor: Regressor = "linear"
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Of the regressor of scikit-learn, such as ``{alpha: 0.1}`` for a ridge."""
    features: Features = "given"

    def check(self, fold: Fold) -> None:
        """Refuse parameters that the regressor does not have, or whose values it refuses."""
        regressor(self.regressor, self.parameters, fold, 0)

    def judge(self, fold: Fold, optimal: Array, seed: int) -> Judgement:
        """Fit by scikit-learn."""
        from dfl import PredictThenOptimizeRegressor

        fold = expanded(fold, self.features)
        model = regressor(self.regressor, self.parameters, fold, seed)
        return _judge(PredictThenOptimizeRegressor(fold.training_oracle, model), fold, optimal)


@final
class DecisionFocused(AbstractMethod):
    """Train by a surrogate of the regret; see ``dfl.DecisionFocusedRegressor``."""

    estimator: Literal["decision-focused"]
    loss: str = "spo+"
    loss_parameters: dict[str, Any] = Field(default_factory=dict)
    predictor: Literal["linear", "mlp", "convolution"] = "linear"
    """``convolution`` is for features that are images; see ``dfl.estimators.GridConvolution``."""
    features: Features = "given"
    max_iter: PositiveInt = 100
    batch_size: PositiveInt = 32
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: PositiveFloat | Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = 1e-2
    """Several: each is tried, and that with the smallest validation regret is kept."""
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    early_stopping: bool = True
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    n_iter_no_change: PositiveInt = 20
    stand_in: str | None = None
    """Name of the problem's set to train on in place of the one that decides."""

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates to try."""
        rate = self.learning_rate
        return rate if isinstance(rate, tuple) else (rate,)

    def check(self, fold: Fold) -> None:
        """Refuse an unknown loss, a wrong parameter, or a loss that the oracle does not suit."""
        from dfl import make_loss
        from dfl_solvers.oracle import minimizing

        make_loss(self.loss, minimizing(self._on(fold).training_oracle)[0], self.loss_parameters)
        if len(self.rates) > 1 and not self.early_stopping:
            raise InvalidInputError(
                f"got {len(self.rates)} values of learning_rate with early_stopping=false, "
                "expected one: they are compared by validation regret"
            )
        if self.predictor == "convolution" and fold.picture is None:
            raise InvalidInputError(
                "got predictor 'convolution', but the features of this problem are no image; "
                "expected 'linear' or 'mlp'"
            )

    def judge(self, fold: Fold, optimal: Array, seed: int) -> Judgement:
        """Fit by this library, once for each learning rate."""
        fold = expanded(self._on(fold), self.features)
        trials = [_judge(self._model(fold, seed, rate), fold, optimal) for rate in self.rates]
        return min(trials, key=lambda trial: min(_validation(trial), default=0.0))

    def _on(self, fold: Fold) -> Fold:
        """Return the fold with the set to train on."""
        if self.stand_in is None:
            return fold
        if self.stand_in not in fold.stand_ins:
            known = ", ".join(fold.stand_ins) or "none"
            raise InvalidInputError(
                f"got stand_in {self.stand_in!r}, expected one that the problem has: {known}"
            )
        return replace(fold, training_oracle=fold.stand_ins[self.stand_in])

    def _model(self, fold: Fold, seed: int, rate: float) -> Any:
        from dfl import DecisionFocusedRegressor

        predictor: Any = self.predictor
        if predictor == "convolution" and fold.picture is not None:
            from dfl.estimators import GridConvolution

            predictor = GridConvolution(*fold.picture, random_state=seed)
        return DecisionFocusedRegressor(
            fold.training_oracle,
            self.loss,
            predictor,
            loss_parameters=self.loss_parameters,
            max_iter=self.max_iter,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=rate,
            schedule=self.schedule,
            early_stopping=self.early_stopping,
            validation_fraction=self.validation_fraction,
            n_iter_no_change=self.n_iter_no_change,
            random_state=seed,
        )


@final
class Auto(AbstractMethod):
    """Choose features, predictor and loss by held-out regret; see ``dfl.AutoDecisionRegressor``."""

    estimator: Literal["auto"]
    cv: Annotated[int, Field(ge=2)] = 5
    average: bool = True
    time_budget: PositiveFloat | None = None
    candidates: tuple[str, ...] | None = None
    """Names of the default candidates to try; None for all that suit the size of the data."""

    def check(self, fold: Fold) -> None:
        """Refuse a name that there is not."""
        for name in self.candidates or ():
            _named(_candidates(fold), name)

    def judge(self, fold: Fold, optimal: Array, seed: int) -> Judgement:
        """Search, and fit what was chosen."""
        from dfl import AutoDecisionRegressor

        chosen = None
        if self.candidates is not None:
            known = _candidates(fold)
            chosen = [(name, _named(known, name)) for name in self.candidates]
        model = AutoDecisionRegressor(
            fold.training_oracle,
            chosen,
            cv=self.cv,
            average=self.average,
            time_budget=self.time_budget,
            random_state=seed,
        )
        return _judge(model, fold, optimal)


@final
class Single(AbstractMethod):
    """One of the candidates of ``dfl.AutoDecisionRegressor``, without a choice."""

    estimator: Literal["candidate"]
    candidate: str
    """Its name; see ``dfl.estimators.default_candidates``."""

    def check(self, fold: Fold) -> None:
        """Refuse a name that there is not."""
        _named(_candidates(fold), self.candidate)

    def judge(self, fold: Fold, optimal: Array, seed: int) -> Judgement:
        """Expand the features, and fit it."""
        from sklearn.pipeline import Pipeline

        model = _named(_candidates(fold), self.candidate)
        if isinstance(model, Pipeline):
            train = replace(fold.train, X=model[:-1].fit_transform(fold.train.X))
            test = replace(fold.test, X=model[:-1].transform(fold.test.X))
            fold, model = replace(fold, train=train, test=test), model[-1]
        seeds = [name for name in model.get_params() if name.endswith("random_state")]
        model.set_params(oracle=fold.training_oracle, **dict.fromkeys(seeds, seed))
        return _judge(model, fold, optimal)


@final
class EqualWeight(AbstractMethod):
    """Decide for 1/d of everything, whatever the features say: the classical portfolio baseline."""

    estimator: Literal["equal-weight"]

    def judge(self, fold: Fold, optimal: Array, seed: int) -> Judgement:
        """Measure the one decision."""
        import numpy as np

        from dfl import metrics

        costs = fold.test.wide(fold.test.y)
        decisions = np.full_like(costs, 1 / costs.shape[1])
        regret = metrics.decision_regret(
            fold.oracle, decisions, costs, instance=fold.test.instance, optimal=optimal
        )
        return Judgement(regret, 0.0)


@final
class ExpectedCosts(AbstractMethod):
    """Decide for the true E[c | x]: no method can do better on average."""

    name: str = MINIMUM
    estimator: Literal["expected-costs"] = "expected-costs"

    def judge(self, fold: Fold, optimal: Array, seed: int) -> Judgement:
        """Measure the best decisions that features allow."""
        return Judgement(_regret(fold, fold.test.expected, optimal), 0.0)


def _candidates(fold: Fold) -> dict[str, Any]:
    """Return the default candidates for the size of a fold."""
    from dfl.estimators import default_candidates

    train = fold.train
    n_samples, n_features = train.X.shape
    n_costs = train.wide(train.y).shape[1]
    long = train.groups is not None
    return dict(default_candidates(n_samples, n_features, n_costs, long=long))


def _named(known: dict[str, Any], name: str) -> Any:
    if name not in known:
        raise InvalidInputError(
            f"got the candidate {name!r}, expected one for this size of data: {', '.join(known)}"
        )
    return known[name]


def _judge(model: Any, fold: Fold, optimal: Array) -> Judgement:
    train, test = fold.train, fold.test
    _warm_up(fold)
    start = time.perf_counter()
    model.fit(train.X, train.y, groups=train.groups, instance=train.instance)
    seconds = time.perf_counter() - start
    regret = _regret(fold, test.wide(model.predict(test.X)), optimal)
    budget = getattr(model, "budget_", None)
    return Judgement(
        regret, seconds, getattr(model, "history_", []), 0 if budget is None else budget.instances
    )


def _validation(trial: Judgement) -> list[float]:
    """Return the validation regret of each epoch."""
    return [epoch["validation"] for epoch in trial.history if "validation" in epoch]


def _warm_up(fold: Fold) -> None:
    """Let the oracle compile or load what it needs, so that the seconds are those of training."""
    instance = fold.train.instance or {}
    first = {name: values[:1] for name, values in instance.items()}
    fold.training_oracle.solve(fold.train.wide(fold.train.y)[:1], first)


def _regret(fold: Fold, predicted: Any, optimal: Array) -> Array:
    from dfl import metrics

    test = fold.test
    return metrics.regret(
        fold.oracle, predicted, test.wide(test.y), instance=test.instance, optimal=optimal
    )
