"""Categories without features, whose costs differ in size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, final

from pydantic import Field, PositiveFloat

from dfl_experiments.design.study import AbstractDesignStudy

if TYPE_CHECKING:
    import numpy as np

    from dfl_experiments.design.worlds.base import Predict, World
    from dfl_solvers.oracle import Array


@final
class TabularBall(AbstractDesignStudy):
    """Categories with mean costs of length 1 to ``largest``, decided on the unit ball.

    The expected regret of a category of mean costs c after n labels is about
    ``sigma^2 (d - 1) / (2 n |c|)``. Summed over the categories it is least for n in proportion to
    ``1 / sqrt(|c|)``: the theory that the integrated design can be held to.
    """

    kind: Literal["tabular-ball"]
    n_categories: Annotated[int, Field(ge=2)] = 10
    n_costs: Annotated[int, Field(ge=2)] = 5
    largest: PositiveFloat = 30.0
    noise: PositiveFloat = 1.0

    def world(self, seed: int) -> World:
        """Draw directions; lengths are a geometric sequence."""
        import numpy as np

        from dfl_experiments.design.worlds.base import World
        from dfl_solvers import Ball

        rng = np.random.default_rng(seed)
        k, d = self.n_categories, self.n_costs
        truth = rng.standard_normal((k, d))
        truth *= np.geomspace(1.0, self.largest, k)[:, None] / np.linalg.norm(
            truth, axis=1, keepdims=True
        )
        pool, noise, oracle = np.eye(k), self.noise, Ball(d)
        best = -np.linalg.norm(truth, axis=1)

        def label(rows: Array, rng: np.random.Generator) -> Array:
            return np.asarray(truth[rows] + noise * rng.standard_normal((len(rows), d)))

        def regret(predict: Predict) -> float:
            decisions = oracle.solve(predict(pool)).decisions
            return float((np.vecdot(truth, decisions) - best).mean())

        return World(oracle, pool, label, True, regret)
