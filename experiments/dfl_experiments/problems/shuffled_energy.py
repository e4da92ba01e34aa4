"""Scheduling on predicted electricity prices with shuffled days, as in the 2024 survey."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, final

from pydantic import Field, PositiveInt

from dfl_experiments.problems._shuffled import shuffled
from dfl_experiments.problems.base import AbstractProblem, Fold

Instance = Literal[1, 2, 3]


@final
class ShuffledEnergyProblem(AbstractProblem):
    """The problem ``energy`` with the survey's days: shuffled by the seed, not split in time.

    A test day may lie between days that are trained on; methods train on the linear relaxation and
    are judged by the exact schedule.
    """

    knows_minimum: ClassVar[bool] = False

    kind: Literal["shuffled-energy"]
    instances: Annotated[tuple[Instance, ...], Field(min_length=1)] = (1, 2, 3)
    n_train: PositiveInt = 650
    n_test: PositiveInt = 139

    def parts(self) -> Mapping[str, AbstractProblem]:
        """Return one problem per scheduling instance."""
        return {
            f"shuffled-energy-{number}": self.model_copy(update={"instances": (number,)})
            for number in dict.fromkeys(self.instances)
        }

    def folds(self, seed: int) -> Iterator[Fold]:
        """Read, shuffle and cut."""
        from dfl.datasets import fetch_scheduling_instance

        train, test = shuffled(_prices(), self.n_train, self.n_test, seed)
        (number,) = self.instances
        yield Fold(
            train,
            test,
            oracle=fetch_scheduling_instance(number),
            training_oracle=fetch_scheduling_instance(number, relax=True),
        )


@cache
def _prices() -> Any:
    """Read once a process: each cell asks, and reading takes a second."""
    from dfl.datasets import fetch_energy_prices

    return fetch_energy_prices()
