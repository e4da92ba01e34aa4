"""Multi-dimensional knapsack with values from a polynomial of the features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, final

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from dfl_experiments.problems._generated import random_split
from dfl_experiments.problems.base import AbstractProblem, Fold


@final
class KnapsackProblem(AbstractProblem):
    """Knapsack; see ``dfl.datasets.make_knapsack``."""

    kind: Literal["knapsack"]
    n_items: PositiveInt = 32
    n_dimensions: PositiveInt = 2
    capacity: PositiveFloat = 20.0
    n_train: PositiveInt = 1000
    n_test: PositiveInt = 1000
    n_features: PositiveInt = 5
    degree: PositiveInt = 4
    noise: NonNegativeFloat = 0.5

    def folds(self, seed: int) -> Iterator[Fold]:
        """Draw and split."""
        from dfl.datasets import make_knapsack

        return random_split(
            lambda n: make_knapsack(
                n,
                self.n_features,
                n_items=self.n_items,
                n_dimensions=self.n_dimensions,
                capacity=self.capacity,
                degree=self.degree,
                noise=self.noise,
                random_state=seed,
            ),
            self.n_train,
            self.n_test,
            seed,
        )
