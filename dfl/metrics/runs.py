"""How good methods are over several tasks, each run with several seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dfl.exceptions import InvalidInputError
from dfl.metrics.statistics import Interval, check_resampling, percentiles
from dfl_solvers.oracle import Array

# numbers that are compared at once
_BLOCK = 1_000_000


def interquartile_mean(
    scores: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: Any = None,
) -> Interval:
    """Return the mean of the middle half of all scores, with a stratified bootstrap interval.

    It is less moved by a few bad runs than the mean, and varies less over seeds than the median.

    Parameters
    ----------
    scores : array-like of shape (runs, tasks)
        One number for each seed and task, on scales that may be compared.
    confidence : float, default=0.95
        Share of the intervals that hold the true value.
    n_resamples : int, default=2000
        Times that runs are drawn anew.
    random_state : int, Generator or None
        Seeds the draws.

    Returns
    -------
    Interval
        Its ``mean`` is the interquartile mean; bounds are NaN if there is a single run, of which
        nothing can be drawn.

    Raises
    ------
    InvalidInputError
        If there is no number, one is not finite, or the confidence is not between 0 and 1.

    Notes
    -----
    A quarter of the ``runs * tasks`` numbers, rounded down, is left off at either end. Runs are
    drawn with replacement within each task, tasks are not; the interval is between percentiles.

    References
    ----------
    Agarwal, Schwarzer, Castro, Courville & Bellemare, "Deep Reinforcement Learning at the Edge of
    the Statistical Precipice", NeurIPS 2021, arXiv 2108.13264.

    Examples
    --------
    >>> from dfl.metrics import interquartile_mean
    >>> interquartile_mean([[1.0], [2.0], [3.0], [100.0]], random_state=0).mean
    2.5
    """
    table = _table(scores, "scores")
    check_resampling(confidence, n_resamples)
    if len(table) == 1:
        return Interval(float(_middle(table)), np.nan, np.nan)
    rng = np.random.default_rng(random_state)
    blocks = _blocks(n_resamples, table.size)
    draws = np.concatenate([_middle(_resampled(table, n, rng)) for n in blocks])
    return Interval(float(_middle(table)), *percentiles(draws, confidence))


def probability_of_improvement(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: Any = None,
) -> Interval:
    """Return how probable it is that a run of one method scores higher than one of another.

    It says how often, not by how much: read it beside the difference of means.

    Parameters
    ----------
    first, second : array-like of shape (runs, tasks)
        Scores, higher is better; both have the same tasks, and may have other numbers of runs.
    confidence : float, default=0.95
        Share of the intervals that hold the true value.
    n_resamples : int, default=2000
        Times that runs are drawn anew.
    random_state : int, Generator or None
        Seeds the draws.

    Returns
    -------
    Interval
        Its ``mean`` is the probability, averaged over tasks; one half if there is no difference.
        Bounds are NaN if either method has a single run.

    Raises
    ------
    InvalidInputError
        If tasks differ, a number is not finite, or the confidence is not between 0 and 1.

    Notes
    -----
    The share of all pairs of runs of a task in which the first is higher; ties count one half. Runs
    of either method are drawn with replacement within each task.

    References
    ----------
    Agarwal, Schwarzer, Castro, Courville & Bellemare, "Deep Reinforcement Learning at the Edge of
    the Statistical Precipice", NeurIPS 2021, arXiv 2108.13264.

    Examples
    --------
    >>> from dfl.metrics import probability_of_improvement
    >>> probability_of_improvement([[1.0], [3.0]], [[0.0], [2.0]], random_state=0).mean
    0.75
    """
    a, b = _table(first, "first"), _table(second, "second")
    if a.shape[1] != b.shape[1]:
        raise InvalidInputError(
            f"got scores of {a.shape[1]} and {b.shape[1]} tasks, expected the same tasks"
        )
    check_resampling(confidence, n_resamples)
    if min(len(a), len(b)) == 1:
        return Interval(float(_higher(a, b)), np.nan, np.nan)
    rng = np.random.default_rng(random_state)
    blocks = _blocks(n_resamples, a.size * len(b))
    draws = np.concatenate([_higher(_resampled(a, n, rng), _resampled(b, n, rng)) for n in blocks])
    return Interval(float(_higher(a, b)), *percentiles(draws, confidence))


def _blocks(n_resamples: int, size: int) -> list[int]:
    """Split resamples, of so many numbers each, so that memory stays bounded."""
    most = max(1, _BLOCK // size)
    return [min(most, n_resamples - start) for start in range(0, n_resamples, most)]


def _resampled(table: Array, n: int, rng: np.random.Generator) -> Array:
    """Draw runs (n, runs, tasks) within each task."""
    return np.take_along_axis(table[None], rng.integers(len(table), size=(n, *table.shape)), 1)


def _middle(tables: Array) -> Array:
    """Interquartile means of tables (..., runs, tasks)."""
    ordered = np.sort(tables.reshape(*tables.shape[:-2], -1))
    cut = ordered.shape[-1] // 4
    return np.asarray(ordered[..., cut : ordered.shape[-1] - cut].mean(-1))


def _higher(first: Array, second: Array) -> Array:
    """Share of pairs of tables (..., runs, tasks) in which the first is higher."""
    gap = first[..., :, None, :] - second[..., None, :, :]
    return np.asarray(0.5 + 0.5 * np.sign(gap).mean((-3, -2, -1)))


def _table(scores: npt.ArrayLike, name: str) -> Array:
    try:
        table = np.asarray(scores, dtype=float)
    except ValueError as error:
        raise InvalidInputError(
            f"got {name} that are no table of numbers ({error}), expected (runs, tasks), with as "
            "many runs of each task"
        ) from error
    if table.ndim != 2 or not table.size:
        raise InvalidInputError(
            f"got {name} of shape {table.shape}, expected (runs, tasks) with at least 1 of each"
        )
    if not np.isfinite(table).all():
        run, task = np.argwhere(~np.isfinite(table))[0].tolist()
        raise InvalidInputError(
            f"{name} is {table[run, task]} in run {run} of task {task}, expected finite numbers"
        )
    return table
