"""The law by which rows are drawn, and the weights that undo it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array


class Draw(NamedTuple):
    """A row that was drawn, its importance weight, and the range of weighted differences."""

    number: int
    weight: float
    range: float


def pool_law(pool_weight: Any, n: int) -> Array:
    """Return the law p (n,) of the rows of a pool."""
    if pool_weight is None:
        return np.full(n, 1 / n)
    weights = np.asarray(pool_weight, dtype=float)
    if weights.shape != (n,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise InvalidInputError(
            f"got pool_weight of shape {weights.shape}, expected {(n,)} numbers that are finite "
            "and at least zero, one for each row of the pool"
        )
    if not weights.sum() > 0:
        raise InvalidInputError("got pool_weight of sum zero, expected a row that counts")
    return np.asarray(weights / weights.sum())


def sampling_law(law: Array, scores: Array, floor: float) -> Array:
    """Return ``q = (1 - floor) p U / sum(p U) + floor p``; p itself where U is zero everywhere."""
    mass = law * scores
    total = mass.sum()
    if not total > 0:
        return law
    return np.asarray((1 - floor) * (mass / total) + floor * law)


def draw(
    law: Array,
    scores: Array,
    spread: Array | None,
    floor: float,
    n: int,
    allowed: Array,
    repeats: bool,
    rng: np.random.Generator,
) -> list[Draw]:
    """Draw n rows.

    Parameters
    ----------
    law : ndarray of shape (N,)
        The law p of the rows; it is restricted to the allowed ones.
    scores : ndarray of shape (N,)
        Rows are drawn in proportion to ``law * scores``, but for the floor.
    spread : ndarray of shape (N,), optional
        Uncertainty for the ranges ``max p spread / q``; NaN without.
    floor : float
    n : int
    allowed : ndarray of bool of shape (N,)
    repeats : bool
        Whether a row may be drawn again; if not, the law is restricted after each draw.
    rng : Generator
    """
    draws: list[Draw] = []
    open_rows = allowed.copy()
    while len(draws) < n:
        own = np.where(open_rows, law, 0.0)
        if not own.sum() > 0:
            raise InvalidInputError("all rows that are left have pool_weight 0; nothing was drawn")
        own /= own.sum()
        q = sampling_law(own, scores, floor)
        possible = q > 0
        ratio = np.zeros(len(q))
        np.divide(own, q, out=ratio, where=possible)
        reach = np.nan if spread is None else float((ratio * spread).max())
        bounds = np.cumsum(q)
        found = np.searchsorted(
            bounds, rng.random(n if repeats else 1) * bounds[-1], side="right"
        ).clip(max=int(np.flatnonzero(possible)[-1]))
        draws += [Draw(int(i), float(ratio[i]), reach) for i in found]
        if not repeats:
            open_rows[found] = False
    return draws
