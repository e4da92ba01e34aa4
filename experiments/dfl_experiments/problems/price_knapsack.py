"""Knapsacks on real electricity prices, as in the 2024 survey."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, final

from pydantic import Field, PositiveFloat, PositiveInt

from dfl_experiments.problems._shuffled import shuffled
from dfl_experiments.problems.base import AbstractProblem, Fold


@final
class PriceKnapsackProblem(AbstractProblem):
    """Fill a knapsack with half-hours of a day; see ``dfl.datasets.fetch_price_knapsack``.

    Days are shuffled by the seed, so that a test day may lie between days that are trained on.
    """

    knows_minimum: ClassVar[bool] = False

    kind: Literal["price-knapsack"]
    capacities: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (60.0, 120.0, 180.0)
    n_train: PositiveInt = 650
    n_test: PositiveInt = 139

    def parts(self) -> Mapping[str, AbstractProblem]:
        """Return one problem a capacity."""
        return {
            f"price-knapsack-{capacity:g}": self.model_copy(update={"capacities": (capacity,)})
            for capacity in dict.fromkeys(self.capacities)
        }

    def folds(self, seed: int) -> Iterator[Fold]:
        """Read, shuffle and cut."""
        from dfl.datasets import fetch_price_knapsack

        data = fetch_price_knapsack(capacity=self.capacities[0])
        train, test = shuffled(data, self.n_train, self.n_test, seed)
        yield Fold(train, test, oracle=data.oracle, training_oracle=data.oracle)
