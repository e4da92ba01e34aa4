"""Stop when all hypotheses that are left decide alike."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from dfl.design._scoring import ALIKE, blocks
from dfl.design.protocols import Verdict
from dfl.design.stop_margin import need_pool
from dfl_solvers.oracle import Array, Oracle, minimizing


@final
class DecisionConsensus:
    """Stop when all survivors make the same decision on every row of the pool (S3).

    Certified by solving: it needs no constant, but (number of survivors) x (rows of the pool)
    solves, up to the first row on which two disagree.

    Raises
    ------
    InvalidInputError
        By ``assess``, if there is no pool.
    UnsupportedError
        By ``assess``, if the model has no members.

    Notes
    -----
    The value is the share of rows looked at so far that agree: 1, or less once one does not. Ties
    count as disagreement where the oracle breaks them differently. That all survivors decide alike
    does not mean that they decide well. Of a bootstrap committee or of posterior draws it says what
    these members do, no more.

    Examples
    --------
    >>> import numpy as np
    >>> from dfl.design import DecisionConsensus, FiniteHypothesisClass
    >>> from dfl_solvers import Simplex
    >>> model = FiniteHypothesisClass(np.array([[[1.0, 2.0]], [[1.0, 9.0]]]))
    >>> DecisionConsensus().assess(model, np.zeros((1, 1)), Simplex(2), None, True).stop
    True
    """

    def assess(
        self,
        model: Any,
        pool: Array | None,
        oracle: Oracle,
        pool_weight: Array | None,
        repeats: bool,
    ) -> Verdict:
        """Solve the pool for every member, until two disagree."""
        rows = need_pool(self, pool)
        held, sign = minimizing(oracle)
        agreed = True
        seen = agreeing = 0
        for _, costs, _ in blocks(self, model, rows, oracle, project=False):
            b, m, d = costs.shape
            decisions = held.solve((sign * costs).reshape(b * m, d)).decisions.reshape(b, m, d)
            same = (np.abs(decisions - decisions[:, :1]) <= ALIKE).all(axis=(1, 2))
            seen, agreeing = seen + b, agreeing + int(same.sum())
            agreed = bool(same.all())
            if not agreed:
                break
        statement = "all survivors make the same decision on every row of the pool, by solving"
        return Verdict(agreed, agreeing / seen, 1.0, True, statement)

    def __repr__(self) -> str:
        return "DecisionConsensus()"
