"""How the methods of a run stand over all of its problems."""

from __future__ import annotations

from dfl_experiments.methods import MINIMUM
from dfl_experiments.reports import pictures
from dfl_experiments.reports.estimates import Metric, Numbers
from dfl_experiments.reports.page import Entry, Section, Sheet, number
from dfl_experiments.standings import MARGIN, Standings, standings


def overall(numbers: Numbers, metric: Metric) -> Section | None:
    """Make the table of ranks and their picture; None where nothing can be ranked."""
    found = _standings(numbers, metric)
    if found is None:
        return None
    columns = ["method", "mean rank", "problems"]
    if metric.percent and metric.better == "lower":
        columns.append(f"at most {100 * MARGIN:.1f} points worse than the best other, on")
    shares = metric.has_minimum and any(share is not None for share in found.closable)
    columns += ["closable left, %"] if shares else []
    columns += ["train, s", "solves"]
    rows = []
    for place, method in enumerate(found.methods):
        own = [row for row in numbers.rows if (row.method, row.metric) == (method, metric.name)]
        line = [Entry(method), number(found.ranks.ranks[place]), number(len(own), 0)]
        if metric.percent and metric.better == "lower":
            line.append(number(found.n_close[place], 0))
        if shares:
            share = found.closable[place]
            line.append(number(None if share is None else 100 * share, 0))
        line.append(number(sum(row.seconds for row in own) / len(own)))
        line.append(number(sum(row.solves for row in own) / len(own), 0))
        rows.append(line)
    rows.sort(key=lambda line: line[1].key or 0.0)
    caption = (
        f"Mean ranks further apart than {found.ranks.critical_difference:.2f} differ at 5 % "
        f"(Nemenyi); Friedman's p = {found.ranks.p_value:.2g}. Ranks are of means over seeds."
    )
    if shares:
        caption += (
            f" Closable left: 100 is {numbers.baseline}, 0 the least possible; the mean over "
            "problems where there is anything to close."
        )
    left_out = _left_out(found, numbers, metric)
    return Section(
        f"Over {found.n_problems} problems",
        left_out,
        [Sheet(metric.unit, columns, rows, caption)],
        [pictures.ranks(found)],
    )


def _standings(numbers: Numbers, metric: Metric) -> Standings | None:
    """Rank the methods over the problems; None where there are fewer than two of either.

    Ranks need every method on every problem, with all seeds. Where results are missing, what lacks
    the largest share of its results is left out, a problem or a method, until none is missing.
    """
    if metric.better is None:
        return None
    there, problems, methods = _there(numbers, metric)
    while problems and methods:
        lacking = [
            (sum((p, m) not in there for m in methods) / len(methods), p, problems)
            for p in problems
        ] + [
            (sum((p, m) not in there for p in problems) / len(problems), m, methods)
            for m in methods
        ]  # fmt: skip
        share, name, among = max(lacking, key=lambda each: each[0])
        if share == 0:
            break
        among.remove(name)
    rows = [row for row in numbers.rows if row.problem in problems]
    return standings(rows, metric.name, methods, numbers.baseline, higher=metric.better == "higher")


def _there(numbers: Numbers, metric: Metric) -> tuple[set[tuple[str, str]], list[str], list[str]]:
    pairs = [
        (row.problem, row.method)
        for problem, name in numbers.values
        for row in numbers.whole(problem, name)
        if name == metric.name and row.method != MINIMUM
    ]
    return (
        set(pairs),
        list(dict.fromkeys(p for p, _ in pairs)),
        list(dict.fromkeys(m for _, m in pairs)),
    )


def _left_out(found: Standings, numbers: Numbers, metric: Metric) -> list[str]:
    _, problems, methods = _there(numbers, metric)
    missing = [name for name in methods if name not in found.methods]
    said = []
    if missing:
        said.append(
            f"Without all results on every problem, and so not ranked: {'; '.join(missing)}."
        )
    if found.n_problems < len(problems):
        said.append(
            f"{len(problems) - found.n_problems} of {len(problems)} problems are left out of the "
            "ranks: some methods have not all results there."
        )
    return said
