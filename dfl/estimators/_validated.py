"""scikit-learn's validation of features and costs, which says where as well."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array


def validated(
    estimator: BaseEstimator, X: Any, y: Any, *, reset: bool = True
) -> tuple[Array, Array]:
    """Return checked features (n, p) and costs (n, d) or (n,).

    Parameters
    ----------
    estimator : estimator
        Whose name errors bear.
    X, y : array-like
        Features, and costs or decisions.
    reset : bool, default=True
        Whether the estimator learns the names and the number of features here; else they are
        checked.

    Raises
    ------
    ValueError
        If X or y has NaN or infinite entries, whose first row is named, or lengths differ.

    Warns
    -----
    UserWarning
        If both are data frames with the same index in another order.
    """
    _warn_of_order(X, y)
    try:
        checked: tuple[Array, Array] = validate_data(
            estimator, X, y, multi_output=True, y_numeric=True, dtype=np.float64, reset=reset
        )
    except ValueError as error:
        what = str(error).splitlines()[0]
        for name, values in (("X", X), ("y", y)):
            if what.startswith(f"Input {name} contains") and (place := _first_gap(values)):
                raise InvalidInputError(
                    f"{what} The first is at {place}; fill it in, or leave the row out"
                ) from error
        raise
    return checked


def _warn_of_order(X: Any, y: Any) -> None:
    """Warn if two data frames have the same labels in another order, for rows go by their place."""
    if not (hasattr(X, "iloc") and hasattr(y, "iloc")) or len(X) != len(y):
        return
    if not X.index.equals(y.index) and X.index.symmetric_difference(y.index).empty:
        warnings.warn(
            "X and y have the same index in another order, and rows are paired by their place; if "
            "they belong together by their labels, pass y.loc[X.index]",
            stacklevel=4,
        )


def _first_gap(values: Any) -> str:
    """Say where the first entry is that is not finite; nothing where that cannot be told."""
    try:
        gaps = np.argwhere(~np.isfinite(np.asarray(values, dtype=float)))
    except (TypeError, ValueError):
        return ""
    return ", ".join(f"{k} {i}" for k, i in zip(("row", "column"), gaps[0], strict=False))
