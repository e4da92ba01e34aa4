"""Training by a surrogate of the regret."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, final

from pydantic import Field, PositiveFloat, PositiveInt

from dfl.exceptions import InvalidInputError
from dfl_experiments.features import Features, expanded
from dfl_experiments.methods.base import AbstractMethod, Judgement, judged
from dfl_experiments.problems.base import Fold

if TYPE_CHECKING:
    from dfl_solvers.oracle import Array


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
        trials = [judged(self._model(fold, seed, rate), fold, optimal) for rate in self.rates]
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


def _validation(trial: Judgement) -> list[float]:
    """Return the validation regret of each epoch."""
    return [epoch["validation"] for epoch in trial.history if "validation" in epoch]
