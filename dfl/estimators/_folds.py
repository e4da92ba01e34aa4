"""Folds of a table for cross-validation: groups stay together, and time goes forward."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from dfl.estimators._split import check_forward
from dfl.estimators._table import Table
from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array

Fold = tuple[Array, Array]


def folds(table: Table, cv: Any, rng: np.random.Generator) -> list[Fold]:
    """Split the instances of a table into training and held-out rows, several times.

    Parameters
    ----------
    table : Table
    cv : int or scikit-learn splitter
        A number of folds: random ones; with dates, each held-out fold comes after all that is
        trained on; with labels of groups, no group is on both sides. Of fewer instances, dates or
        groups, fewer folds are made.
    rng : Generator

    Returns
    -------
    list of (train, held) pairs of int arrays
        Rows in the order of time where instances are dated, else in their own order.

    Raises
    ------
    InvalidInputError
        If the data cannot be split so, or a splitter would validate on dates before those it trains
        on.
    """
    from sklearn.model_selection import GroupKFold, KFold, check_cv

    n, dates = len(table.inputs), table.dates
    groups = None if table.long else table.labels  # of long data, an instance is a group already
    if not isinstance(cv, (int, np.integer)):
        order = np.arange(n) if dates is None else np.argsort(dates, kind="stable")
        try:
            rows = check_cv(cv).split(order, groups=None if groups is None else groups[order])
            found = [(order[train], order[held]) for train, held in rows]
        except ValueError as error:
            raise InvalidInputError(f"cv={cv!r} cannot split {n} instances: {error}") from error
        for train, held in found if dates is not None else ():
            check_forward(cv, cast(Array, dates), train, held)
        return found
    # units that stay together: dates, groups, or single instances
    units = dates if dates is not None else groups
    n_units = n if units is None else len(np.unique(units))
    n_folds = min(int(cv), n_units if dates is None else n_units - 1)
    if n_folds < 2:
        what = "samples" if units is None else "dates" if dates is not None else "groups"
        raise InvalidInputError(
            f"got cv={cv} for n_{what} = {n_units}, expected at least 2 folds, and as many {what}"
            + (" and one more" if dates is not None else "")
        )
    if dates is not None:
        return _in_time(dates, n_folds)
    seed = int(rng.integers(2**31))
    splitter = KFold if groups is None else GroupKFold
    rows = splitter(n_folds, shuffle=True, random_state=seed).split(np.arange(n), groups=groups)
    return list(rows)


def _in_time(dates: Array, n_folds: int) -> list[Fold]:
    """Cut dates into equal spans; each but the first is held out, and what is before it trains."""
    order = np.argsort(dates, kind="stable")
    known = np.unique(dates)
    span = np.searchsorted(known, dates[order]) * (n_folds + 1) // len(known)
    return [(order[span < k], order[span == k]) for k in range(1, n_folds + 1)]
