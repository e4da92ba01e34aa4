"""Buy labels in a world whose truth is known, and keep count."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, final

import numpy as np

from dfl_experiments.design.study import stops
from dfl_solvers.wrappers import Counting

if TYPE_CHECKING:
    from dfl.design import SequentialDesign
    from dfl_experiments.design.methods import AbstractDesignMethod
    from dfl_experiments.design.study import AbstractDesignStudy, Stop
    from dfl_experiments.design.worlds.base import World


def simulate(study: AbstractDesignStudy, method: AbstractDesignMethod, seed: int) -> dict[str, Any]:
    """Compute a cell.

    Returns
    -------
    dict
        ``values`` of the metrics of the study, and ``seconds`` and ``solves`` of the design alone.
        A rule that never stopped has the budget as its number of labels, and is named in
        ``unstopped``.
    """
    from dfl.design import FiniteHypothesisClass

    world = _world(study, seed)
    begun = method.begin(world, study, seed)
    design = begun.design
    if design is None:
        values = dict.fromkeys((f"regret@{n}" for n in study.labels), begun.regret())
        return {"values": values, "unstopped": [], "seconds": 0.0, "solves": 0}
    design.oracle = counting = Counting(world.oracle)
    rng = np.random.default_rng([seed, 2])
    watch = None if study.stop is None else _Watch(study.stop, design)
    values = {}
    seconds, bought = 0.0, 0
    for mark in study.labels:
        while bought < mark:
            start = time.perf_counter()
            begun.turn(bought)
            end = min(begun.first, mark) if bought < begun.first else mark
            rows, _ = design.ask(begun.pool, min(study.batch, end - bought))
            seconds += time.perf_counter() - start
            costs = world.label(rows, rng)
            start = time.perf_counter()
            design.tell(rows, costs)
            seconds += time.perf_counter() - start
            bought += len(rows)
            if watch is not None:
                watch.look(bought, begun.regret)
        values[f"regret@{mark}"] = begun.regret()
    solves = counting.counts.instances
    unstopped = []
    if watch is not None:
        unstopped = watch.left
        values |= watch.values(bought, begun.regret)
        if world.risks is not None and isinstance(design.model, FiniteHypothesisClass):
            best = int(world.risks.argmin())
            values["best-kept"] = float(best in design.model.survivors_)
    return {
        "values": values,
        "unstopped": unstopped,
        "seconds": seconds,
        "solves": solves,
    }


# cells of a seed are computed one after the other, and share the world
@lru_cache(maxsize=1)
def _world(study: AbstractDesignStudy, seed: int) -> World:
    return study.world(seed)


@final
class _Watch:
    """Notes at how many labels each rule would have stopped first."""

    def __init__(self, stop: Stop, design: SequentialDesign) -> None:
        from dfl.design import DecisionConsensus, MeanUncertaintyBelow, SlackBelow

        made: dict[str, Callable[[], Any]] = {
            "slack": lambda: SlackBelow(stop.slack or 0.0),
            "consensus": DecisionConsensus,
            "mean-uncertainty": lambda: MeanUncertaintyBelow(stop.mean_uncertainty or 0.0),
        }
        self._rules: dict[str, Any] = {name: made[name]() for name in stops(stop)}
        self._design = design
        self._found: dict[str, float] = {}

    @property
    def left(self) -> list[str]:
        """Rules that have not stopped."""
        return [name for name in self._rules if f"labels-to-{name}" not in self._found]

    def look(self, bought: int, regret: Any) -> None:
        """Ask the rules that are left; they solve without being counted."""
        counted = self._design.oracle
        self._design.oracle = counted.oracle  # type: ignore[attr-defined]
        for name in self.left:
            self._design.stopping = self._rules[name]
            if self._design.should_stop():
                self._note(name, bought, regret)
        self._design.oracle = counted

    def values(self, bought: int, regret: Any) -> dict[str, float]:
        """Return the metrics; a rule that has not stopped stops at the budget."""
        for name in self.left:
            self._note(name, bought, regret)
        return self._found

    def _note(self, name: str, bought: int, regret: Any) -> None:
        self._found[f"labels-to-{name}"] = float(bought)
        if name == "slack":
            self._found["regret-at-slack"] = regret()
