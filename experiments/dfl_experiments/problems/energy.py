"""Schedule tasks on predicted electricity prices; data of the ICON challenge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, final

from pydantic import Field

from dfl.exceptions import InvalidInputError
from dfl_experiments.problems.base import AbstractProblem, Fold, Table

Instance = Literal[1, 2, 3]


@final
class EnergyProblem(AbstractProblem):
    """Predict the next day's 48 prices, schedule a day's tasks; split in time.

    Methods train on the linear relaxation; the exact problem judges.
    """

    draws_data: ClassVar[bool] = False

    kind: Literal["energy"]
    instances: Annotated[tuple[Instance, ...], Field(min_length=1)] = (1, 2, 3)
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.3
    n_days: Annotated[int, Field(ge=4)] | None = None
    """Only the first days; None for all."""

    def parts(self) -> Mapping[str, AbstractProblem]:
        """Return one problem per scheduling instance."""
        return {
            f"energy-{number}": self.model_copy(update={"instances": (number,)})
            for number in dict.fromkeys(self.instances)
        }

    def folds(self, seed: int) -> Iterator[Fold]:
        """Read and split; the seed plays no part in it."""
        del seed
        from dfl.datasets import fetch_energy_prices, fetch_scheduling_instance

        data = fetch_energy_prices()
        known = [data.feature_names.index(name) for name in data.day_ahead]
        n_days = len(data.y) // 48
        if self.n_days is not None and self.n_days > n_days:
            raise InvalidInputError(
                f"problem.n_days: got {self.n_days}, expected at most {n_days}, all there are"
            )
        n_days = self.n_days or n_days
        n_test = min(max(round(self.test_fraction * n_days), 1), n_days - 1)
        cut, end = 48 * (n_days - n_test), 48 * n_days
        train, test = (
            Table(data.X[rows][:, known], data.y[rows], groups=data.groups[rows])
            for rows in (slice(0, cut), slice(cut, end))
        )
        (number,) = self.instances
        yield Fold(
            train,
            test,
            oracle=fetch_scheduling_instance(number),
            training_oracle=fetch_scheduling_instance(number, relax=True),
        )
