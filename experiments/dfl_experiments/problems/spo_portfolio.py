"""The portfolios of the paper that introduced SPO+."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, final

from pydantic import Field, PositiveFloat, PositiveInt

from dfl_experiments.problems._generated import random_split
from dfl_experiments.problems.base import AbstractProblem, Fold

Case = tuple[PositiveInt, PositiveInt]


@final
class SPOPortfolioProblem(AbstractProblem):
    """Elmachtoub & Grigas: 50 assets, 4 factors, weights that sum to at most one.

    The training table has n instances and, after them, n / 4 that choose penalties or epochs.
    """

    kind: Literal["spo-portfolio"]
    cases: Annotated[tuple[Case, ...], Field(min_length=1)] = ((1000, 16),)
    """Instances to train on and degree, one problem each."""
    noise: PositiveFloat = 1.0
    n_test: PositiveInt = 1000

    def parts(self) -> Mapping[str, AbstractProblem]:
        """Return one problem a case."""
        return {
            f"n {n}, degree {degree}": self.model_copy(update={"cases": ((n, degree),)})
            for n, degree in self.cases
        }

    def folds(self, seed: int) -> Iterator[Fold]:
        """Draw and split."""
        from dfl.datasets import make_portfolio

        n, degree = self.cases[0]
        return random_split(
            lambda size: make_portfolio(
                size,
                degree=degree,
                noise=self.noise,
                n_factors=4,
                budget="at_most",
                random_state=seed,
            ),
            n + n // 4,
            self.n_test,
            seed,
        )
