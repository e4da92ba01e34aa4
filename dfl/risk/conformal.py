"""The conformal quantile, and what sets of costs need to be calibrated."""

from __future__ import annotations

import math
from typing import Any, final

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin, clone

from dfl.exceptions import InvalidInputError
from dfl.risk._data import Data
from dfl.risk.tail import check_probability
from dfl_solvers.oracle import Array


def conformal_quantile(scores: npt.ArrayLike, alpha: float) -> float:
    """Return what the score of the next instance exceeds with probability ``alpha`` at most.

    Parameters
    ----------
    scores : array-like of shape (n,)
        Scores of instances that nothing was fitted on.
    alpha : float
        Probability of a larger score, between 0 and 1.

    Returns
    -------
    float
        The quantile, one of the scores.

    Raises
    ------
    InvalidInputError
        If there are fewer than ``1 / alpha - 1`` scores, or alpha is out of its range.

    Notes
    -----
    The ``ceil((n + 1) (1 - alpha))``-th smallest of the n scores: the next one, if it is
    exchangeable with them, is among the k smallest of all n + 1 with probability ``k / (n + 1)``.

    References
    ----------
    V. Vovk, A. Gammerman, G. Shafer. Algorithmic Learning in a Random World. Springer (2005).
    doi:10.1007/b106715

    Examples
    --------
    >>> from dfl.risk import conformal_quantile
    >>> conformal_quantile([5.0, 1.0, 4.0, 2.0, 3.0, 6.0, 9.0, 7.0, 8.0], alpha=0.2)
    8.0
    """
    check_probability("alpha", alpha)
    numbers = np.sort(np.asarray(scores, dtype=float))
    n = len(numbers)
    # the product may be a whole number that rounding has put above itself
    k = math.ceil((n + 1) * (1 - alpha) - 1e-9)
    if k > n:
        raise InvalidInputError(
            f"got {n} instances to calibrate with, expected at least "
            f"{math.ceil((1 - alpha) / alpha - 1e-9)} for alpha={alpha}"
        )
    return float(numbers[k - 1])


@final
class Spread:
    """How large errors are in each coordinate: the same for all instances, or learned.

    Parameters
    ----------
    data : Data
        Instances that the estimator has not seen.
    regressor : scikit-learn regressor or None
        Learns absolute errors from features; None takes their quantile in each coordinate.
    level : float
        Of that quantile.
    """

    def __init__(self, data: Data, regressor: RegressorMixin | None, level: float) -> None:
        errors = np.abs(data.costs() - data.predicted())
        real = errors if data.mask is None else errors[data.mask]
        # an error of zero would promise certainty
        self.floor = 1e-6 * float(real.mean()) or 1e-12
        self.regressor: Any = None
        self.constant = np.zeros(())
        if regressor is not None:
            rows = data.rows(errors)
            predicted = np.ndim(data.y) == 1 and rows.ndim == 2
            self.regressor = clone(regressor).fit(data.X, rows[:, 0] if predicted else rows)
        elif data.mask is not None or data.oracle.n_costs is None:
            # items have no place of their own
            self.constant = np.quantile(real, level)
        else:
            self.constant = np.quantile(errors, level, axis=0)

    def of(self, data: Data, shape: tuple[int, ...]) -> Array:
        """Return the size of errors to expect, in the shape (n, d) of the costs."""
        if self.regressor is not None:
            sizes = data.wide(np.asarray(self.regressor.predict(data.X)))
        else:
            sizes = np.broadcast_to(self.constant, shape)
        return np.maximum(sizes, self.floor)


def own_part(data: Data, decisions: Array) -> Array:
    """Return what the objective (n,) holds beside ``c.w``."""
    if getattr(data.oracle, "linear_objective", True):
        return np.zeros(len(decisions))
    return data.oracle.evaluate(np.zeros(decisions.shape), decisions, data.oracle_instance)
