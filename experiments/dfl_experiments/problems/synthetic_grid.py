"""Shortest paths, knapsacks and round trips over a grid of sizes, degrees and noises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Annotated, Literal, final

from pydantic import Field, NonNegativeFloat, PositiveInt

from dfl_experiments.problems.base import AbstractProblem, Fold
from dfl_experiments.problems.knapsack import KnapsackProblem
from dfl_experiments.problems.shortest_path import ShortestPathProblem
from dfl_experiments.problems.traveling_salesman import TravelingSalesmanProblem

Kind = Literal["shortest-path", "knapsack", "traveling-salesman"]


@final
class SyntheticGridProblem(AbstractProblem):
    """Every combination of some kinds, sizes, degrees and noises: one problem each."""

    kind: Literal["synthetic-grid"]
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = ("shortest-path", "knapsack")
    n_train: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (100, 1000)
    degree: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 2, 4, 6)
    noise: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)] = (0.0, 0.5)
    n_test: PositiveInt = 1000

    def parts(self) -> Mapping[str, AbstractProblem]:
        """Return the problems by what they are."""
        known: dict[str, type[AbstractProblem]] = {
            "shortest-path": ShortestPathProblem,
            "knapsack": KnapsackProblem,
            "traveling-salesman": TravelingSalesmanProblem,
        }
        return {
            f"{kind}, n {n}, degree {degree}, noise {noise:g}": known[kind].model_validate(
                {"kind": kind, "n_train": n, "n_test": self.n_test, "degree": degree,
                 "noise": noise}
            )
            for kind, n, degree, noise in product(self.kinds, self.n_train, self.degree, self.noise)
        }  # fmt: skip

    def folds(self, seed: int) -> Iterator[Fold]:
        """Yield the folds of the first part, which methods are checked with."""
        return next(iter(self.parts().values())).folds(seed)
