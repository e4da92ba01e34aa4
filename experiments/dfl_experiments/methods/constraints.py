"""Methods that predict constraints, and are judged by post-hoc regret."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, final

from pydantic import Field, PositiveFloat, PositiveInt

from dfl.exceptions import InvalidInputError
from dfl_experiments.methods.base import AbstractMethod, Judgement
from dfl_experiments.problems.base import Fold

if TYPE_CHECKING:
    from dfl_solvers.oracle import Array


class AbstractConstraintMethod(AbstractMethod):
    """A method that predicts constraints; a leaf says which model learns."""

    predicts_constraints: ClassVar[bool] = True

    def check(self, fold: Fold) -> None:
        """Refuse problems that know their constraints."""
        if fold.constraint is None:
            raise InvalidInputError(
                "got a method that predicts constraints, expected one that predicts costs"
            )

    def judge(self, fold: Fold, optimal: Array, seed: int) -> Judgement:
        """Learn, decide, correct and measure."""
        del optimal
        constraint = fold.constraint
        given = (fold.training_oracle, constraint.predicts, constraint.recourse, constraint.costs)
        train, test = fold.train, fold.test
        # let oracle and recourse compile or load what they need
        self.model(given, seed).fit(train.X[:20], train.y[:20])
        start = time.perf_counter()
        model = self.model(given, seed).fit(train.X, train.y)
        seconds = time.perf_counter() - start
        regret, _ = model.evaluate(test.X, test.y)
        history = getattr(model, "history_", [])
        return Judgement(regret, seconds, history, model.budget_.instances)

    @abstractmethod
    def model(self, given: tuple[Any, ...], seed: int) -> Any:
        """Return an unfitted estimator of a problem: oracle, field, recourse and costs."""


@final
class TwoStageConstraints(AbstractConstraintMethod):
    """Least squares or a forest, times a margin; see ``dfl.TwoStageConstraintRegressor``."""

    estimator: Literal["two-stage-constraints"]
    regressor: Literal["linear", "random-forest"] = "linear"
    margins: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] | None = None
    """Factors to choose from by cross-validation; one alone is taken. None for the default ones."""

    def model(self, given: tuple[Any, ...], seed: int) -> Any:
        """Return the estimator."""
        from sklearn.ensemble import RandomForestRegressor
        from sklearn.linear_model import LinearRegression

        from dfl import TwoStageConstraintRegressor

        forest = self.regressor == "random-forest"
        return TwoStageConstraintRegressor(
            *given,
            regressor=RandomForestRegressor(random_state=seed) if forest else LinearRegression(),
            margins=self.margins,
            random_state=seed,
        )


@final
class ConstraintFocused(AbstractConstraintMethod):
    """Train for post-hoc regret; see ``dfl.ConstraintRegressor``."""

    estimator: Literal["constraints"]
    predictor: Literal["linear", "mlp"] = "linear"
    sigma: PositiveFloat = 0.1
    n_samples: Annotated[int, Field(ge=2)] = 10
    max_iter: PositiveInt = 100
    learning_rate: PositiveFloat = 1e-2
    n_iter_no_change: PositiveInt = 20

    def model(self, given: tuple[Any, ...], seed: int) -> Any:
        """Return the estimator."""
        from dfl import ConstraintRegressor

        return ConstraintRegressor(
            *given,
            predictor=self.predictor,
            sigma=self.sigma,
            n_samples=self.n_samples,
            max_iter=self.max_iter,
            learning_rate=self.learning_rate,
            n_iter_no_change=self.n_iter_no_change,
            random_state=seed,
        )
