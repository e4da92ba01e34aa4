"""Criteria by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, final

if TYPE_CHECKING:
    from dfl_solvers.oracle import Array, Oracle

Criterion = Literal[
    "directional",
    "directional-raw",
    "resultant",
    "delta-directional",
    "cone-directional",
    "regret-calibrated",
    "integrated-directional",
    "integrated-regret",
    "margin",
    "l2",
    "committee-variance",
    "d-optimal",
    "a-optimal",
    "i-optimal",
    "random",
]


def make_criterion(name: Criterion) -> Any:
    """Make the criterion of a name."""
    from dfl import design

    made: dict[Criterion, Callable[[], Any]] = {
        "directional": lambda: design.DirectionalUncertainty(),
        "directional-raw": lambda: design.DirectionalUncertainty(project=False),
        "resultant": lambda: design.ResultantUncertainty(),
        "delta-directional": lambda: design.DeltaDirectionalUncertainty(),
        "cone-directional": lambda: design.ConeDirectionalUncertainty(),
        "regret-calibrated": lambda: design.RegretUncertainty(),
        "integrated-directional": lambda: design.IntegratedDirectionalDesign("direction"),
        "integrated-regret": lambda: design.IntegratedDirectionalDesign("regret"),
        "margin": lambda: design.MarginUncertainty(),
        "l2": lambda: design.L2Uncertainty(),
        "committee-variance": lambda: design.CommitteeVariance(),
        "d-optimal": lambda: design.DOptimal(),
        "a-optimal": lambda: design.AOptimal(),
        "i-optimal": lambda: design.IOptimal(),
        "random": lambda: design.RandomSampling(),
    }
    return made[name]()


class Selection(NamedTuple):
    """A criterion, and how rows are chosen by it.

    Attributes
    ----------
    criterion : Criterion
        It scores rows.
    selection : {"sample", "max"}
        Whether they are drawn by their scores, or have the largest.
    """

    criterion: Any
    selection: Literal["sample", "max"]


def greedy(criterion: Any, wanted: bool) -> Selection:
    """Choose rows by the largest score, where the criterion is made for it or where wanted."""
    made_for_it = hasattr(criterion, "select")
    if not (made_for_it or wanted):
        return Selection(criterion, "sample")
    return Selection(criterion if made_for_it else Largest(criterion), "max")


@final
class Largest:
    """Label the rows of the largest scores, with a criterion that is not made for it.

    ``SequentialDesign`` refuses that, for the reason that the studies show: it is often worse than
    random.

    Parameters
    ----------
    criterion : Criterion
        It scores rows.
    """

    def __init__(self, criterion: Any) -> None:
        self.criterion = criterion

    def score(
        self,
        model: Any,
        pool: Array,
        oracle: Oracle | None = None,
        pool_weight: Array | None = None,
    ) -> Array:
        """Score as the criterion does."""
        scores: Array = self.criterion.score(model, pool, oracle, pool_weight)
        return scores

    def select(
        self,
        model: Any,
        pool: Array,
        n: int,
        allowed: Array,
        repeats: bool,
        oracle: Oracle | None = None,
        pool_weight: Array | None = None,
    ) -> Array:
        """Take the n largest scores; of equals the first."""
        import numpy as np

        del repeats
        scores = np.where(allowed, self.score(model, pool, oracle, pool_weight), -np.inf)
        return np.argsort(-scores, kind="stable")[:n]

    def __repr__(self) -> str:
        return f"Largest({self.criterion!r})"
