"""Matchings of papers that cite each other, with shares of the same and of different fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, final

from pydantic import Field, PositiveInt

from dfl_experiments.problems._shuffled import shuffled
from dfl_experiments.problems.base import AbstractProblem, Fold

Share = Annotated[float, Field(ge=0, le=0.5)]


@final
class CoraMatchingProblem(AbstractProblem):
    """Diverse bipartite matching; see ``dfl.datasets.fetch_cora_matching``."""

    knows_minimum: ClassVar[bool] = False

    kind: Literal["cora-matching"]
    shares: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.1, 0.25, 0.5)
    n_train: PositiveInt = 22
    n_test: PositiveInt = 5

    def parts(self) -> Mapping[str, AbstractProblem]:
        """Return one problem a share."""
        return {
            f"cora-matching-{share:g}": self.model_copy(update={"shares": (share,)})
            for share in dict.fromkeys(self.shares)
        }

    def folds(self, seed: int) -> Iterator[Fold]:
        """Read, shuffle and cut."""
        data = _data(self.shares[0])
        train, test = shuffled(data, self.n_train, self.n_test, seed)
        yield Fold(train, test, oracle=data.oracle, training_oracle=data.oracle)


@cache
def _data(share: float) -> Any:
    """Read once a process: each cell asks, and finding blocks takes a second."""
    from dfl.datasets import fetch_cora_matching

    return fetch_cora_matching(share=share)
