"""Classes of hypotheses made to tell criteria apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, final

from pydantic import Field

from dfl_experiments.design.study import AbstractDesignStudy

if TYPE_CHECKING:
    import numpy as np

    from dfl_experiments.design.worlds.base import Predict, World
    from dfl_solvers.oracle import Array

# five tasks, four models that take two tasks each, eight categories of text
_TASKS, _CAPACITIES, _CATEGORIES = 5, (2, 2, 2, 2), 8


@final
class ScaleDecoys(AbstractDesignStudy):
    """The truth among hypotheses that differ in scale on some categories, in direction on others.

    On half of the categories the hypotheses disagree about the size of costs only, on which no
    decision depends. A criterion that does not know what decides spends labels there.
    """

    kind: Literal["scale-decoys"]
    n_hypotheses: Annotated[int, Field(ge=2)] = 150
    noise: Annotated[float, Field(ge=0)] = 0.25

    def world(self, seed: int) -> World:
        """Draw truth, hypotheses and noise."""
        import numpy as np

        rng = np.random.default_rng(seed)
        truth = _truth(rng)
        m, half, d = self.n_hypotheses - 1, _CATEGORIES // 2, truth.shape[1]
        table = np.empty((1 + m, *truth.shape))
        table[0] = truth
        scale = np.exp(0.35 * rng.standard_normal((m, half, 1)))
        table[1:, :half] = truth[:half] * scale + 0.01 * rng.standard_normal((m, half, d))
        turn = rng.random((m, _CATEGORIES - half, 1))
        turned = 0.24 * turn * rng.standard_normal((m, _CATEGORIES - half, d))
        table[1:, half:] = truth[half:] + turned
        return categories(truth, table, self.noise)


@final
class Misspecified(AbstractDesignStudy):
    """No hypothesis is true: some point in the right direction, others have the right size.

    A third has good directions and wrong scales; the others are near the truth on average, and
    their directions are poor. Judged by squared errors the latter look better, judged by decisions
    the former are.
    """

    kind: Literal["misspecified"]
    n_directed: Annotated[int, Field(ge=1)] = 50
    n_level: Annotated[int, Field(ge=1)] = 100
    noise: Annotated[float, Field(ge=0)] = 0.25

    def world(self, seed: int) -> World:
        """Draw truth, hypotheses and noise."""
        import numpy as np

        rng = np.random.default_rng(seed)
        truth = _truth(rng)
        k, d = truth.shape
        scale = np.exp(0.5 * rng.standard_normal((self.n_directed, k, 1)))
        turn = rng.random((self.n_directed, k, 1))
        turned = 0.05 * turn * rng.standard_normal((self.n_directed, k, d))
        level = truth.mean(axis=1, keepdims=True)
        near = level + 0.2 * (truth - level)
        noisy = near + 0.08 * rng.standard_normal((self.n_level, k, d))
        return categories(truth, np.concatenate([truth * scale + turned, noisy]), self.noise)


def _truth(rng: np.random.Generator) -> Array:
    return -(0.7 + 0.12 * rng.standard_normal((_CATEGORIES, _TASKS * len(_CAPACITIES))))


def categories(truth: Array, table: Array, noise: float) -> World:
    """Make a world of categories whose mean costs are known to us."""
    import numpy as np

    from dfl_experiments.design.allocation import allocation
    from dfl_experiments.design.worlds.base import World

    oracle = allocation(_TASKS, _CAPACITIES)
    best = oracle.solve(truth).objectives
    m, k, d = table.shape
    decisions = oracle.solve(table.reshape(m * k, d)).decisions.reshape(m, k, d)
    lost = np.einsum("mkd,kd->mk", decisions, truth) - best
    risks = np.maximum(lost, 0.0).mean(axis=1)  # below zero it is rounding

    def label(rows: Array, rng: np.random.Generator) -> Array:
        return np.asarray(truth[rows] + noise * rng.standard_normal((len(rows), d)))

    def regret(predict: Predict) -> float:
        chosen = oracle.solve(predict(np.arange(k)[:, None])).decisions
        return float((np.vecdot(chosen, truth) - best).mean())

    pool = np.arange(k, dtype=float)[:, None]
    return World(oracle, pool, label, True, regret, table, risks)
