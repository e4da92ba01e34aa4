"""What the problems of a run share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from dfl_experiments.base import AbstractModel

if TYPE_CHECKING:
    from dfl_solvers.oracle import Array, Oracle


@dataclass(frozen=True)
class Table:
    """Features and costs of some instances.

    Attributes
    ----------
    X : array or data frame of shape (n, p), or (n * d, p) for long data
    y : ndarray of shape (n, d), or (n * d,) for long data
        Costs, or values if the oracle maximizes.
    groups : ndarray of shape (n * d,), optional
        Long data: the instance of each row. Every instance has the same number of rows, and they
        lie together.
    instance : mapping, optional
        Per-instance data of the oracle.
    expected : ndarray of shape (n, d), optional
        E[c | x], where it is known.
    """

    X: Any
    y: Array
    groups: Array | None = None
    instance: Mapping[str, Array] | None = None
    expected: Array | None = None

    def wide(self, values: Array) -> Array:
        """Arrange values, one per entry of y, as (n, d)."""
        if self.groups is None:
            return values
        n = 1 + int((self.groups[1:] != self.groups[:-1]).sum())
        return values.reshape(n, -1)


@dataclass(frozen=True)
class Fold:
    """Train on one table, be judged on another.

    ``oracle`` judges; ``training_oracle`` is what a method may use while it learns, which is a
    relaxation where the problem itself is slow to solve.
    """

    train: Table
    test: Table
    oracle: Oracle
    training_oracle: Oracle


class AbstractProblem(AbstractModel):
    """A problem of a run: given a seed, it yields what to train on and what to be judged on."""

    draws_data: ClassVar[bool] = True
    """Whether a seed draws new data; if not, a seed changes only the training."""
    decisions_per_year: ClassVar[int | None] = None
    """For returns: how many decisions a year has."""

    def parts(self) -> Mapping[str, AbstractProblem]:
        """Return the problems this one consists of, by the name they have in the results."""
        return {self.kind: self}  # type: ignore[attr-defined]

    @abstractmethod
    def folds(self, seed: int) -> Iterator[Fold]:
        """Yield the folds in the order of time."""
