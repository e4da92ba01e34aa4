"""What fits of SPO trees and forests share: reading data, limits and folds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dfl import metrics
from dfl.estimators._instance import InstanceData, as_instance
from dfl.estimators._long import as_labels, is_dated
from dfl.estimators._reading import read
from dfl.estimators._table import Table
from dfl.estimators._tree_growth import Limits, Sample
from dfl.estimators.base import BaseDecisionRegressor
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array, minimizing
from dfl_solvers.wrappers import Counting

# below this many rows nothing can be held out that would tell anything
_FEWEST = 10


class Task(NamedTuple):
    """Checked data in the sense of minimization, and what counts the oracle."""

    sample: Sample
    table: Table
    counting: Counting
    sign: int


def read_task(
    estimator: BaseDecisionRegressor,
    X: Any,
    y: Any,
    sample_weight: Any,
    instance: InstanceData | None,
) -> Task:
    """Check what ``fit`` was given, and solve the labels."""
    oracle, sign = minimizing(estimator._checked_oracle())
    counting = Counting(oracle)
    instance = as_instance(instance)
    table = read(estimator, X, y, sample_weight=sample_weight, instance=instance)
    weights = np.ones(len(table.inputs)) if table.weights is None else table.weights
    if not weights.any():
        raise InvalidInputError("got sample_weight all zero, expected a positive weight")
    fields = {name: np.asarray(value) for name, value in (instance or {}).items()} or None
    costs = np.ascontiguousarray(sign * table.truth)
    optimal = metrics.optimal_objectives(counting, costs, instance=fields)
    sample = Sample(counting, table.inputs, costs, optimal, weights, fields)
    return Task(sample, table, counting, sign)


def limits_of(estimator: Any, n_features: int) -> Limits:
    """Check the parameters that say how far a tree grows."""

    def whole(name: str, *, optional: bool = False) -> Any:
        value = getattr(estimator, name)
        if value is None and optional:
            return None
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise InvalidInputError(
                f"{type(estimator).__name__}: got {name}={value!r}, expected "
                f"{'None or ' if optional else ''}a whole number from 1"
            )
        return int(value)

    share = estimator.max_features
    if share is None:
        looked_at = n_features
    elif isinstance(share, (int, np.integer)) and share >= 1:
        looked_at = min(int(share), n_features)
    elif isinstance(share, (float, np.floating)) and 0 < share <= 1:
        looked_at = max(1, round(float(share) * n_features))
    else:
        raise InvalidInputError(
            f"{type(estimator).__name__}: got max_features={share!r}, expected None, a whole "
            "number from 1 or a share between 0 and 1"
        )
    return Limits(
        whole("max_depth", optional=True),
        whole("min_samples_leaf"),
        looked_at,
        whole("max_candidates", optional=True),
    )


def folds_of(
    cv: Any, table: Table, groups: Any, rng: np.random.Generator
) -> list[tuple[Array, Array]]:
    """Split rows into folds; none if rows are few.

    Dated rows validate after those they train on, and rows of a group stay together.

    Parameters
    ----------
    cv : int or scikit-learn splitter
    table : Table
    groups : array-like of shape (n,), or None
    rng : Generator
        Shuffles plain rows.
    """
    from sklearn.model_selection import GroupKFold, KFold, TimeSeriesSplit, check_cv

    n = len(table.inputs)
    labels = None if groups is None else as_labels(groups, n)
    dates = table.dates
    if labels is not None and is_dated(labels):
        dates, labels = labels, None
    order = np.arange(n) if dates is None else np.argsort(dates, kind="stable")
    if not isinstance(cv, (int, np.integer)):
        splitter = check_cv(cv)
    elif n < _FEWEST:
        return []
    elif dates is not None:
        splitter = TimeSeriesSplit(int(cv))
    elif labels is not None:
        splitter = GroupKFold(int(cv))
    else:
        splitter = KFold(int(cv), shuffle=True, random_state=int(rng.integers(2**31)))
    ordered = None if labels is None else labels[order]
    found = []
    for train, held in splitter.split(order, groups=ordered):
        if dates is not None:  # rows of one date do not validate each other
            train = train[dates[order[train]] < dates[order[held]].min()]
        if len(train):
            found.append((order[train], order[held]))
    return found
