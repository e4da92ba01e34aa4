"""What the problems of a run share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from dfl.exceptions import DFLError, InvalidInputError
from dfl_experiments.problems.study import AbstractStudy

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
class Constraint:
    """What is predicted where it is not costs: a field of the oracle's instances.

    Attributes
    ----------
    predicts : str
    costs : ndarray of shape (d,)
        Known.
    recourse : AbstractRecourse
        What is done once the truth is known.
    """

    predicts: str
    costs: Array
    recourse: Any


class Picture(NamedTuple):
    """How to read a row of features as an image.

    Attributes
    ----------
    grid : tuple of int
        Rows and columns of cells that cost something.
    image_shape : tuple of int
        Height, width and channels.
    """

    grid: tuple[int, int]
    image_shape: tuple[int, int, int]


@dataclass(frozen=True)
class Fold:
    """Train on one table, be judged on another.

    Attributes
    ----------
    train, test : Table
    oracle : Oracle
        It judges.
    training_oracle : Oracle
        What a method may use while it learns: a relaxation where the problem itself is slow to
        solve.
    stand_ins : mapping of str to Oracle
        Other sets to learn on, by name, for a method that asks for one.
    constraint : Constraint or None
        With it, ``y`` of the tables are its numbers.
    picture : Picture or None
        With it, features are pixels.
    """

    train: Table
    test: Table
    oracle: Oracle
    training_oracle: Oracle
    stand_ins: Mapping[str, Oracle] = field(default_factory=dict)
    constraint: Constraint = None  # type: ignore[assignment]  # methods check what they are shown
    picture: Picture | None = None


class AbstractProblem(AbstractStudy):
    """A problem of a run: given a seed, it yields what to train on and what to be judged on."""

    @abstractmethod
    def folds(self, seed: int) -> Iterator[Fold]:
        """Yield the folds in the order of time."""

    def optimal(self, fold: Fold) -> Array:
        """Return the objectives (n,) of the best decisions in hindsight on the test table."""
        from dfl import metrics

        costs = fold.test.wide(fold.test.y)
        return metrics.optimal_objectives(fold.oracle, costs, instance=fold.test.instance)

    def check(self, methods: Sequence[Any], seed: int) -> None:
        """Show each method the first fold.

        Raises
        ------
        DFLError
        """
        fold = next(self.folds(seed))
        for method in methods:
            try:
                method.check(fold)
            except DFLError as error:
                raise InvalidInputError(f"methods.{method.name}: {error}") from error

    def compute(self, method: Any, seed: int) -> dict[str, Any]:
        """Learn and judge, fold by fold.

        Returns
        -------
        dict
            ``regret`` and ``optimal`` per test instance, ``sign`` (-1 if the problem maximizes),
            ``seconds`` of training, ``solves`` (instances that the oracle solved meanwhile) and
            ``history``, a list of epochs per fold.
        """
        from dfl_solvers.oracle import minimizing

        regret: list[float] = []
        optimal: list[float] = []
        history = []
        seconds, solves, sign = 0.0, 0, 1
        for fold in self.folds(seed):
            best = self.optimal(fold)
            found = method.judge(fold, best, seed)
            regret += found.regret.tolist()
            optimal += best.tolist()
            seconds += found.seconds
            solves += found.solves
            history.append([_rounded(epoch) for epoch in found.history])
            sign = minimizing(fold.oracle)[1]
        return {
            "regret": regret,
            "optimal": optimal,
            "sign": sign,
            "seconds": seconds,
            "solves": solves,
            "history": [epochs for epochs in history if epochs],
        }


def _rounded(epoch: dict[str, float]) -> dict[str, float]:
    """Keep what a learning curve needs."""
    return {name: float(f"{epoch[name]:.7g}") for name in ("loss", "validation") if name in epoch}
