"""Check what ``fit`` is given and arrange it by instances."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfl.estimators._instance import InstanceData, as_instance
from dfl.estimators._long import LongLayout, as_labels, is_dated
from dfl.estimators._names import learn_names
from dfl.estimators._table import Table, date_index
from dfl.estimators._validated import validated
from dfl.estimators.base import BaseDecisionRegressor, read_weights, with_mask
from dfl.exceptions import InvalidInputError


def read(
    estimator: BaseDecisionRegressor,
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    decisions: Any = None,
    groups: Any = None,
    instance: InstanceData | None = None,
    reset: bool = True,
) -> Table:
    """Check data and arrange them by instances.

    Parameters
    ----------
    estimator : BaseDecisionRegressor
        Whose oracle says how many costs there are.
    X, y, sample_weight, decisions, groups, instance
        As in ``DecisionFocusedRegressor.fit``.
    reset : bool
        Whether the estimator learns the names and the number of features here; else they are
        checked.

    Raises
    ------
    ValueError
        If X or y has NaN or infinite entries, or lengths differ.
    InvalidInputError
        If a width does not fit the oracle.
    """
    name = type(estimator).__name__
    instance = as_instance(instance)
    if (y is None) == (decisions is None):
        raise InvalidInputError(
            f"{name} requires y to be passed, but the target y is None; pass costs as y, or "
            "observed decisions as decisions="
            if y is None
            else f"{name}: got both y and decisions, expected one of them"
        )
    dates = date_index(X)
    if reset:
        learn_names(estimator, decisions if y is None else y)
    X, truth = validated(estimator, X, decisions if y is None else y, reset=reset)
    truth = truth.astype(np.float64)
    if groups is None or truth.ndim == 2:
        one_output = truth.ndim == 1
        truth = truth[:, None] if one_output else truth
        estimator._check_width(truth.shape[1], "costs" if decisions is None else "decisions")
        labels = None if groups is None else as_labels(groups, len(X))
        if labels is not None and is_dated(labels):
            dates, labels = labels, None
        weights = read_weights(sample_weight, X)
        return Table(X, truth, y is not None, instance, dates, labels, one_output, weights)
    layout = LongLayout(groups, len(X), estimator._checked_oracle())
    return Table(
        layout.gather(X),
        layout.gather(truth),
        y is not None,
        with_mask(instance, layout),
        layout.labels if is_dated(layout.labels) else None,
        layout.labels,
        True,
        read_weights(sample_weight, layout.labels),
    )
