"""What the held-out regrets of candidates say: differences, the choice, and a test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dfl.estimators._folds import Fold
from dfl.estimators._table import Table
from dfl_solvers.oracle import Array
from dfl_solvers.wrappers import Counts


class Trial(NamedTuple):
    """One candidate, learned on one part of the instances and judged on another.

    Regrets are those of the held-out instances, times what these count.
    """

    regret: Array
    predicted: Array
    seconds: float
    budget: Counts
    model: Any


class Judged(NamedTuple):
    """The held-out instances of each fold.

    Attributes
    ----------
    weights : list of ndarray
        ``|z*|`` of each; ones, if all are zero and regret cannot be normalized. Times what the
        instance counts.
    units : list of ndarray
        Which instances are not independent: those of a group or a date, else each is on its own.
    overlap : ndarray
        Held-out instances of a fold in relation to those that train.
    """

    weights: list[Array]
    units: list[Array]
    overlap: Array

    @classmethod
    def of(cls, table: Table, folds: Sequence[Fold], optimal: Array) -> Judged:
        """Collect them from a table, its folds and the optimal objectives (n,)."""
        labels = table.labels if table.dates is None else table.dates
        units = np.arange(len(optimal))
        if labels is not None and not table.long:
            units = np.unique(labels, return_inverse=True)[1]
        weights = np.abs(optimal) if optimal.any() else np.ones(len(optimal))
        if table.weights is not None:
            weights = weights * table.weights
        return cls(
            [weights[held] for _, held in folds],
            [units[held] for _, held in folds],
            np.array([len(held) / len(train) for train, held in folds]),
        )

    def apart_from(self, fold: int, count: int) -> list[tuple[int, Array]]:
        """Return the others of so many folds, and which of their instances one may choose by.

        These are not units of this fold, as some are in repeated splits.
        """
        return [(k, ~np.isin(self.units[k], self.units[fold])) for k in range(count) if k != fold]


class Estimate(NamedTuple):
    """A ratio of sums with its standard error and degrees of freedom."""

    value: float
    error: float
    freedom: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return Student's interval; infinite if there is one unit only."""
        from scipy.special import stdtrit

        if not self.freedom:
            return -np.inf, np.inf
        half = float(stdtrit(self.freedom, 0.5 + confidence / 2)) * self.error
        return self.value - half, self.value + half


def mean_regret(judged: Judged, trials: Sequence[Trial], count: int) -> float:
    """Return the normalized regret over the first so many folds."""
    return estimate([t.regret for t in trials[:count]], judged, range(count)).value


def difference(
    judged: Judged, first: Sequence[Trial], second: Sequence[Trial], folds: Iterable[int]
) -> Estimate:
    """Return the paired difference of normalized regrets, first minus second, over some folds."""
    folds = list(folds)
    return estimate([first[k].regret - second[k].regret for k in folds], judged, folds)


def estimate(values: Sequence[Array], judged: Judged, folds: Iterable[int]) -> Estimate:
    """Estimate ``sum(values) / sum(weights)`` over the held-out instances of some folds.

    The standard error is that of a ratio of sums over independent units, linearized.
    """
    folds = list(folds)
    numbers = np.concatenate(values)
    weights = np.concatenate([judged.weights[k] for k in folds])
    units = np.concatenate([judged.units[k] for k in folds])
    norm = float(weights.sum()) or 1.0
    value = float(numbers.sum()) / norm
    _, place = np.unique(units, return_inverse=True)
    sums = np.bincount(place, numbers - value * weights)
    n = len(sums)
    error = float(np.sqrt((sums**2).sum() * n / max(n - 1, 1))) / norm
    return Estimate(value, error, n - 1)


def simplest(judged: Judged, trials: Sequence[Sequence[Trial]], count: int) -> int:
    """Choose by the one-standard-error rule; candidates come in the order of simplicity.

    Returns
    -------
    int
        The first whose regret exceeds the least by no more than a standard error of the paired
        difference.
    """
    best = min(trials, key=lambda own: mean_regret(judged, own, count))
    gaps = (difference(judged, own, best, range(count)) for own in trials)
    return next(k for k, gap in enumerate(gaps) if gap.value <= gap.error)


def crossed(judged: Judged, trials: Sequence[Sequence[Trial]], count: int, fold: int) -> int:
    """Return which candidate has the least regret on the other folds."""
    others = judged.apart_from(fold, count)
    regrets = [sum(float(own[k].regret[rows].sum()) for k, rows in others) for own in trials]
    return int(np.argmin(regrets))


def compare_kinds(
    judged: Judged,
    first: Sequence[Sequence[Trial]],
    second: Sequence[Sequence[Trial]],
    count: int,
    clean: Sequence[int],
) -> tuple[Estimate, float]:
    """Test whether the best of some candidates beats the best of others.

    Parameters
    ----------
    judged : Judged
    first, second : sequences of the trials of a candidate
    count : int
        Folds that all were judged on.
    clean : sequence of int
        Those of them that had no say in who dropped out. On each of them the candidates that are
        compared are those with the least regret on all other folds, so that they are not judged by
        what they were chosen by.

    Returns
    -------
    Estimate, float
        First minus second, with a standard error that allows for the overlap of the training rows;
        and the one-sided p-value of the hypothesis that the first is not better.
    """
    from scipy.special import stdtr

    gaps = [
        first[crossed(judged, first, count, k)][k].regret
        - second[crossed(judged, second, count, k)][k].regret
        for k in clean
    ]
    found = estimate(gaps, judged, clean)
    # Nadeau & Bengio: the models of different folds have rows in common
    inflation = 1 + len(clean) * float(judged.overlap[list(clean)].mean())
    found = found._replace(error=found.error * inflation**0.5)
    if found.error == 0 or not found.freedom:
        return found, 0.0 if found.value < 0 and found.freedom else 1.0
    return found, float(stdtr(found.freedom, found.value / found.error))
