"""How methods stand over several data sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from dfl.exceptions import InvalidInputError
from dfl.metrics.statistics import check_resampling
from dfl_solvers.oracle import Array


@final
@dataclass(frozen=True)
class RankComparison:
    """Mean ranks of methods over data sets, and what differences of them mean.

    Attributes
    ----------
    ranks : tuple of float
        Mean rank of each method; 1 is the best.
    critical_difference : float
        Two methods differ significantly if their mean ranks are further apart (Nemenyi).
    statistic : float
        Friedman's, corrected for ties; zero if all methods tie everywhere.
    p_value : float
        Of the hypothesis that no method is better than another, from the chi-squared approximation.
    """

    ranks: tuple[float, ...]
    critical_difference: float
    statistic: float
    p_value: float


def compare_ranks(scores: npt.ArrayLike, *, confidence: float = 0.95) -> RankComparison:
    """Rank methods on each data set, and test whether they differ.

    Use it for results on many data sets, whose regrets have no common scale. It says who wins more
    often, not by how much: read it beside the regrets.

    Parameters
    ----------
    scores : array-like of shape (n_data_sets, n_methods)
        Regret, or anything else of which less is better; a mean over seeds first, since runs on one
        data set are not independent.
    confidence : float, default=0.95
        Of the critical difference.

    Returns
    -------
    RankComparison
        Mean ranks, the test and the difference that counts.

    Raises
    ------
    InvalidInputError
        If there are fewer than two data sets or methods, or a score is not finite.

    Notes
    -----
    Ties share their mean rank. The critical difference is ``q sqrt(k (k + 1) / (6 N))`` for k
    methods on N data sets, with q the quantile of the studentized range at infinitely many degrees
    of freedom, divided by the root of two. Friedman's p-value is approximate: about right from ten
    data sets, or from six methods.

    References
    ----------
    Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006.

    Examples
    --------
    >>> from dfl.metrics import compare_ranks
    >>> found = compare_ranks([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [2.0, 4.0, 6.0]])
    >>> [round(rank, 2) for rank in found.ranks], round(found.critical_difference, 2)
    ([1.0, 2.33, 2.67], 1.91)
    """
    from scipy.stats import chi2, rankdata, studentized_range

    table = np.asarray(scores, dtype=float)
    if table.ndim != 2 or min(table.shape) < 2:
        raise InvalidInputError(
            f"compare_ranks: got scores of shape {table.shape}, expected (n_data_sets, n_methods) "
            "with at least 2 of each"
        )
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0].tolist()
        raise InvalidInputError(
            f"compare_ranks: the score of method {column} on data set {row} is "
            f"{table[row, column]}, expected finite numbers"
        )
    check_resampling(confidence, 1)
    n, k = table.shape
    ranks: Array = rankdata(table, axis=1)
    mean = ranks.mean(axis=0)
    # within a data set, ranks vary by k (k + 1) / 12 without ties, and by less with them
    spread = float(ranks.var(axis=1, ddof=1).mean())
    statistic = n * float(((mean - (k + 1) / 2) ** 2).sum()) / spread if spread > 0 else 0.0
    quantile = float(studentized_range.ppf(confidence, k, np.inf)) / 2**0.5
    return RankComparison(
        tuple(mean.tolist()),
        quantile * (k * (k + 1) / (6 * n)) ** 0.5,
        statistic,
        float(chi2.sf(statistic, k - 1)),
    )


def closable_regret(regret: npt.ArrayLike, least_squares: float, minimum: float) -> Array:
    """Return which share of the regret that could be avoided is left.

    Normalized regrets of several data sets differ mostly by noise, which no method can avoid; these
    shares can be averaged.

    Parameters
    ----------
    regret : array-like
        Of methods on a data set.
    least_squares : float
        Regret of predicting by least squares, then optimizing.
    minimum : float
        The least regret possible, such as that of deciding for E[c | x].

    Returns
    -------
    ndarray
        ``(regret - minimum) / (least_squares - minimum)``: 1 is no better than least squares, 0 is
        all that is possible.

    Raises
    ------
    InvalidInputError
        If least squares is not above the minimum: there is nothing to close.

    Examples
    --------
    >>> from dfl.metrics import closable_regret
    >>> closable_regret([0.09, 0.07], least_squares=0.09, minimum=0.05)
    array([1. , 0.5])
    """
    if not least_squares > minimum:
        raise InvalidInputError(
            f"closable_regret: got least_squares={least_squares} and minimum={minimum}, expected "
            "least squares above the minimum; here there is nothing to close"
        )
    return (np.asarray(regret, dtype=float) - minimum) / (least_squares - minimum)
