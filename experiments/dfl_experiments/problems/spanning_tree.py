"""Minimum spanning trees with costs from a polynomial of the features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, final

from pydantic import Field, NonNegativeFloat, PositiveInt

from dfl_experiments.problems._generated import random_split
from dfl_experiments.problems.base import AbstractProblem, Fold


@final
class SpanningTreeProblem(AbstractProblem):
    """Minimum spanning tree; see ``dfl.datasets.make_spanning_tree``."""

    kind: Literal["spanning-tree"]
    n_nodes: Annotated[int, Field(ge=2)] = 10
    n_train: PositiveInt = 1000
    n_test: PositiveInt = 1000
    n_features: PositiveInt = 5
    degree: PositiveInt = 4
    noise: NonNegativeFloat = 0.5

    def folds(self, seed: int) -> Iterator[Fold]:
        """Draw and split."""
        from dfl.datasets import make_spanning_tree

        return random_split(
            lambda n: make_spanning_tree(
                n,
                self.n_features,
                n_nodes=self.n_nodes,
                degree=self.degree,
                noise=self.noise,
                random_state=seed,
            ),
            self.n_train,
            self.n_test,
            seed,
        )
