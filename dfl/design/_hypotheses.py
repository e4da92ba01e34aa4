"""What hypotheses predict, and how much they lose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np

from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.oracle import Array, Oracle, minimizing


@final
class Hypotheses:
    """Fitted predictors; or a table (M, N, d) of what M hypotheses predict for N designs."""

    def __init__(self, given: Any) -> None:
        self.predictors = _predictors(given)
        self.table = _table(given) if self.predictors is None else np.zeros((0, 0, 0))

    def __len__(self) -> int:
        return len(self.table if self.predictors is None else self.predictors)

    def predict(self, X: Array, numbers: Array) -> Array:
        """Return the costs (n, k, d) that some hypotheses predict."""
        X = np.asarray(X, dtype=float)
        if self.predictors is None:
            return np.ascontiguousarray(self.table[numbers][:, self._designs(X)].swapaxes(0, 1))
        rows = [np.asarray(self.predictors[h].predict(X), dtype=float) for h in numbers]
        if rows[0].ndim != 2 or any(row.shape != rows[0].shape for row in rows):
            raise InvalidInputError(
                f"hypotheses predict costs of shapes {sorted({row.shape for row in rows})}, "
                f"expected {(len(X), 'd')} from each"
            )
        return np.stack(rows, axis=1)

    def _designs(self, X: Array) -> Array:
        numbers = X.reshape(len(X), -1)[:, 0]
        n = self.table.shape[1]
        wrong = np.flatnonzero((numbers != np.round(numbers)) | (numbers < 0) | (numbers >= n))
        if X.size != len(X) or len(wrong):
            raise InvalidInputError(
                f"hypotheses were given as a table of {n} designs: expected the pool "
                f"np.arange({n}), or rows of it"
            )
        return numbers.astype(int)


def losses_of(loss: str, predicted: Array, C: Array, oracle: Oracle) -> Array:
    """Return the losses (n, k) of predicted costs (n, k, d), up to what all have in common."""
    n, k, d = predicted.shape
    if C.shape != (n, d):
        raise InvalidInputError(
            f"got costs of shape {C.shape}, expected {(n, d)}, as the hypotheses predict"
        )
    if loss == "squared":
        away = predicted - C[:, None]
        return np.vecdot(away, away)
    held, sign = minimizing(oracle)
    flat, costs = (sign * predicted).reshape(n * k, d), np.repeat(sign * C, k, axis=0)
    if loss == "spo":
        decisions = held.solve(flat).decisions
        return held.evaluate(costs, decisions).reshape(n, k)
    if not getattr(held, "linear_objective", True):
        raise UnsupportedError(
            f"loss='spo+' needs a linear objective, which {type(held).__name__} does not have"
        )
    best = np.repeat(held.solve(sign * C).decisions, k, axis=0)
    shifted = 2 * flat - costs
    found = held.solve(shifted).decisions
    # SPO+ without z*(c), which all have in common
    return (2 * np.vecdot(flat, best) - np.vecdot(shifted, found)).reshape(n, k)


def _predictors(hypotheses: Any) -> Sequence[Any] | None:
    if isinstance(hypotheses, np.ndarray) or not all(hasattr(h, "predict") for h in hypotheses):
        return None
    return list(hypotheses)


def _table(hypotheses: Any) -> Array:
    try:
        table = np.asarray(hypotheses, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"FiniteHypothesisClass: got hypotheses that are neither predictors (with a method "
            f"predict) nor a table of numbers: {error}"
        ) from error
    if table.ndim != 3:
        raise InvalidInputError(
            f"FiniteHypothesisClass: got a table of shape {table.shape}, expected (M, N, d): M "
            "hypotheses, N designs, d costs"
        )
    if not np.isfinite(table).all():
        h, x, j = np.argwhere(~np.isfinite(table))[0]
        raise InvalidInputError(
            f"FiniteHypothesisClass: hypothesis {h} predicts {table[h, x, j]} for cost {j} of "
            f"design {x}, expected finite numbers"
        )
    return table
