"""Perfect matchings on a grid with costs from a polynomial of the features."""

from __future__ import annotations

from typing import Any, Literal, final

from pydantic import PositiveInt

from dfl_experiments.problems._generated import AbstractGeneratedProblem


@final
class PerfectMatchingProblem(AbstractGeneratedProblem):
    """Perfect matching of a grid; see ``dfl.datasets.make_perfect_matching``."""

    kind: Literal["perfect-matching"]
    grid: tuple[PositiveInt, PositiveInt] = (4, 4)

    def draw(self, n: int, seed: int) -> Any:
        """Draw instances; see ``AbstractGeneratedProblem``."""
        from dfl.datasets import make_perfect_matching

        return make_perfect_matching(
            n,
            self.n_features,
            grid=self.grid,
            degree=self.degree,
            noise=self.noise,
            random_state=seed,
        )
