"""One draw of synthetic data, split at random as the published experiments do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, final

from pydantic import NonNegativeFloat, PositiveInt

from dfl_experiments.problems.base import AbstractProblem, Fold, Table


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


class AbstractGeneratedProblem(AbstractProblem):
    """Costs from a polynomial of the features, with noise; a leaf writes ``draw``."""

    kind: str
    n_train: PositiveInt = 1000
    n_test: PositiveInt = 1000
    n_features: PositiveInt = 5
    degree: PositiveInt = 4
    noise: NonNegativeFloat = 0.5

    @abstractmethod
    def draw(self, n: int, seed: int) -> Any:
        """Return n instances: a Bunch with ``X``, ``C``, ``mean_costs`` and ``oracle``."""

    @final
    def folds(self, seed: int) -> Iterator[Fold]:
        """Draw and split."""
        return random_split(lambda n: self.draw(n, seed), self.n_train, self.n_test, seed)
