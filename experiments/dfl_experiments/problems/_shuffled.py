"""Real instances, one row an item, shuffled by the seed and cut, as the 2024 survey does."""

from __future__ import annotations

from typing import Any

from dfl.exceptions import InvalidInputError
from dfl_experiments.problems.base import Table


def shuffled(data: Any, n_train: int, n_test: int, seed: int) -> tuple[Table, Table]:
    """Cut long data into tables of ``n_train`` and ``n_test`` instances.

    Parameters
    ----------
    data : Bunch
        With ``X``, ``y``, ``groups`` and perhaps ``instance``; instances of equal size that lie
        together.
    n_train, n_test : int
        Instances of each table.
    seed : int
        Of the order of the instances.

    Returns
    -------
    train, test : Table
        No instance is in both.

    Raises
    ------
    InvalidInputError
        If there are fewer instances.
    """
    import numpy as np

    starts = np.flatnonzero(np.append(True, data.groups[1:] != data.groups[:-1]))
    n_items = len(data.y) // len(starts)
    if n_train + n_test > len(starts):
        raise InvalidInputError(
            f"got n_train={n_train} and n_test={n_test}, expected at most {len(starts)} together, "
            "all there are"
        )
    order = np.random.default_rng(seed).permutation(len(starts))

    def table(which: Any) -> Table:
        rows = (which[:, None] * n_items + np.arange(n_items)).ravel()
        instance = {name: values[which] for name, values in data.get("instance", {}).items()}
        # new labels in the order of the rows, since shuffled dates would not be in order
        groups = np.repeat(np.arange(len(which)), n_items)
        return Table(data.X[rows], data.y[rows], groups=groups, instance=instance or None)

    return table(order[:n_train]), table(order[n_train : n_train + n_test])
