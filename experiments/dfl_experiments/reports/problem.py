"""What a report says about one problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dfl import metrics
from dfl.metrics import Interval
from dfl_experiments.methods import MINIMUM
from dfl_experiments.reports import pictures
from dfl_experiments.reports.estimates import Metric, Numbers
from dfl_experiments.reports.page import Entry, Section, Sheet, difference, estimate, number
from dfl_experiments.standings import NOTHING
from dfl_experiments.summary import Row


def about(problem: str, numbers: Numbers, known: Mapping[str, Metric], main: Metric) -> Section:
    """Make the part of a report that is about one problem: a table a metric, two pictures."""
    rows = numbers.of(problem, main.name)
    drawn = [pictures.intervals(rows, main), pictures.training_time(rows, main)]
    order = [main, *(metric for metric in known.values() if metric != main)]
    sheets = [_sheet(problem, each, numbers) for each in order
              if (problem, each.name) in numbers.values]  # fmt: skip
    return Section(problem, (), sheets, [picture for picture in drawn if picture is not None])


def _sheet(problem: str, metric: Metric, numbers: Numbers) -> Sheet:
    rows, whole = numbers.of(problem, metric.name), numbers.whole(problem, metric.name)
    # no column for differences from what was not measured
    base = numbers.baseline if any(row.difference for row in rows) else None
    solved = any(row.solves for row in rows)
    columns = ["method", "mean [95 %]"]
    if base is not None:
        columns.append(f"minus {base} [95 %]")
    ranks, shares = _ranks(whole, metric), _closable(whole, metric, numbers.baseline)
    columns += ["rank"] if ranks else []
    columns += ["closable left, %"] if shares else []
    columns += ["train, s", *(["solves"] if solved else []), "seeds"]
    lines = []
    for row in rows:
        line = [Entry(row.method), estimate(Interval(*row.estimate), metric.percent)]
        if base is not None:
            gap = None if row.difference is None else Interval(*row.difference)
            line.append(difference(gap, metric.percent, metric.better))
        if ranks:
            line.append(number(ranks.get(row.method), 1))
        if shares:
            line.append(number(shares.get(row.method), 0))
        line.append(number(row.seconds))
        line += [number(row.solves, 0)] if solved else []
        line.append(number(row.n_seeds, 0))
        lines.append(line)
    sign = -1 if metric.better == "higher" else 1
    lines.sort(key=lambda line: sign * (line[1].key or 0.0))
    better = "" if metric.better is None else f"; {metric.better} is better"
    intervals = ", ".join(dict.fromkeys(row.interval for row in rows))
    caption = f"Intervals: {intervals}."
    if any(line[2].mark for line in lines if base is not None):
        caption += " Bold: the interval of the difference leaves out zero."
    if ranks:
        caption += " Rank: of the mean"
        caption += "." if len(whole) == len(rows) else ", of methods with all seeds."
    if shares:
        caption += f" Closable left: 100 is {numbers.baseline}, 0 the least possible."
    return Sheet(metric.unit + better, columns, lines, caption)


def _ranks(rows: Sequence[Row], metric: Metric) -> dict[str, float]:
    ranked = [row for row in rows if row.method != MINIMUM]
    if metric.better is None or len(ranked) < 2:
        return {}
    sign = -1 if metric.better == "higher" else 1
    from scipy.stats import rankdata

    found = rankdata([sign * row.estimate.value for row in ranked])
    return dict(zip((row.method for row in ranked), found.tolist(), strict=True))


def _closable(rows: Sequence[Row], metric: Metric, base: str | None) -> dict[str, float]:
    means = {row.method: row.estimate.value for row in rows}
    if not metric.has_minimum or not {base, MINIMUM} <= set(means):
        return {}
    if not means[str(base)] - means[MINIMUM] > NOTHING:
        return {}
    shares = metrics.closable_regret(list(means.values()), means[str(base)], means[MINIMUM])
    return dict(zip(means, (100 * shares).tolist(), strict=True))
