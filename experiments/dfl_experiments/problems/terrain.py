"""Shortest paths over terrain whose costs are to be read off a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, final

from pydantic import Field, PositiveInt

from dfl_experiments.problems._generated import random_split
from dfl_experiments.problems.base import AbstractProblem, Fold, Picture

if TYPE_CHECKING:
    from dfl_solvers.oracle import Array, Oracle

CLIPPED = "clipped"


@final
class TerrainProblem(AbstractProblem):
    """Ways over maps of terrain, drawn; see ``dfl.datasets.make_terrain``."""

    kind: Literal["terrain"]
    size: Annotated[int, Field(ge=2)] = 12
    tile_size: Annotated[int, Field(ge=2)] = 8
    n_train: PositiveInt = 1000
    n_test: PositiveInt = 1000
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    pixel_noise: Annotated[float, Field(ge=0, le=1)] = 0.05

    def folds(self, seed: int) -> Iterator[Fold]:
        """Draw and split; costs cut off at zero are a stand-in, for losses that ask for others."""
        from dfl.datasets import make_terrain
        from dfl_solvers import FromCallable

        draw = partial(
            make_terrain,
            size=self.size,
            tile_size=self.tile_size,
            noise=self.noise,
            pixel_noise=self.pixel_noise,
            random_state=seed,
        )
        pixels = self.size * self.tile_size
        picture = Picture((self.size, self.size), (pixels, pixels, 3))
        for fold in random_split(draw, self.n_train, self.n_test, seed):
            clipped = FromCallable(partial(clipped_path, fold.oracle), self.size**2)
            yield replace(fold, stand_ins={CLIPPED: clipped}, picture=picture)


def clipped_path(oracle: Oracle, costs: Array) -> Array:
    """Return the cheapest way (d,), costs (d,) below zero taken for zero."""
    return oracle.solve(costs.clip(0.0)[None]).decisions[0]
