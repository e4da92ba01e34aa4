"""How long a fit may solve, how long it will, and what was cut short."""

from __future__ import annotations

import math
import warnings
from typing import Any, final

from dfl.exceptions import InvalidInputError
from dfl.training import StopTraining
from dfl_solvers.oracle import Array, Instance, Solution
from dfl_solvers.wrappers import Counting

# a fit whose epochs will solve for longer than this in all is worth a word beforehand
_LONG = 600.0
# instances that are solved again to measure it
_FEW = 4


@final
class Limited:
    """An oracle that ends training once it has solved for long enough.

    Parameters
    ----------
    counting : Counting
        A minimizing oracle.
    seconds : float or None
        The limit, which counts from the first solve of ``counting`` but is enforced from ``start``
        on. A solve that has begun is not interrupted, so that the last one may exceed it.
    """

    sign = 1

    def __init__(self, counting: Counting, seconds: float | None) -> None:
        if seconds is not None and not seconds > 0:
            raise InvalidInputError(
                f"got max_solver_seconds={seconds!r}, expected a positive number or None"
            )
        self.counting = counting
        self.seconds = seconds
        self._left = math.inf

    def start(self) -> None:
        """Enforce the limit from now on."""
        self._left = math.inf if self.seconds is None else self.seconds

    @property
    def minimizing(self) -> Limited:
        """The oracle itself."""
        return self

    def solve(self, costs: Array, instance: Instance | None = None) -> Solution:
        """Solve a batch if there is time left."""
        if self.counting.counts.seconds >= self._left:
            raise StopTraining
        return self.counting.solve(costs, instance)

    def __getattr__(self, name: str) -> Any:
        if name == "counting" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.counting, name)


@final
class Interruptions:
    """A callback that notes how many solves of an epoch ended before optimality was proven."""

    def __init__(self, counting: Counting) -> None:
        self.counting = counting
        self._before = counting.counts.interrupted

    def __call__(self, entry: dict[str, float]) -> None:
        """Note it in the history."""
        now = self.counting.counts.interrupted
        entry["interrupted"], self._before = now - self._before, now


def warn_of_long_fit(
    oracle: Limited, costs: Array, instance: Instance | None, solves: int, max_iter: int
) -> None:
    """Say what an epoch will cost if all epochs will take long, judged by solves so far.

    Parameters
    ----------
    oracle : Limited
        Has solved the labels.
    costs : ndarray of shape (n, d)
        Of instances to measure again, since the first call of an oracle may compile it.
    instance : mapping, optional
        Their data.
    solves : int
        Instances that an epoch solves at least.
    max_iter : int
    """

    def epoch(seconds: float, instances: int) -> float:
        return solves * seconds / max(instances, 1)

    counts = oracle.counting.counts
    if oracle.seconds is not None or epoch(counts.seconds, counts.instances) * max_iter <= _LONG:
        return
    few = slice(0, _FEW)
    before = counts.seconds
    oracle.solve(costs[few], instance and {name: value[few] for name, value in instance.items()})
    each = epoch(counts.seconds - before, len(costs[few]))
    if each * max_iter <= _LONG:
        return
    warnings.warn(
        f"an epoch will solve {solves} instances or more, which takes about {_time(each)}, and "
        f"{max_iter} epochs {_time(each * max_iter)}; cheaper are loss='relaxed-spo+', which "
        "solves linear relaxations, and Pool(oracle), which reuses decisions; max_solver_seconds "
        "sets a limit",
        stacklevel=3,
    )


def _time(seconds: float) -> str:
    for size, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{1e3 * seconds:.3g} ms"
