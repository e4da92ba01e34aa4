"""Stop when there is little left to learn on average."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from dfl._validation import check_at_least
from dfl.design.directional import DirectionalUncertainty
from dfl.design.protocols import Criterion, Verdict
from dfl.design.stop_margin import need_pool
from dfl_solvers.oracle import Array, Oracle


@final
class MeanUncertaintyBelow:
    """Stop when the mean uncertainty of the pool is at most a threshold (S4).

    A heuristic: it certifies nothing, works with every model and criterion, and is the only rule
    for models without a slack or a committee.

    Parameters
    ----------
    threshold : float
        In units of the criterion.
    criterion : criterion, optional
        Default: ``DirectionalUncertainty()``.

    Raises
    ------
    InvalidInputError
        By ``assess``, if the threshold is negative or there is no pool.
    UnsupportedError
        By ``assess``, if model and criterion do not go together.

    Examples
    --------
    >>> from dfl.design import MeanUncertaintyBelow
    >>> MeanUncertaintyBelow(0.05).criterion
    DirectionalUncertainty(method='exact', project=True)
    """

    def __init__(self, threshold: float, criterion: Criterion | None = None) -> None:
        self.threshold = threshold
        self.criterion = DirectionalUncertainty() if criterion is None else criterion

    def assess(
        self,
        model: Any,
        pool: Array | None,
        oracle: Oracle,
        pool_weight: Array | None,
        repeats: bool,
    ) -> Verdict:
        """Score the pool, and average by its law."""
        check_at_least(0, self, threshold=self.threshold)
        rows = need_pool(self, pool)
        if not model.ready:
            return Verdict(False, float("nan"), self.threshold, False, "too few labels to tell")
        scores = self.criterion.score(model, rows, oracle, pool_weight)
        value = float(np.average(scores, weights=pool_weight))
        statement = f"mean of {self.criterion!r} over the pool; a heuristic that certifies nothing"
        return Verdict(value <= self.threshold, value, self.threshold, False, statement)

    def __repr__(self) -> str:
        return f"MeanUncertaintyBelow(threshold={self.threshold!r}, criterion={self.criterion!r})"
