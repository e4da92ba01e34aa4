"""What criteria of whole designs share: how much a label lowers a sum of variances."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfl.design.protocols import LinearDesign
from dfl.exceptions import UnsupportedError
from dfl_solvers.oracle import Array


def check(criterion: Any, model: Any) -> None:
    """Refuse a model that is not linear."""
    if not isinstance(model, LinearDesign):
        raise UnsupportedError(
            f"{type(criterion).__name__} needs a linear model, such as BayesianLinearRegression; "
            f"got {type(model).__name__}"
        )


def gains(features: Array, inverse: Array, matrix: Array | None) -> Array:
    """Return by how much a label of each row (n, q) lowers ``tr(inverse @ matrix)``, (n,).

    The formula of Sherman and Morrison, ``z'A M Az / (1 + z'Az)`` for the inverse A; without a
    matrix, the leverage ``z'Az``, by which the logarithm of the determinant rises.
    """
    turned = features @ inverse
    leverage = np.maximum(np.vecdot(turned, features), 0.0)
    if matrix is None:
        return leverage
    return np.asarray(np.maximum(np.vecdot(turned @ matrix, turned), 0.0) / (1 + leverage))


def greedy(
    features: Array, inverse: Array, matrix: Array | None, n: int, allowed: Array, repeats: bool
) -> Array:
    """Choose n rows one after the other, each as if those before were labeled."""
    chosen, open_rows = np.empty(n, dtype=int), allowed.copy()
    for step in range(n):
        scores = np.where(open_rows, gains(features, inverse, matrix), -np.inf)
        best = int(scores.argmax())
        chosen[step] = best
        open_rows[best] = repeats
        inverse = label(inverse, features[best])
    return chosen


def label(inverse: Array, row: Array) -> Array:
    """Return the inverse after a label of a row (q,)."""
    turned = inverse @ row
    return np.asarray(inverse - np.outer(turned, turned) / (1 + turned @ row))


def moments(features: Array, weights: Array, law: Array | None) -> Array:
    """Return the weighted mean (q, q) of products of features under a law of the rows."""
    law = np.full(len(features), 1 / len(features)) if law is None else law
    return np.asarray(features.T @ (features * (law * weights)[:, None]))
