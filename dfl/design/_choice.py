"""Which rows a design asks for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dfl.design._law import Draw, draw
from dfl.design.protocols import Criterion, GreedyCriterion, Model
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, Oracle


def sample(
    model: Model,
    criterion: Criterion,
    oracle: Oracle,
    rows: Array,
    law: Array,
    floor: float,
    n: int,
    allowed: Array,
    repeats: bool,
    rng: np.random.Generator,
) -> tuple[list[Draw], float]:
    """Draw n rows in proportion to their scores; return also the mean score of the pool."""
    if not model.ready:  # nothing is known of any row yet
        even = np.ones(len(rows))
        return draw(law, even, None, floor, n, allowed, repeats, rng), math.nan
    scores = _scores(criterion, model, oracle, rows, law)
    wanted: Criterion | None = getattr(model, "range_criterion", None)
    spread = None
    if wanted is not None:
        same = _kind(wanted) == _kind(criterion)
        spread = scores if same else _scores(wanted, model, oracle, rows, law)
    draws = draw(law, scores, spread, floor, n, allowed, repeats, rng)
    return draws, float(law @ scores)


def best(
    model: Model,
    criterion: GreedyCriterion,
    oracle: Oracle,
    rows: Array,
    law: Array,
    floor: float,
    n: int,
    allowed: Array,
    repeats: bool,
    rng: np.random.Generator,
) -> tuple[list[Draw], float]:
    """Choose n rows by their scores, each with probability ``floor`` by chance instead."""
    if not model.ready:
        even = np.ones(len(rows))
        random = draw(law, even, None, 1.0, n, allowed, repeats, rng)
        return [Draw(one.number, 1.0, math.nan) for one in random], math.nan
    allowed = allowed & (law > 0)
    by_chance = int(rng.binomial(n, floor))
    random = draw(law, np.ones(len(rows)), None, 1.0, by_chance, allowed, repeats, rng)
    if not repeats:
        allowed[[one.number for one in random]] = False
        if n - by_chance > np.count_nonzero(allowed):
            raise InvalidInputError("all rows that are left have pool_weight 0; nothing was chosen")
    chosen = criterion.select(model, rows, n - by_chance, allowed, repeats, oracle, law)
    numbers = [*(int(i) for i in chosen), *(one.number for one in random)]
    return [Draw(number, 1.0, math.nan) for number in numbers], math.nan


def _kind(criterion: Any) -> tuple[type, Any]:
    # twice the distance to the mean bounds ranges as well, so that the method does not matter
    return type(criterion), getattr(criterion, "project", None)


def _scores(criterion: Criterion, model: Model, oracle: Oracle, rows: Array, law: Array) -> Array:
    scores = np.asarray(criterion.score(model, rows, oracle, law), dtype=float)
    wrong = np.flatnonzero(~(np.isfinite(scores) & (scores >= 0)))
    if len(wrong):
        raise InvalidInputError(
            f"{type(criterion).__name__} gives row {wrong[0]} the score {scores[wrong[0]]}, "
            "expected a finite number of at least zero; does the model predict finite costs?"
        )
    return scores
