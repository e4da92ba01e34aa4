"""The best of some items whose values are a cubic of one feature."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, final

from pydantic import PositiveInt

from dfl_experiments.problems.base import AbstractProblem, Fold, Table


@final
class CubicTopKProblem(AbstractProblem):
    """Subset selection; see ``dfl.datasets.make_cubic_top_k``. One model for all items."""

    kind: Literal["cubic-top-k"]
    n_items: PositiveInt = 50
    k: PositiveInt = 1
    n_train: PositiveInt = 400
    n_test: PositiveInt = 200

    def folds(self, seed: int) -> Iterator[Fold]:
        """Draw and split."""
        import numpy as np

        from dfl.datasets import make_cubic_top_k

        n = self.n_train + self.n_test
        data = make_cubic_top_k(n, n_items=self.n_items, k=self.k, random_state=seed)

        def table(rows: slice) -> Table:
            X, values = data.X[rows], data.C[rows]
            groups = np.repeat(np.arange(len(X)), self.n_items)
            return Table(X.reshape(-1, 1), values.ravel(), groups=groups, expected=values)

        train, test = table(slice(self.n_train)), table(slice(self.n_train, n))
        yield Fold(train, test, oracle=data.oracle, training_oracle=data.oracle)
