"""The names of costs, and decisions that carry them."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfl_solvers.oracle import Array


def learn_names(estimator: Any, costs: Any) -> None:
    """Set ``cost_names_`` to the names of a frame's columns or of a series, if they are texts.

    Parameters
    ----------
    estimator : BaseDecisionRegressor
    costs : array-like
        As ``fit`` was given them.
    """
    names = getattr(costs, "columns", None)
    if names is None:
        names = [getattr(costs, "name", None)]
    if all(isinstance(name, str) for name in names):
        estimator.cost_names_ = np.array(list(names), dtype=object)
    elif hasattr(estimator, "cost_names_"):
        del estimator.cost_names_


def named(decisions: Array, estimator: Any, X: Any) -> Any:
    """Give decisions the index of a frame X and the names of the costs, where both are there.

    Parameters
    ----------
    decisions : ndarray of shape (n, d) or (n,)
    estimator : BaseDecisionRegressor
    X : array-like of length n
    """
    names = getattr(estimator, "cost_names_", None)
    if names is None or not hasattr(X, "iloc"):
        return decisions
    import pandas  # X is one of its frames

    if decisions.ndim == 1:
        return pandas.Series(decisions, X.index, name=names[0])
    return pandas.DataFrame(decisions, X.index, list(names))
