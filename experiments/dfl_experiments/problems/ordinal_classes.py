"""Cost-sensitive classification: decide for one of several ordered classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, final

from pydantic import Field, PositiveInt

from dfl_experiments.problems._generated import random_split
from dfl_experiments.problems.base import AbstractProblem, Fold, Table

BARRIER = "log-barrier"


@final
class OrdinalClassesProblem(AbstractProblem):
    """Ordered classes, drawn; see ``dfl.datasets.make_ordinal_classes``."""

    kind: Literal["ordinal-classes"]
    n_classes: Annotated[int, Field(ge=2)] = 10
    n_train: PositiveInt = 1000
    n_test: PositiveInt = 1000
    n_features: PositiveInt = 5
    degree: PositiveInt = 1
    noise: Annotated[float, Field(ge=0, le=1)] = 0.5

    def folds(self, seed: int) -> Iterator[Fold]:
        """Draw and split; the simplex has a logarithmic barrier as a stand-in."""
        from dfl.datasets import make_ordinal_classes

        for fold in random_split(
            lambda n: make_ordinal_classes(
                n,
                self.n_features,
                n_classes=self.n_classes,
                degree=self.degree,
                noise=self.noise,
                random_state=seed,
            ),
            self.n_train,
            self.n_test,
            seed,
        ):
            yield with_barrier(fold, self.n_classes)


@final
class OrdinalDigitsProblem(AbstractProblem):
    """Handwritten digits with ordinal costs; see ``dfl.datasets.load_ordinal_digits``."""

    draws_data: ClassVar[bool] = False

    kind: Literal["ordinal-digits"]
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5

    def folds(self, seed: int) -> Iterator[Fold]:
        """Read and split, always alike; the seed plays no part in it."""
        del seed
        from sklearn.model_selection import train_test_split

        from dfl.datasets import load_ordinal_digits

        data = load_ordinal_digits()
        rows = train_test_split(
            range(len(data.X)),
            test_size=self.test_fraction,
            random_state=0,
            stratify=data.classes,
        )
        train, test = (Table(data.X[part], data.C[part]) for part in rows)
        yield with_barrier(Fold(train, test, data.oracle, data.oracle), data.oracle.n_costs)


def with_barrier(fold: Fold, n_classes: int) -> Fold:
    """Add the logarithmic barrier as a stand-in for the simplex."""
    from dfl_solvers import LogBarrierSimplex

    return replace(fold, stand_ins={BARRIER: LogBarrierSimplex(n_classes)})
