"""Costs that are linear in features, with equal noise everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self, final

from pydantic import Field, NonNegativeFloat, PositiveFloat

from dfl_experiments.design.study import AbstractDesignStudy

if TYPE_CHECKING:
    import numpy as np

    from dfl_experiments.design.worlds.base import Predict, World
    from dfl_solvers.oracle import Array


@final
class LinearCosts(AbstractDesignStudy):
    """Choose the cheapest of a few alternatives whose costs are linear in features.

    The linear model is right, and the noise is the same everywhere: the home of classical optimal
    design.
    """

    kind: Literal["linear-costs"]
    n_pool: Annotated[int, Field(ge=2)] = 400
    n_features: Annotated[int, Field(ge=1)] = 6
    n_costs: Annotated[int, Field(ge=2)] = 5
    noise: PositiveFloat = 1.0
    spreads: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)] = (0.0,)
    """Rows of features are scaled by ``exp(spread * z)``, z standard normal; a problem each."""

    def parts(self) -> Mapping[str, Self]:
        """Return one problem for each spread."""
        return {
            f"linear-costs-spread-{spread:g}": self.model_copy(update={"spreads": (spread,)})
            for spread in dict.fromkeys(self.spreads)
        }

    def world(self, seed: int) -> World:
        """Draw parameters and features."""
        import numpy as np

        from dfl_experiments.design.worlds.base import World
        from dfl_solvers import Simplex

        rng = np.random.default_rng(seed)
        parameters = rng.standard_normal((self.n_features, self.n_costs))
        pool = rng.standard_normal((self.n_pool, self.n_features))
        pool *= np.exp(self.spreads[0] * rng.standard_normal((self.n_pool, 1)))
        truth, noise, oracle = pool @ parameters, self.noise, Simplex(self.n_costs)
        best = truth.min(axis=1)

        def label(rows: Array, rng: np.random.Generator) -> Array:
            return np.asarray(
                truth[rows] + noise * rng.standard_normal((len(rows), truth.shape[1]))
            )

        def regret(predict: Predict) -> float:
            decisions = oracle.solve(predict(pool)).decisions
            return float((np.vecdot(truth, decisions) - best).mean())

        return World(oracle, pool, label, False, regret)
