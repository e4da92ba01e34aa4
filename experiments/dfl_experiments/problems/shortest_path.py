"""Shortest paths on a grid with costs from a polynomial of the features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, final

from pydantic import Field, NonNegativeFloat, PositiveInt

from dfl_experiments.problems._generated import random_split
from dfl_experiments.problems.base import AbstractProblem, Fold

Side = Annotated[int, Field(ge=2)]


@final
class ShortestPathProblem(AbstractProblem):
    """Grid shortest path; see ``dfl.datasets.make_shortest_path``."""

    kind: Literal["shortest-path"]
    grid: tuple[Side, Side] = (5, 5)
    n_train: PositiveInt = 1000
    n_test: PositiveInt = 1000
    n_features: PositiveInt = 5
    degree: PositiveInt = 4
    noise: NonNegativeFloat = 0.5

    def folds(self, seed: int) -> Iterator[Fold]:
        """Draw and split."""
        from dfl.datasets import make_shortest_path

        return random_split(
            lambda n: make_shortest_path(
                n,
                self.n_features,
                grid=self.grid,
                degree=self.degree,
                noise=self.noise,
                random_state=seed,
            ),
            self.n_train,
            self.n_test,
            seed,
        )
