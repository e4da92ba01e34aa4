"""Multi-dimensional knapsack with values from a polynomial of the features."""

from __future__ import annotations

from typing import Any, Literal, final

from pydantic import PositiveFloat, PositiveInt

from dfl_experiments.problems._generated import AbstractGeneratedProblem


@final
class KnapsackProblem(AbstractGeneratedProblem):
    """Knapsack; see ``dfl.datasets.make_knapsack``."""

    kind: Literal["knapsack"]
    n_items: PositiveInt = 32
    n_dimensions: PositiveInt = 2
    capacity: PositiveFloat = 20.0

    def draw(self, n: int, seed: int) -> Any:
        """Draw instances; see ``AbstractGeneratedProblem``."""
        from dfl.datasets import make_knapsack

        return make_knapsack(
            n,
            self.n_features,
            n_items=self.n_items,
            n_dimensions=self.n_dimensions,
            capacity=self.capacity,
            degree=self.degree,
            noise=self.noise,
            random_state=seed,
        )
