"""Minimum spanning trees with costs from a polynomial of the features."""

from __future__ import annotations

from typing import Annotated, Any, Literal, final

from pydantic import Field

from dfl_experiments.problems._generated import AbstractGeneratedProblem


@final
class SpanningTreeProblem(AbstractGeneratedProblem):
    """Minimum spanning tree; see ``dfl.datasets.make_spanning_tree``."""

    kind: Literal["spanning-tree"]
    n_nodes: Annotated[int, Field(ge=2)] = 10

    def draw(self, n: int, seed: int) -> Any:
        """Draw instances; see ``AbstractGeneratedProblem``."""
        from dfl.datasets import make_spanning_tree

        return make_spanning_tree(
            n,
            self.n_features,
            n_nodes=self.n_nodes,
            degree=self.degree,
            noise=self.noise,
            random_state=seed,
        )
