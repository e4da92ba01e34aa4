"""Risk-constrained portfolio with returns from a polynomial of the features."""

from __future__ import annotations

from typing import Any, Literal, final

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from dfl_experiments.problems._generated import AbstractGeneratedProblem


@final
class PortfolioProblem(AbstractGeneratedProblem):
    """Portfolio; see ``dfl.datasets.make_portfolio``."""

    kind: Literal["portfolio"]
    n_assets: PositiveInt = 50
    gamma: PositiveFloat = 2.25
    noise: NonNegativeFloat = 1.0

    def draw(self, n: int, seed: int) -> Any:
        """Draw instances; see ``AbstractGeneratedProblem``."""
        from dfl.datasets import make_portfolio

        return make_portfolio(
            n,
            self.n_features,
            n_assets=self.n_assets,
            degree=self.degree,
            noise=self.noise,
            gamma=self.gamma,
            random_state=seed,
        )
