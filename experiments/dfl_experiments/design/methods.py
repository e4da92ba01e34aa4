"""The methods of a study: a model with uncertainty, and the criterion that chooses its labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, final

from pydantic import Field, NonNegativeInt, PositiveFloat

from dfl.exceptions import InvalidInputError
from dfl_experiments.base import AbstractModel
from dfl_experiments.design.criteria import Criterion, greedy, make_criterion

if TYPE_CHECKING:
    from dfl.design import SequentialDesign
    from dfl_experiments.design.study import AbstractDesignStudy
    from dfl_experiments.design.worlds.base import World
    from dfl_solvers.oracle import Array


@final
@dataclass(frozen=True)
class Begun:
    """A design before its first label, and how to judge it.

    Attributes
    ----------
    design : SequentialDesign or None
        None for a reference that buys no labels.
    pool : ndarray of shape (N, p)
        What it is asked about.
    regret : callable
        Returns the present regret.
    turn : callable
        Called with the number of labels bought so far, before each batch.
    first : int
        A batch ends at this number of labels, where ``turn`` has something to do.
    """

    design: SequentialDesign | None
    pool: Array
    regret: Callable[[], float]
    turn: Callable[[int], None] = lambda bought: None
    first: int = 0


class AbstractDesignMethod(AbstractModel):
    """A method of a study."""

    is_reference: ClassVar[bool] = False
    """Whether it buys no labels, and only says what the others may come to."""

    name: str = Field(min_length=1)

    @property
    @abstractmethod
    def family(self) -> tuple[str, ...]:
        """What learns; methods of one family differ in the labels they choose."""

    @property
    def bounds_risk(self) -> bool:
        """Whether it has a slack to stop by."""
        return False

    @abstractmethod
    def begin(self, world: World, study: AbstractDesignStudy, seed: int) -> Begun:
        """Set up a design in a world."""


@final
class Elimination(AbstractDesignMethod):
    """Hypotheses fixed in advance, of which labels eliminate."""

    learner: Literal["elimination"]
    criterion: Criterion
    loss: Literal["spo", "spo+", "squared"] = "spo"
    slack: Literal["practical", "mixture", "azuma"] = "practical"
    lipschitz: PositiveFloat = 1.0
    """An assumption; it matters for ``mixture`` and ``azuma``."""
    delta: Annotated[float, Field(gt=0, lt=1)] = 0.1
    floor: Annotated[float, Field(ge=0, le=1)] = 0.1

    @property
    def family(self) -> tuple[str, ...]:
        """Elimination by a loss."""
        return self.learner, self.loss

    @property
    def bounds_risk(self) -> bool:
        """All but the practical slack do."""
        return self.slack != "practical"

    def begin(self, world: World, study: AbstractDesignStudy, seed: int) -> Begun:
        """Take the class of the world; its regrets are known."""
        import numpy as np

        from dfl.design import FiniteHypothesisClass, SequentialDesign

        table, risks = world.hypotheses, world.risks
        if table is None or risks is None:
            raise InvalidInputError(
                "got learner 'elimination', but this problem has no hypotheses; expected 'linear'"
            )
        model = FiniteHypothesisClass(
            table, self.loss, self.slack, self.lipschitz, self.delta, study.labels[-1]
        )
        design = SequentialDesign(
            model,
            make_criterion(self.criterion),
            world.oracle,
            floor=self.floor,
            random_state=_stream(seed),
            repeats=world.repeats,
        )
        rows = np.arange(len(world.pool))[:, None]  # a table is asked by numbers
        return Begun(design, rows, lambda: float(risks[model.incumbent_]))


@final
class Linear(AbstractDesignMethod):
    """Bayesian linear regression on the labels bought so far."""

    learner: Literal["linear"]
    criterion: Criterion
    greedy: bool = False
    """Label the rows of the largest scores, with a criterion that is not made for it."""
    ridge: PositiveFloat = 1.0
    noise: PositiveFloat = 1.0
    intercept: bool = True
    first: NonNegativeInt = 0
    """Labels before the criterion takes over."""
    first_by: Literal["random", "d-optimal"] = "random"
    floor: Annotated[float, Field(ge=0, le=1)] = 0.05

    @property
    def family(self) -> tuple[str, ...]:
        """A linear model."""
        return (self.learner,)

    def begin(self, world: World, study: AbstractDesignStudy, seed: int) -> Begun:
        """Know nothing yet."""
        from dfl.design import BayesianLinearRegression, SequentialDesign

        if self.first > study.labels[-1]:
            raise InvalidInputError(
                f"got first {self.first}, expected at most {study.labels[-1]}, the last of "
                "problem.labels"
            )
        model = BayesianLinearRegression(self.ridge, self.noise, self.intercept)
        chosen = greedy(make_criterion(self.criterion), self.greedy)
        first = greedy(make_criterion(self.first_by), False)
        design = SequentialDesign(
            model,
            first.criterion if self.first else chosen.criterion,
            world.oracle,
            floor=self.floor,
            random_state=_stream(seed),
            selection=first.selection if self.first else chosen.selection,
            repeats=world.repeats,
        )

        def turn(bought: int) -> None:
            if self.first and bought == self.first:
                design.criterion, design.selection = chosen

        return Begun(design, world.pool, lambda: world.regret(model.predict), turn, self.first)


@final
class Reference(AbstractDesignMethod):
    """What no number of labels of the pool would beat: the floor of the other methods."""

    is_reference: ClassVar[bool] = True

    learner: Literal["reference"]
    of: Literal["elimination", "linear"]
    """The best hypothesis of the class in hindsight, or the linear model of the whole pool."""
    ridge: PositiveFloat = 1.0
    noise: PositiveFloat = 1.0
    intercept: bool = True

    @property
    def family(self) -> tuple[str, ...]:
        """What it is the floor of."""
        return (self.of,)

    def begin(self, world: World, study: AbstractDesignStudy, seed: int) -> Begun:
        """Judge it."""
        import numpy as np

        from dfl.design import BayesianLinearRegression

        if self.of == "elimination":
            if world.risks is None:
                raise InvalidInputError("got of 'elimination', but this problem has no hypotheses")
            best = float(world.risks.min())
            return Begun(None, world.pool, lambda: best)
        model = BayesianLinearRegression(self.ridge, self.noise, self.intercept)
        rows = np.arange(len(world.pool))
        model.fit(world.pool, world.label(rows, np.random.default_rng(_stream(seed))))
        return Begun(None, world.pool, lambda: world.regret(model.predict))


def _stream(seed: int) -> list[int]:
    """Return the seed of the draws of a design, independent of that of its world."""
    return [seed, 1]
