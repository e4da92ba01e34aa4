"""What a run can be about: anything that can be computed for a method and a seed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from dfl_experiments.base import AbstractModel


class AbstractStudy(AbstractModel):
    """The subject of a run. A cell is one of its methods with one seed."""

    draws_data: ClassVar[bool] = True
    """Whether a seed draws new data; if not, a seed changes only the training."""
    knows_minimum: ClassVar[bool] = True
    """Where data are drawn: whether the least regret that features allow is known."""
    decisions_per_year: ClassVar[int | None] = None
    """For returns: how many decisions a year has."""

    def parts(self) -> Mapping[str, AbstractStudy]:
        """Return the problems this one consists of, by the name they have in the results."""
        return {self.kind: self}  # type: ignore[attr-defined]

    @abstractmethod
    def check(self, methods: Sequence[Any], seed: int) -> None:
        """Refuse what cannot work before anything is computed, and fetch the data once."""

    @abstractmethod
    def compute(self, method: Any, seed: int) -> dict[str, Any]:
        """Compute a cell; what is returned is kept as JSON."""
