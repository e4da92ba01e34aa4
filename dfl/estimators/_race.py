"""Successive halving: candidates are judged fold by fold, and the worse half drops out."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast, final

import numpy as np
from joblib import Parallel, delayed, parallel_config
from sklearn import config_context
from tqdm import tqdm

from dfl import metrics
from dfl.estimators._candidates import Candidate
from dfl.estimators._folds import Fold
from dfl.estimators._table import Table
from dfl.estimators._verdict import Judged, Trial, difference, mean_regret
from dfl.exceptions import DFLError, InvalidInputError
from dfl_solvers.oracle import Array, Oracle
from dfl_solvers.wrappers import Counting

# so many stay in the race in any case
_FEWEST = 4
# nobody drops out before being judged on so many instances
_ENOUGH = 100


@final
@dataclass(eq=False)
class Runner:
    """A candidate in the race.

    Attributes
    ----------
    candidate : Candidate
    trials : list of Trial
        By fold, in order.
    problem : str or None
        Why it cannot run on.
    """

    candidate: Candidate
    seed: int
    trials: list[Trial] = field(default_factory=list)
    problem: str | None = None

    @property
    def seconds(self) -> float:
        """What its last fit took; 0 before the first."""
        return self.trials[-1].seconds if self.trials else 0.0

    def add(self, trial: Trial) -> None:
        """Keep a trial; of the models, the last one is enough."""
        self.trials = [*(old._replace(model=None) for old in self.trials), trial]

    def forget(self) -> None:
        """Give memory back that only those in the race need."""
        self.trials = [t._replace(model=None, predicted=np.zeros(0)) for t in self.trials]


@final
class Clock:
    """Time since the beginning, and a budget of it."""

    def __init__(self, budget: float | None) -> None:
        self.budget = math.inf if budget is None else float(budget)
        self._start = time.perf_counter()

    @property
    def left(self) -> float:
        """Seconds left, infinite without a budget."""
        return self.budget - (time.perf_counter() - self._start)


@final
class Race:
    """What all runners share: instances, folds, their optimal objectives, and the time.

    Parameters
    ----------
    oracle : Oracle
    table : Table
    folds : list of (train, held) rows
    optimal : ndarray of shape (n,)
        Optimal objective of each instance.
    clock : Clock
    n_jobs : int or None
        Processes that learn side by side.
    verbose : int
    """

    def __init__(
        self,
        oracle: Oracle,
        table: Table,
        folds: Sequence[Fold],
        optimal: Array,
        clock: Clock,
        n_jobs: int | None,
        verbose: int,
    ) -> None:
        self.oracle = oracle
        self.table = table
        self.folds = folds
        self.clock = clock
        self.judged = Judged.of(table, folds, optimal)
        self.optimal = optimal
        # so many folds, from the first, have had a say in who dropped out
        self.n_dropping = 0
        self._n_jobs = n_jobs
        self._verbose = verbose

    @property
    def eliminating(self) -> list[int]:
        """The folds after which runners drop out: among the first half, three at most.

        Those after them decide between the runners that are left, and no one was dropped by them.
        """
        judged = np.cumsum([len(held) for _, held in self.folds])
        early = range(min(3, len(self.folds) // 2))
        return [k for k in early if judged[k] >= _ENOUGH]

    def run(self, runners: Sequence[Runner]) -> list[Runner]:
        """Let candidates run fold by fold; return those that nobody sent home, and can be chosen.

        A fold counts for the choice once half of those that were still in the race were judged on
        it; one that was not judged on all folds that count cannot be chosen.
        """
        alive, count = list(runners), 0
        dropping = self.eliminating
        shares = [0.5 ** sum(j < k for j in dropping) for k in range(len(self.folds))]
        n_fits = len(runners) * sum(shares)
        with tqdm(total=round(n_fits), disable=self._verbose < 1, desc="candidates") as bar:
            for k in range(len(self.folds)):
                # if time is short, it is spent on the best
                order = self._ranked(alive, count) if count else alive
                for runner in self._lap(order, k):
                    bar.update()
                    where = f"fold {k + 1} of {len(self.folds)}"
                    bar.set_postfix_str(f"{where}, {runner.candidate.name}")
                started = len(alive)
                alive = [runner for runner in alive if runner.problem is None]
                there = [runner for runner in alive if len(runner.trials) > k]
                if not there or (count and 2 * len(there) < started):
                    break
                alive, count = there, k + 1
                if k in dropping:
                    alive = self._fitter_half(alive, count)
                    self.n_dropping = count if len(alive) < len(there) else self.n_dropping
                for runner in runners:
                    if runner not in alive:
                        runner.forget()
                bar.total = bar.n + len(alive) * (len(self.folds) - count)
        return [runner for runner in alive if len(runner.trials) >= count]

    def whole(self, runner: Runner) -> float:
        """Return the seconds that a fit on all instances is expected to take."""
        trained = len(self.folds[len(runner.trials) - 1][0])
        return runner.seconds * len(self.table.inputs) / trained

    def _ranked(self, runners: Sequence[Runner], count: int) -> list[Runner]:
        return sorted(runners, key=lambda runner: mean_regret(self.judged, runner.trials, count))

    def _fitter_half(self, runners: list[Runner], count: int) -> list[Runner]:
        """Return the better half, those as good within a standard error, and the yardsticks.

        These are the simplest candidate, and the best of either kind.
        """
        ranked = self._ranked(runners, count)
        kept = ranked[: max(_FEWEST, math.ceil(len(ranked) / 2))]
        for runner in ranked[len(kept) :]:
            gap, error, _ = difference(self.judged, runner.trials, ranked[0].trials, range(count))
            if gap <= error:
                kept.append(runner)
        kept.append(runners[0])
        for kind in (False, True):  # both kinds are to be compared in the end
            kept += [r for r in ranked if r.candidate.decision_focused is kind][:1]
        return [runner for runner in runners if runner in kept]

    def _lap(self, runners: Sequence[Runner], fold: int) -> Iterator[Runner]:
        """Judge runners on a fold, as far as time allows."""
        train, held = self.folds[fold]
        many = self._n_jobs not in (None, 1)
        # models of folds are needed only if no time is left for one of all instances
        keep = math.isfinite(self.clock.left)

        def tasks() -> Iterator[Any]:
            for place, runner in enumerate(runners):
                if self._has_time(runners, runner):
                    yield delayed(_tried)(
                        place, runner.candidate, runner.seed, self.oracle, self.table, train, held,
                        self.optimal[held], keep,
                    )  # fmt: skip
                elif runner.trials and place == 0:
                    return  # without the best, the others need not go on

        with parallel_config(backend="loky", inner_max_num_threads=1 if many else None):
            # no task is sent ahead, so that the clock is looked at before each
            results = Parallel(
                n_jobs=self._n_jobs, return_as="generator_unordered", pre_dispatch="n_jobs"
            )(tasks())
            for k, outcome in results:
                if isinstance(outcome, Trial):
                    runners[k].add(outcome)
                else:
                    runners[k].problem = outcome
                    warnings.warn(
                        f"candidate {runners[k].candidate.name!r} drops out: {outcome}",
                        stacklevel=4,
                    )
                yield runners[k]

    def _has_time(self, runners: Sequence[Runner], runner: Runner) -> bool:
        """Say whether a fit may begin: it should end in time, and leave some for the last one."""
        if math.isinf(self.clock.left) or not any(other.trials for other in runners):
            return True
        known = [other for other in runners if other.trials]
        count = min(len(other.trials) for other in known)
        return self.clock.left > runner.seconds + self.whole(self._ranked(known, count)[0])


def learn(candidate: Candidate, estimator: Any, table: Table, rows: Array) -> None:
    """Fit what a candidate has made on some instances."""
    costs = cast(Array, table.costs(rows))
    own = table.instance_of(rows)
    if own is not None and table.long:
        own = {k: v for k, v in own.items() if k != "mask"}  # long data make their own
    weights = table.weights_of(rows)
    if weights is not None and not candidate.takes("sample_weight"):
        raise InvalidInputError(f"fit of {type(candidate.model).__name__} takes no sample_weight")
    given = {
        "groups": group_labels(table, rows), "instance": own or None, "sample_weight": weights,
    }  # fmt: skip
    prefix = (
        "" if candidate.estimator is candidate.model else f"{candidate.estimator.steps[-1][0]}__"
    )
    found = {prefix + k: v for k, v in given.items() if v is not None and candidate.takes(k)}
    y = costs[:, 0] if table.one_output and not table.long else costs
    # each candidate takes what it knows, whatever was routed to this fit
    with config_context(enable_metadata_routing=False):
        estimator.fit(table.features(rows), y, **found)


def group_labels(table: Table, rows: Array) -> Array | None:
    """Return the label of each row of features; dates, where instances have them."""
    labels = table.labels if table.dates is None else table.dates
    if labels is None or not table.long:
        return None if labels is None else labels[rows]
    mask = None if table.instance is None else table.instance.get("mask")
    d = table.truth.shape[1]
    return np.repeat(labels[rows], np.full(len(rows), d) if mask is None else mask[rows].sum(1))


def wide(table: Table, rows: Array, predicted: Array) -> Array:
    """Arrange predictions for the features of some instances as (n, d); padding is zero."""
    if table.long and table.instance is not None and "mask" in table.instance:
        found = np.zeros((len(rows), table.truth.shape[1]))
        found[table.instance["mask"][rows]] = predicted
        return found
    return predicted.reshape(len(rows), -1)


def _tried(
    k: int,
    candidate: Candidate,
    seed: int,
    oracle: Oracle,
    table: Table,
    train: Array,
    held: Array,
    optimal: Array,
    keep: bool,
) -> tuple[int, Trial | str]:
    """Learn on some rows and judge on others; a text says what went wrong."""
    counting = Counting(oracle)
    estimator = candidate.made_for(counting, seed)
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of convergence and of long fits: the clock rules here
            learn(candidate, estimator, table, train)
            seconds, budget = time.perf_counter() - start, counting.counts
            predicted = wide(table, held, estimator.predict(table.features(held)))
            regret = metrics.regret(
                oracle,
                predicted,
                table.truth[held],
                instance=table.instance_of(held),
                optimal=optimal,
            )
    except (DFLError, ValueError, RuntimeError) as error:
        return k, f"{type(error).__name__}: {error}"
    if table.weights is not None:
        regret = regret * table.weights[held]
    return k, Trial(regret, predicted, seconds, budget, estimator if keep else None)
