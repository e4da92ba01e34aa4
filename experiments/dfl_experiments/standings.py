"""How methods stand over all problems of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from dfl_experiments.methods import MINIMUM
from dfl_experiments.summary import Row

if TYPE_CHECKING:
    from dfl.metrics import RankComparison

# a method that is worse than the best other one by no more than this is as good (a share)
MARGIN = 0.003
# where least squares is not above the minimum by more than this, there is nothing to close
NOTHING = 0.001


@final
@dataclass(frozen=True)
class Standings:
    """Methods over problems, by the first metric of a run.

    Attributes
    ----------
    metric : str
    methods : list of str
    n_problems : int
    ranks : RankComparison
        Of the means over seeds.
    n_close : list of int
        On how many problems a method is at most 0.3 points worse than the best of the others.
    closable : list of float or None
        Mean share of the closable regret that is left, over the problems that have any; None
        without least squares or without a known minimum.
    """

    metric: str
    methods: list[str]
    n_problems: int
    ranks: RankComparison
    n_close: list[int]
    closable: list[float | None]


def standings(
    rows: Sequence[Row],
    metric: str,
    methods: Sequence[str],
    base: str | None,
    *,
    higher: bool = False,
) -> Standings | None:
    """Compare methods over problems; None if there are fewer than two of either.

    Parameters
    ----------
    rows : sequence of Row
        The summary of results. Problems on which a method failed are left out.
    metric : str
        Name of the measure to compare by.
    methods : sequence of str
        Names of those that take part.
    base : str or None
        Least squares, or the method that takes its place.
    higher : bool
        Whether more is better.

    Returns
    -------
    Standings or None
        Over the problems on which every method has a result.
    """
    import numpy as np

    from dfl import metrics

    sign = -1.0 if higher else 1.0
    means = {
        (row.problem, row.method): sign * row.estimate.value for row in rows if row.metric == metric
    }
    parts = [
        part
        for part in dict.fromkeys(row.problem for row in rows)
        if all((part, name) in means for name in methods)
    ]
    if len(parts) < 2 or len(methods) < 2:
        return None
    table = np.array([[means[part, name] for name in methods] for part in parts])
    others = np.array([np.delete(table, k, axis=1).min(axis=1) for k in range(len(methods))]).T
    closable: list[float | None] = [None] * len(methods)
    if base is not None:
        shares = [
            metrics.closable_regret(line, means[part, base], means[part, MINIMUM])
            for part, line in zip(parts, table, strict=True)
            if (part, MINIMUM) in means
            and (part, base) in means
            and means[part, base] - means[part, MINIMUM] > NOTHING
        ]
        if shares:
            closable = np.mean(shares, axis=0).tolist()
    return Standings(
        metric,
        list(methods),
        len(parts),
        metrics.compare_ranks(table),
        (table <= others + MARGIN).sum(axis=0).tolist(),
        closable,
    )
