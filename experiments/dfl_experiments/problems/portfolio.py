"""Risk-constrained portfolio with returns from a polynomial of the features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, final

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from dfl_experiments.problems._generated import random_split
from dfl_experiments.problems.base import AbstractProblem, Fold


@final
class PortfolioProblem(AbstractProblem):
    """Portfolio; see ``dfl.datasets.make_portfolio``."""

    kind: Literal["portfolio"]
    n_assets: PositiveInt = 50
    gamma: PositiveFloat = 2.25
    n_train: PositiveInt = 1000
    n_test: PositiveInt = 1000
    n_features: PositiveInt = 5
    degree: PositiveInt = 4
    noise: NonNegativeFloat = 1.0

    def folds(self, seed: int) -> Iterator[Fold]:
        """Draw and split."""
        from dfl.datasets import make_portfolio

        return random_split(
            lambda n: make_portfolio(
                n,
                self.n_features,
                n_assets=self.n_assets,
                degree=self.degree,
                noise=self.noise,
                gamma=self.gamma,
                random_state=seed,
            ),
            self.n_train,
            self.n_test,
            seed,
        )
