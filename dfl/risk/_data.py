"""Instances of wide or long data: taken apart, predicted and put together again."""

from __future__ import annotations

from typing import Any, Self, final

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_consistent_length

from dfl.estimators import BaseDecisionRegressor
from dfl.estimators._instance import InstanceData, as_instance
from dfl.estimators._long import LongLayout, as_labels, is_dated
from dfl.estimators._split import split
from dfl.estimators._table import date_index
from dfl.estimators.base import with_mask
from dfl.exceptions import InvalidInputError, UnsupportedError
from dfl_solvers.oracle import Array, Oracle, minimizing


@final
class Data:
    """Rows as ``estimator.fit`` takes them, by instance.

    Parameters
    ----------
    estimator : BaseDecisionRegressor
        Whose oracle the instances are for.
    X, y, groups, instance
        As in ``fit``; ``y`` is None where it is not known yet.
    """

    def __init__(
        self,
        estimator: BaseDecisionRegressor,
        X: Any,
        y: Any = None,
        groups: Any = None,
        instance: InstanceData | None = None,
    ) -> None:
        self.estimator, self.X, self.y, self.groups = estimator, X, y, groups
        self.instance = as_instance(instance)
        self.oracle: Oracle
        self.oracle, self.sign = minimizing(estimator._checked_oracle())
        # for wide data groups only say which instances belong together
        long = groups is not None and (y is None or np.ndim(y) == 1)
        n_rows = len(X)
        if y is not None:
            check_consistent_length(X, y)
        self.layout = LongLayout(groups, n_rows, self.oracle) if long else None
        self.n = n_rows if self.layout is None else len(self.layout.labels)
        self.oracle_instance = self.instance
        if self.layout is not None:
            self.oracle_instance = with_mask(self.instance, self.layout)

    @property
    def mask(self) -> Array | None:
        """Which coordinates are real, (n, d); None if all are."""
        return None if self.layout is None else self.layout.mask

    def refuse_padding(self, name: str) -> None:
        """Refuse long data whose instances are of unequal size.

        Raises
        ------
        UnsupportedError
            If they are.
        """
        if self.mask is not None:
            raise UnsupportedError(
                f"{name} needs instances of equal size; got long data with padding, for which "
                "ConformalBox works"
            )

    def wide(self, rows: Array) -> Array:
        """Arrange numbers by row as (n, d)."""
        if self.layout is not None:
            return self.layout.gather(rows)
        return self.estimator._wide(rows)

    def rows(self, values: Array) -> Array:
        """Arrange numbers (n, d) as ``decide`` returns them."""
        return values if self.layout is None else self.layout.scatter(values)

    def predicted(self) -> Array:
        """Return predicted costs (n, d), to be minimized."""
        return self.sign * self.wide(np.asarray(self.estimator.predict(self.X)))

    def costs(self) -> Array:
        """Return true costs (n, d), to be minimized."""
        if self.y is None:
            raise InvalidInputError("the true costs are needed here: got none")
        return self.sign * self.wide(np.asarray(self.y, dtype=float))

    def take(self, index: Array) -> Data:
        """Return some of the instances."""
        rows = index
        if self.layout is not None:
            every = self.layout.gather(np.arange(len(self.X)))[index]
            rows = every.ravel() if self.mask is None else every[self.mask[index]]
        return Data(
            self.estimator,
            _safe_indexing(self.X, rows),
            None if self.y is None else _safe_indexing(self.y, rows),
            None if self.groups is None else np.asarray(self.groups)[rows],
            None
            if self.instance is None
            else {name: np.asarray(value)[index] for name, value in self.instance.items()},
        )

    def divide(self, fraction: float, rng: np.random.Generator) -> tuple[Data, Data]:
        """Hold out a share: the latest instances if they are dated, whole groups, else at random.

        Raises
        ------
        InvalidInputError
            If there are too few instances.
        """
        dates, labels = date_index(self.X), None
        if self.layout is not None:
            dates = self.layout.labels if is_dated(self.layout.labels) else None
        elif self.groups is not None:
            labels = as_labels(self.groups, self.n)
            if is_dated(labels):
                dates, labels = labels, None
        kept, held = split(self.n, fraction, None, rng, dates, labels)
        if not len(held):
            raise InvalidInputError(
                f"got {self.n} instances to divide, expected at least 10: some are needed to learn "
                "from, others to calibrate with"
            )
        return self.take(np.sort(kept)), self.take(np.sort(held))

    def fitted(self, estimator: BaseDecisionRegressor) -> BaseDecisionRegressor:
        """Fit an estimator on these instances."""
        return estimator.fit(self.X, self.y, groups=self.groups, instance=self.instance)

    def of(self, estimator: BaseDecisionRegressor) -> Self:
        """Return the same instances for another estimator of the same oracle."""
        return type(self)(estimator, self.X, self.y, self.groups, self.instance)
