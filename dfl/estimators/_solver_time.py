"""How long a fit may solve, how long it will, and what was cut short."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast, final

from dfl.exceptions import InvalidInputError
from dfl.losses import AbstractLoss, Target
from dfl.losses.relaxed_spo_plus import relaxation
from dfl.training import StopTraining
from dfl_solvers.oracle import Array, Instance, Solution
from dfl_solvers.wrappers import Counting

# a fit whose epochs will solve for longer than this in all is worth a word beforehand
_LONG = 600.0
# instances that are solved to measure it
_FEW = 4
# a sample may take so many solves: a loss is asked how many where this could make a fit long
_MANY = 100


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
        # in a list, since the relaxation shares it
        self._left = [math.inf]

    def start(self) -> None:
        """Enforce the limit from now on."""
        self._left[0] = math.inf if self.seconds is None else self.seconds

    @property
    def minimizing(self) -> Limited:
        """The oracle itself."""
        return self

    def solve(self, costs: Array, instance: Instance | None = None) -> Solution:
        """Solve a batch if there is time left."""
        if self.counting.counts.seconds >= self._left[0]:
            raise StopTraining
        return self.counting.solve(costs, instance)

    def relax(self) -> Limited:
        """Return the linear relaxation under the same counter and the same limit."""
        relaxed = copy.copy(self)
        relaxed.counting = cast(Counting, relaxation(self.counting))
        return relaxed

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


@final
class Forecast:
    """Measures what a fit will cost while it solves its labels, and says so if that is long.

    Labels are solved few by few as long as they are slow, so that the word comes before the time is
    spent, and no instance is solved twice.

    Parameters
    ----------
    oracle : Limited
        With a limit of its own there is nothing to say.
    sample : callable
        Computes the loss and its gradient for the first few instances, whose target it is given.
    n_train, n_held : int
        Instances that an epoch trains on, and validates on.
    max_iter : int
        Epochs; 0 where nothing is to be said.
    n_jobs : int, optional
        Of the estimator.
    """

    def __init__(
        self,
        oracle: Limited,
        sample: Callable[[Target], None],
        n_train: int,
        n_held: int,
        max_iter: int,
        n_jobs: int | None,
    ) -> None:
        self._oracle = oracle
        self._sample = sample
        self._n_train, self._n_held, self._max_iter = n_train, n_held, max_iter
        self._n_jobs = n_jobs
        self._over = oracle.seconds is not None or max_iter == 0

    def complete(self, loss: AbstractLoss, target: Target) -> Target:
        """Solve the labels that a loss needs; see ``AbstractLoss.complete``."""
        n, done = len(target), 0
        found: Target | None = None
        if hasattr(self._oracle, "solve_ratio"):  # a Pool solves the whole of its first batch only
            return loss.complete(target)
        # the first few may have compiled the oracle: twice slow is slow
        for last in (False, True):
            if self._over or n <= done + _FEW:
                break
            few, seconds, solved = self._measured(
                lambda lo=done: loss.complete(target.rows(slice(lo, lo + _FEW)))  # type: ignore[misc]
            )
            found, done = few if found is None else found.join(few), done + _FEW
            if not solved:
                break
            ahead = (n - done) * solved // _FEW  # some losses solve more than the label of a row
            if not self._slow(seconds / solved, ahead):
                self._over = True
                break
            if last:
                self._say(seconds / solved, ahead, few)
        if found is None:
            return loss.complete(target)
        whole = found.join(loss.complete(target.rows(slice(done, None))))
        # a pool is that of all rows, not of the first few
        return loss.complete(replace(whole, pool=target.pool))

    def judge(self, target: Target) -> None:
        """Say it, if need be, of a loss that needs no labels; after those that validate."""
        # a pool draws which to solve, and is not asked about what nobody trains on
        if self._over or hasattr(self._oracle, "solve_ratio"):
            return
        few, counts = target.rows(slice(_FEW)), self._oracle.counting.counts
        each = counts.seconds / counts.instances if counts.instances else 0.0
        if each and target.costs is not None and self._slow(each, 0):
            # once more, since the first call of an oracle may compile it
            costs = few.costs.double().cpu().numpy()
            _, seconds, solved = self._measured(lambda: self._oracle.solve(costs, few.instance))
            each = seconds / solved
        if not each or self._slow(each, 0):
            self._say(each, 0, few)

    def _slow(self, each: float, n_labels: int) -> bool:
        """Say whether a fit might be long, judged by the seconds of one solve."""
        solves = n_labels + self._max_iter * (self._n_train + self._n_held)
        return each * solves * _MANY > _LONG

    def _say(self, each: float, n_labels: int, few: Target) -> None:
        """Measure how often the loss solves and how long it takes, and warn of a long fit."""
        self._over = True
        # a loss that solves for the first time may compile its oracle, as relaxed ones do
        for _ in range(2):
            _, seconds, solved = self._measured(lambda: self._sample(few))
            epoch = (self._n_train * seconds) / max(len(few), 1) + self._n_held * each
            labels = n_labels * each
            if labels + self._max_iter * epoch <= _LONG:
                return
        solves = round(self._n_train * solved / len(few)) + self._n_held
        whole = _time(self._max_iter * epoch)
        ahead = f"labels will take about {_time(labels)}, and " if n_labels else ""
        cores = "n_jobs=-1, which uses all cores, " if self._n_jobs is None else ""
        warnings.warn(
            f"{ahead}an epoch will solve {solves} instances, which takes about {_time(epoch)}, and "
            f"{self._max_iter} epochs {whole}; cheaper are {cores}loss='relaxed-spo+', which "
            "solves linear relaxations, and Pool(oracle), which reuses decisions; "
            "max_solver_seconds sets a limit",
            stacklevel=5,
        )

    def _measured(self, work: Callable[[], Any]) -> tuple[Any, float, int]:
        """Do something; return its result, the seconds in the oracle and the instances solved."""
        counts = self._oracle.counting.counts
        seconds, instances = counts.seconds, counts.instances
        result = work()
        return result, counts.seconds - seconds, counts.instances - instances


def _time(seconds: float) -> str:
    for size, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{1e3 * seconds:.3g} ms"
