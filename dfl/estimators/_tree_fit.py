"""What estimators made of trees share: reading data, limits and folds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from dfl import metrics
from dfl.estimators._folds import Fold, folds
from dfl.estimators._instance import InstanceData, as_instance
from dfl.estimators._long import as_labels, is_dated
from dfl.estimators._reading import read
from dfl.estimators._table import Table
from dfl.estimators._tree_sample import Limits, Sample
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
    if oracle.n_costs not in (None, 1) and np.asarray(y).ndim == 1:
        raise InvalidInputError(
            f"{type(estimator).__name__}: got y with one cost per row, expected {oracle.n_costs}; "
            "long data, a row per item, are not taken"
        )
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
        None if estimator.max_depth is None else whole(estimator, "max_depth", "None or "),
        whole(estimator, "min_samples_leaf"),
        looked_at,
        None
        if estimator.max_candidates is None
        else whole(estimator, "max_candidates", "None or "),
    )


def whole(estimator: Any, name: str, others: str = "") -> int:
    """Check a parameter that is a whole number from 1; ``others`` says what it may be besides."""
    value = getattr(estimator, name)
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise InvalidInputError(
            f"{type(estimator).__name__}: got {name}={value!r}, expected {others}a whole number "
            "from 1"
        )
    return int(value)


def features_of(estimator: BaseDecisionRegressor, X: Any) -> Array:
    """Check the features that a fitted estimator is given, and lay them out for trees."""
    check_is_fitted(estimator)
    return np.ascontiguousarray(validate_data(estimator, X, reset=False, dtype=np.float64))


def folds_of(cv: Any, table: Table, groups: Any, rng: np.random.Generator) -> list[Fold]:
    """Split rows into folds, as ``_folds.folds`` does; none if rows are few.

    Groups are those of wide rows, also where each row has one cost.
    """
    if isinstance(cv, (int, np.integer)) and len(table.inputs) < _FEWEST:
        return []
    if groups is not None:
        labels = as_labels(groups, len(table.inputs))
        dated = is_dated(labels)
        table = replace(table, dates=labels) if dated else replace(table, labels=labels)
    return folds(table, cv, rng)
