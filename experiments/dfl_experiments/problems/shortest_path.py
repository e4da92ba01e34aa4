"""Shortest paths on a grid with costs from a polynomial of the features."""

from __future__ import annotations

from typing import Annotated, Any, Literal, final

from pydantic import Field

from dfl_experiments.problems._generated import AbstractGeneratedProblem

Side = Annotated[int, Field(ge=2)]


@final
class ShortestPathProblem(AbstractGeneratedProblem):
    """Grid shortest path; see ``dfl.datasets.make_shortest_path``."""

    kind: Literal["shortest-path"]
    grid: tuple[Side, Side] = (5, 5)

    def draw(self, n: int, seed: int) -> Any:
        """Draw instances; see ``AbstractGeneratedProblem``."""
        from dfl.datasets import make_shortest_path

        return make_shortest_path(
            n,
            self.n_features,
            grid=self.grid,
            degree=self.degree,
            noise=self.noise,
            random_state=seed,
        )
