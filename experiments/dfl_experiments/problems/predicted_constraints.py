"""Problems whose constraints are predicted, judged by post-hoc regret."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, final

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from dfl.exceptions import InvalidInputError
from dfl_experiments.base import AbstractModel
from dfl_experiments.problems.base import AbstractProblem, Constraint, Fold, Table


@final
class Recourse(AbstractModel):
    """What is done once the truth is known; see the classes of these names in ``dfl_solvers``."""

    rule: Literal["reoptimize", "rescale", "discard"]
    add: NonNegativeFloat = 0.0
    drop: NonNegativeFloat = 0.0

    def make(self) -> Any:
        """Return the recourse itself."""
        import dfl_solvers

        leaf: Any = getattr(dfl_solvers, self.rule.capitalize())
        return leaf(add=self.add, drop=self.drop)


class AbstractConstraintProblem(AbstractProblem):
    """Numbers of a constraint from a polynomial of the features, with noise; costs are known.

    A leaf writes ``draw``. Each recourse is a problem of its own.
    """

    knows_minimum: ClassVar[bool] = False

    kind: str
    n_train: PositiveInt = 200
    n_test: PositiveInt = 1000
    n_features: PositiveInt = 5
    degree: PositiveInt = 4
    noise: float = Field(default=0.5, ge=0, lt=1)
    recourses: dict[str, Recourse] = Field(min_length=1)
    """By the names they have in the results."""

    @abstractmethod
    def draw(self, n: int, seed: int) -> Any:
        """Return a Bunch with ``X``, ``y``, ``costs``, ``oracle`` and ``predicts``."""

    def parts(self) -> Mapping[str, Self]:
        """Return one problem for each recourse."""
        return {
            f"{self.kind}, {name}": self.model_copy(update={"recourses": {name: recourse}})
            for name, recourse in self.recourses.items()
        }

    def folds(self, seed: int) -> Iterator[Fold]:
        """Draw and split."""
        data = self.draw(self.n_train + self.n_test, seed)
        (recourse,) = self.recourses.values()
        train, test = (
            Table(data.X[rows], data.y[rows])
            for rows in (slice(self.n_train), slice(self.n_train, None))
        )
        constraint = Constraint(data.predicts, data.costs, recourse.make())
        yield Fold(train, test, data.oracle, data.oracle, constraint=constraint)

    def optimal(self, fold: Fold) -> Any:
        """Return the objectives of the best decisions under the true constraints."""
        import numpy as np

        from dfl import metrics
        from dfl_solvers.recourse.field import PredictedField

        constraint, y = fold.constraint, fold.test.y
        true = PredictedField(fold.oracle, constraint.predicts).given(y, predicted=False)
        costs = np.tile(constraint.costs, (len(y), 1))
        return metrics.optimal_objectives(fold.oracle, costs, instance=true)

    def check(self, methods: Sequence[Any], seed: int) -> None:
        """Refuse methods that predict costs, and show the others the first fold."""
        for method in methods:
            if not method.predicts_constraints:
                raise InvalidInputError(
                    f"methods.{method.name}: got a method that predicts costs, expected one of "
                    "'constraints' and 'two-stage-constraints' for this problem"
                )
        super().check(methods, seed)


@final
class KnapsackWeightsProblem(AbstractConstraintProblem):
    """Knapsack with predicted weights; see ``dfl.datasets.make_knapsack_weights``."""

    kind: Literal["knapsack-weights"]
    n_items: PositiveInt = 16
    fill: PositiveFloat = 0.5

    def draw(self, n: int, seed: int) -> Any:
        """Draw instances; see ``AbstractConstraintProblem``."""
        from dfl.datasets import make_knapsack_weights

        return make_knapsack_weights(
            n,
            self.n_features,
            n_items=self.n_items,
            fill=self.fill,
            degree=self.degree,
            noise=self.noise,
            random_state=seed,
        )


@final
class StaffingProblem(AbstractConstraintProblem):
    """Shifts that cover predicted demand; see ``dfl.datasets.make_staffing``."""

    kind: Literal["staffing"]

    def draw(self, n: int, seed: int) -> Any:
        """Draw instances; see ``AbstractConstraintProblem``."""
        from dfl.datasets import make_staffing

        return make_staffing(
            n, self.n_features, degree=self.degree, noise=self.noise, random_state=seed
        )
