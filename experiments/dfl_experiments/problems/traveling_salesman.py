"""Round trips with costs of travel from a polynomial of the features."""

from __future__ import annotations

from typing import Annotated, Any, Literal, final

from pydantic import Field, PositiveInt

from dfl_experiments.problems._generated import AbstractGeneratedProblem


@final
class TravelingSalesmanProblem(AbstractGeneratedProblem):
    """Traveling salesman; see ``dfl.datasets.make_traveling_salesman``."""

    kind: Literal["traveling-salesman"]
    n_cities: Annotated[int, Field(ge=3)] = 20
    n_features: PositiveInt = 10

    def draw(self, n: int, seed: int) -> Any:
        """Draw instances; see ``AbstractGeneratedProblem``."""
        from dfl.datasets import make_traveling_salesman

        return make_traveling_salesman(
            n,
            self.n_features,
            n_cities=self.n_cities,
            degree=self.degree,
            noise=self.noise,
            random_state=seed,
        )
