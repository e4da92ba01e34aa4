"""Perfect matchings on a grid with costs from a polynomial of the features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, final

from pydantic import NonNegativeFloat, PositiveInt

from dfl_experiments.problems._generated import random_split
from dfl_experiments.problems.base import AbstractProblem, Fold


@final
class PerfectMatchingProblem(AbstractProblem):
    """Perfect matching of a grid; see ``dfl.datasets.make_perfect_matching``."""

    kind: Literal["perfect-matching"]
    grid: tuple[PositiveInt, PositiveInt] = (4, 4)
    n_train: PositiveInt = 1000
    n_test: PositiveInt = 1000
    n_features: PositiveInt = 5
    degree: PositiveInt = 4
    noise: NonNegativeFloat = 0.5

    def folds(self, seed: int) -> Iterator[Fold]:
        """Draw and split."""
        from dfl.datasets import make_perfect_matching

        return random_split(
            lambda n: make_perfect_matching(
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
