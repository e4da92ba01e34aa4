"""Which instances validate and which train."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfl.exceptions import InvalidInputError
from dfl_solvers.oracle import Array

# below this many instances nothing can be held out that would tell anything
_FEWEST = 10


def split(
    n: int,
    fraction: float,
    cv: Any,
    rng: np.random.Generator,
    dates: Array | None = None,
    groups: Array | None = None,
) -> tuple[Array, Array]:
    """Split n instances into training and validation rows.

    Dated instances are cut in time: everything that validates comes after everything that trains.

    Parameters
    ----------
    n : int
        Number of instances.
    fraction : float
        Share of the instances that validate, used without ``cv``.
    cv : None or scikit-learn splitter
        A splitter's last split is taken.
    rng : Generator
    dates : ndarray of shape (n,), optional
        When each instance happened.
    groups : ndarray of shape (n,), optional
        Instances with the same label stay together.

    Returns
    -------
    train, validation : ndarray of int
        Row numbers; ``validation`` is empty if n is too small.

    Raises
    ------
    InvalidInputError
        If the fraction is out of range, the splitter fails, or it would validate on dates before
        those it trains on.
    """
    if not 0 < fraction < 1:
        raise InvalidInputError(
            f"got validation_fraction={fraction!r}, expected a number between 0 and 1"
        )
    order = np.arange(n) if dates is None else np.argsort(dates, kind="stable")
    if cv is not None:
        train, validation = _by_splitter(cv, order, groups)
    elif n < _FEWEST:
        return order, order[:0]
    elif dates is not None:
        cut = dates[order][n - int(np.ceil(fraction * n))]  # instances of one date stay together
        train, validation = order[dates[order] < cut], order[dates[order] >= cut]
    elif groups is not None:
        from sklearn.model_selection import GroupShuffleSplit  # imported late: it is slow to import

        splitter = GroupShuffleSplit(1, test_size=fraction, random_state=int(rng.integers(2**31)))
        train, validation = next(splitter.split(order, groups=groups))
    else:
        shuffled = rng.permutation(n)
        cut = int(np.ceil(fraction * n))
        train, validation = np.sort(shuffled[cut:]), np.sort(shuffled[:cut])
    if not len(train):
        raise InvalidInputError("the validation split leaves no instance to train on")
    if dates is not None:
        check_forward(cv, dates, train, validation)
    return train, validation


def check_forward(cv: Any, dates: Array, train: Array, held: Array) -> None:
    """Refuse a split that holds out dates before those it trains on.

    Raises
    ------
    InvalidInputError
    """
    if dates[held].min() < dates[train].max():
        raise InvalidInputError(
            f"cv={cv!r} would validate on {dates[held].min()} after training on "
            f"{dates[train].max()}; dated instances need a splitter that looks ahead, such as "
            "TimeSeriesSplit (or give up the dates: a plain index, integer groups)"
        )


def _by_splitter(cv: Any, order: Array, groups: Array | None) -> tuple[Array, Array]:
    from sklearn.model_selection import check_cv

    ordered = None if groups is None else groups[order]
    try:
        *_, (train, validation) = check_cv(cv).split(order, groups=ordered)
    except ValueError as error:
        raise InvalidInputError(
            f"cv={cv!r} cannot split {len(order)} instances: {error}"
        ) from error
    return order[train], order[validation]
