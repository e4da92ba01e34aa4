"""The shortest paths of the paper that introduced SPO+."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, final

from pydantic import Field, NonNegativeFloat, PositiveInt

from dfl_experiments.problems._generated import random_split
from dfl_experiments.problems.base import AbstractProblem, Fold

Case = tuple[PositiveInt, NonNegativeFloat, PositiveInt]


@final
class SPOShortestPathProblem(AbstractProblem):
    """Elmachtoub & Grigas: a 5 x 5 grid, costs in the paper's units, n / 4 instances held out.

    The training table has n instances and, after them, n / 4 that choose penalties or epochs.
    """

    kind: Literal["spo-shortest-path"]
    cases: Annotated[tuple[Case, ...], Field(min_length=1)] = ((1000, 0.5, 8),)
    """Instances to train on, noise and degree, one problem each."""
    n_test: PositiveInt = 1000

    def parts(self) -> Mapping[str, AbstractProblem]:
        """Return one problem a case."""
        return {
            f"n {n}, noise {noise:g}, degree {degree}": self.model_copy(
                update={"cases": ((n, noise, degree),)}
            )
            for n, noise, degree in self.cases
        }

    def folds(self, seed: int) -> Iterator[Fold]:
        """Draw and split."""
        from dfl.datasets import make_shortest_path

        n, noise, degree = self.cases[0]

        def draw(n_samples: int) -> object:
            data = make_shortest_path(n_samples, degree=degree, noise=noise, random_state=seed)
            # the paper does not divide by this; its penalties are in these units
            data.C *= 3.5**degree
            data.mean_costs *= 3.5**degree
            return data

        return random_split(draw, n + n // 4, self.n_test, seed)
