"""No criterion: the baseline that many others do not beat."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from dfl.design._scoring import check_pool
from dfl_solvers.oracle import Array, Oracle


@final
class RandomSampling:
    """The same score for every row: labels are drawn by the law of the pool.

    Compare with it before trusting any other criterion.

    Examples
    --------
    >>> from dfl.design import RandomSampling
    >>> RandomSampling().score(None, [[1.0], [2.0]])
    array([1., 1.])
    """

    def score(
        self, model: Any, pool: Any, oracle: Oracle | None = None, pool_weight: Array | None = None
    ) -> Array:
        """Score a pool: (n, p) to (n,) ones."""
        return np.ones(len(check_pool(pool)))

    def __repr__(self) -> str:
        return "RandomSampling()"
