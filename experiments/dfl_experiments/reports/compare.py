"""Several runs side by side: the same cells, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfl import metrics
from dfl.exceptions import InvalidInputError
from dfl_experiments.reports.estimates import Metric, Numbers, metrics_of
from dfl_experiments.reports.folder import Loaded
from dfl_experiments.reports.page import Entry, Section, Sheet, difference, estimate

# values of the same cell that differ by no more are the same: sums in another order
_TOLERANCE = 1e-9


def common_metric(runs: Sequence[Loaded], wanted: str | None = None) -> Metric:
    """Return the metric that methods are ranked and runs compared by.

    Raises
    ------
    InvalidInputError
        If the runs, or the problems and methods of one, share none, or not the wanted one.
    """
    shared = [
        {name: metric for name, metric in metrics_of(run).items() if _everywhere(run, name)}
        for run in runs
    ]
    found = [name for name in shared[0] if all(name in other for other in shared)]
    if wanted is not None and wanted not in found:
        known = ", ".join(found) or "none"
        raise InvalidInputError(
            f"metric: got {wanted!r}, expected one that all of the results have: {known}"
        )
    if not found:
        for run, names in zip(runs, shared, strict=True):
            if not names:
                raise InvalidInputError(
                    f"{run.folder} mixes metrics: {', '.join(metrics_of(run))}; expected one that "
                    "all of its problems have"
                )
        have = "; ".join(f"{run.folder}: {', '.join(metrics_of(run))}" for run in runs)
        raise InvalidInputError(f"the runs have no metric in common ({have})")
    # what tells better from worse comes before what only describes
    found.sort(key=lambda name: shared[0][name].better is None)
    return shared[0][wanted or found[0]]


def _everywhere(run: Loaded, metric: str) -> bool:
    with_it = set(run.table.loc[run.table["metric"] == metric, "problem"])
    return with_it == set(run.table["problem"])


def names_of(runs: Sequence[Loaded]) -> list[str]:
    """Name the runs by their folders, as briefly as tells them apart."""
    resolved = [run.folder.resolve() for run in runs]
    for depth in range(1, max(len(path.parts) for path in resolved) + 1):
        names = ["/".join(path.parts[-depth:]) for path in resolved]
        if len(set(names)) == len(names):
            return names
    raise InvalidInputError("a folder is given twice, expected each once")


def compare(runs: Sequence[Loaded], numbers: Sequence[Numbers], metric: Metric) -> Section:
    """Put the same cells of all runs side by side, and flag what differs from the first run."""
    names = names_of(runs)
    columns = ["problem", "method", *(f"{name}: mean [95 %]" for name in names)]
    for name in names[1:]:
        columns += [f"{name} minus {names[0]}", "flag" if len(runs) == 2 else f"flag of {name}"]
    rows = {
        (row.problem, row.method): [
            *(Entry(text) for text in (row.problem, row.method)),
        ]
        for found in numbers
        for row in found.rows
        if row.metric == metric.name
    }
    flags = 0
    for found in numbers:
        means = {(r.problem, r.method): r for r in found.rows if r.metric == metric.name}
        for key, line in rows.items():
            one = means.get(key)
            line.append(
                Entry("", float("nan"))
                if one is None
                else estimate(metrics.Interval(*one.estimate), metric.percent)
            )
    for run, found in zip(runs[1:], numbers[1:], strict=True):
        changed = _changed_parameters(runs[0].table, run.table)
        for (problem, method), line in rows.items():
            seeds = [
                each.values.get((problem, metric.name), {}).get(method, {})
                for each in (numbers[0], found)
            ]
            gap, flag = _flag(seeds[0], seeds[1], changed.get((problem, method), []), metric)
            flags += flag.mark == "worse"
            line += [gap, flag]
    summary = (
        f"{len(rows)} pairs of a problem and a method, {len(runs)} runs; "
        + (f"{flags} flagged" if flags else "no difference")
        + ". Differences are taken on the seeds that both have, with 95 % intervals."
    )
    # what is flagged comes first
    order = sorted(rows.values(), key=lambda line: all(entry.mark != "worse" for entry in line))
    return Section(
        "The runs side by side",
        [summary, *(f"{name}: {run.folder}" for name, run in zip(names, runs, strict=True))],
        [Sheet(metric.unit, columns, order)],
    )


def _flag(
    first: dict[int, float] | Any, other: dict[int, float] | Any, changed: list[str], metric: Metric
) -> tuple[Entry, Entry]:
    if not first or not other:
        return difference(None, False, None), Entry("only in one", mark="worse")
    common = [seed for seed in first if seed in other]
    if not common:
        return difference(None, False, None), Entry("no common seed", mark="worse")
    gaps = [other[seed] - first[seed] for seed in common]
    away = [
        abs(gap) for gap, seed in zip(gaps, common, strict=True)
        if abs(gap) > _TOLERANCE * max(1.0, abs(first[seed]))
    ]  # fmt: skip
    gap = difference(metrics.mean_interval(gaps), metric.percent, metric.better)
    text = "; ".join(changed)
    if away:
        size = f"{100 * max(away):.3g} points" if metric.percent else f"{max(away):.3g}"
        differs = f"differs on {len(away)} of {len(common)} seeds, by up to {size}"
        return gap, Entry("; ".join(filter(None, [differs, text])), mark="worse")
    more = len(set(first) ^ set(other))
    same = f"same on {len(common)} seeds" + (f", {more} in one run only" if more else "")
    return gap, Entry("; ".join(filter(None, [same, text])), mark="worse" if text or more else "")


def _changed_parameters(first: Any, other: Any) -> dict[tuple[str, str], list[str]]:
    """Find parameters, by problem and method, that two runs gave different values."""
    prefixes = ("problem.", "method.")
    columns = [c for c in first.columns if c in other.columns and c.startswith(prefixes)]
    both = first.merge(other, on=["problem", "method", "seed", "metric"], suffixes=("", " new"))
    found: dict[tuple[str, str], list[str]] = {}
    for name in columns:
        old, new = both[name], both[f"{name} new"]
        changed = both[(old != new) & ~(old.isna() & new.isna())].drop_duplicates(
            ["problem", "method"]
        )
        for line in changed.to_dict("records"):
            text = f"{name} {line[name]} → {line[f'{name} new']}"
            found.setdefault((line["problem"], line["method"]), []).append(text)
    return found
