"""One draw of synthetic data, split at random as the published experiments do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dfl_experiments.problems.base import Fold, Table


def random_split(
    draw: Callable[[int], Any], n_train: int, n_test: int, seed: int
) -> Iterator[Fold]:
    """Draw ``n_train + n_test`` instances together and split them.

    Both tables must come from one draw: another seed has another true model.
    """
    from sklearn.model_selection import train_test_split

    data = draw(n_train + n_test)
    rows = train_test_split(range(n_train + n_test), test_size=n_test, random_state=seed)
    train, test = (Table(data.X[r], data.C[r], expected=data.mean_costs[r]) for r in rows)
    yield Fold(train, test, oracle=data.oracle, training_oracle=data.oracle)
