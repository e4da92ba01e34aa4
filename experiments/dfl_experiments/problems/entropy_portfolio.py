"""Portfolios that stay diversified, with returns from a polynomial of the features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, final

from pydantic import Field, PositiveInt

from dfl_experiments.problems._generated import random_split
from dfl_experiments.problems.base import AbstractProblem, Fold


@final
class EntropyPortfolioProblem(AbstractProblem):
    """Entropy-constrained portfolio; see ``dfl.datasets.make_entropy_portfolio``."""

    kind: Literal["entropy-portfolio"]
    n_assets: Annotated[int, Field(ge=2)] = 50
    n_train: PositiveInt = 1000
    n_test: PositiveInt = 1000
    n_features: PositiveInt = 5
    degree: PositiveInt = 6
    noise: Annotated[float, Field(ge=0, le=1)] = 0.5

    def folds(self, seed: int) -> Iterator[Fold]:
        """Draw and split."""
        from dfl.datasets import make_entropy_portfolio

        return random_split(
            lambda n: make_entropy_portfolio(
                n,
                self.n_features,
                n_assets=self.n_assets,
                degree=self.degree,
                noise=self.noise,
                random_state=seed,
            ),
            self.n_train,
            self.n_test,
            seed,
        )
