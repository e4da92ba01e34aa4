"""A study of sequential design: criteria are the methods, the number of labels is the axis."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, final

from pydantic import Field, PositiveFloat, PositiveInt, field_validator
from pydantic_core import PydanticCustomError

from dfl.exceptions import DFLError, InvalidInputError
from dfl_experiments.base import AbstractModel
from dfl_experiments.problems.study import AbstractStudy

if TYPE_CHECKING:
    from dfl_experiments.design.worlds.base import World


@final
class Stop(AbstractModel):
    """Rules of which it is recorded at how many labels each would have stopped.

    A design goes on to the last number of labels, whatever they say.
    """

    slack: PositiveFloat | None = None
    """Stop when the slack of the elimination is at most this."""
    consensus: bool = True
    """Stop when all survivors decide alike on the whole pool."""
    mean_uncertainty: PositiveFloat | None = None
    """Stop when the mean directional uncertainty is at most this; a heuristic."""


class AbstractDesignStudy(AbstractStudy):
    """A world of which labels are bought, one batch after the other."""

    labels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    """Numbers of labels at which the regret is measured; the last is the budget."""
    batch: PositiveInt = 1
    """Labels between two looks at them."""
    stop: Stop | None = None

    @field_validator("labels")
    @classmethod
    def _ascend(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)):
            raise PydanticCustomError(
                "config", "problem.labels: got {got}, expected ascending numbers",
                {"got": list(value)},
            )  # fmt: skip
        return value

    def parts(self) -> Mapping[str, AbstractDesignStudy]:
        """Return the worlds this one consists of, by the name they have in the results."""
        return {self.kind: self}  # type: ignore[attr-defined]

    @abstractmethod
    def world(self, seed: int) -> World:
        """Draw the world of a seed."""

    def metrics(self) -> list[str]:
        """Return the names of what is measured."""
        names = [f"regret@{n}" for n in self.labels]
        if self.stop is not None:
            names += [f"labels-to-{rule}" for rule in stops(self.stop)]
            names += ["regret-at-slack"] if self.stop.slack is not None else []
            names.append("best-kept")
        return names

    def check(self, methods: Sequence[Any], seed: int) -> None:
        """Draw a world and let each method begin.

        Raises
        ------
        DFLError
        """
        world = self.world(seed)
        if not world.repeats and self.labels[-1] > len(world.pool):
            raise InvalidInputError(
                f"problem.labels: got {self.labels[-1]}, expected at most {len(world.pool)}, the "
                "rows of the pool: none can be labeled twice"
            )
        by_slack = self.stop is not None and self.stop.slack is not None
        for method in methods:
            if by_slack and not (method.bounds_risk or method.is_reference):
                raise InvalidInputError(
                    f"methods.{method.name}: got problem.stop.slack for a method that has none, "
                    "expected learner 'elimination' with slack 'mixture' or 'azuma'"
                )
            try:
                method.begin(world, self, seed)
            except DFLError as error:
                raise InvalidInputError(f"methods.{method.name}: {error}") from error

    def compute(self, method: Any, seed: int) -> dict[str, Any]:
        """Buy labels up to the budget, measuring on the way."""
        from dfl_experiments.design.simulate import simulate

        return simulate(self, method, seed)


Rule = Literal["slack", "consensus", "mean-uncertainty"]


def stops(stop: Stop) -> list[Rule]:
    """Return the rules that are on."""
    rules: list[Rule] = []
    if stop.slack is not None:
        rules.append("slack")
    if stop.consensus:
        rules.append("consensus")
    if stop.mean_uncertainty is not None:
        rules.append("mean-uncertainty")
    return rules
