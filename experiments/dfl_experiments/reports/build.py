"""A report from the runs in some folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dfl_experiments.methods import MINIMUM
from dfl_experiments.reports import plain_words
from dfl_experiments.reports.compare import common_metric, compare, names_of
from dfl_experiments.reports.estimates import Metric, Numbers, estimate, metrics_of
from dfl_experiments.reports.failures import failures_section
from dfl_experiments.reports.folder import Loaded, load
from dfl_experiments.reports.overall import overall
from dfl_experiments.reports.page import Entry, Page, Section, Sheet
from dfl_experiments.reports.problem import about
from dfl_experiments.reports.verdict import kinds_of, verdicts
from dfl_experiments.summary import OVER_SEEDS, Row


def build(
    folders: Sequence[Path], *, baseline: str | None = None, metric: str | None = None
) -> Page:
    """Read runs and make their report.

    Parameters
    ----------
    folders : sequence of Path
        One: its report. Several: they are also put side by side.
    baseline : str, optional
        The method that others are compared with; default: least squares.
    metric : str, optional
        What methods are ranked by; default: the first that all results have, one that tells
        better from worse if there is any.

    Raises
    ------
    InvalidInputError
        If a folder holds no run or no result, or the runs have no metric in common.
    """
    runs = [load(folder) for folder in folders]
    names = names_of(runs)
    main = common_metric(runs, metric)
    numbers = [estimate(run, baseline) for run in runs]
    title = runs[0].name if len(runs) == 1 else "Comparison of " + ", ".join(names)
    page = Page(title, [text for run in runs for text in run.warnings])
    if len(runs) > 1:
        page.sections.append(compare(runs, numbers, main))
    for run, name, own in zip(runs, names, numbers, strict=True):
        prefix = f"{name}: " if len(runs) > 1 else ""
        page.sections.extend(
            replace(section, title=prefix + section.title) for section in _run(run, own, main)
        )
    return page


def _run(run: Loaded, numbers: Numbers, main: Metric) -> list[Section]:
    problems = list(dict.fromkeys(run.table["problem"]))
    known = metrics_of(run)
    sections = [
        _answer(run, numbers, main),
        overall(numbers, main),
        *(about(problem, numbers, known, main) for problem in problems),
        failures_section(run.failures),
        _provenance(run),
    ]
    return [section for section in sections if section is not None]


def _answer(run: Loaded, numbers: Numbers, main: Metric) -> Section | None:
    found = verdicts(run.table, numbers, main) if main.better == "lower" else []
    if not found:
        return None
    whole = [one for one in found if one.predictor is None]
    base = found[0].baseline
    wins = [
        problem
        for problem, name in numbers.values
        if name == main.name and _least(numbers.whole(problem, name)) == base
    ]
    others = [name for name, kind in kinds_of(run.table).items() if kind == "two-stage"]
    n_seeds = min(row.n_seeds for row in numbers.rows if row.method == base)
    paragraphs = [
        plain_words.answer(whole, main, _tuning(run, [m for m in others if m != base])),
        plain_words.by_predictor(found, main),
        plain_words.least_squares_wins(wins, base),
        plain_words.how_chosen(n_seeds),
        plain_words.one_data_set(_same_data(numbers, main, [one.problem for one in whole])),
    ]
    return Section(
        "In plain words",
        [text for text in paragraphs if text],
        [plain_words.sheet(found, main)],
    )


def _same_data(numbers: Numbers, main: Metric, problems: Sequence[str]) -> list[str]:
    """Return the problems of which several seeds share the data."""
    return [
        problem
        for problem in problems
        if any(
            row.n_seeds > 1 and row.interval != OVER_SEEDS for row in numbers.of(problem, main.name)
        )
    ]


def _least(rows: Sequence[Row]) -> str | None:
    ranked = [row for row in rows if row.method != MINIMUM]
    best = min(ranked, key=lambda row: row.estimate.value, default=None)
    return None if best is None else best.method


def _tuning(run: Loaded, methods: Sequence[str]) -> str:
    """Say how methods were tuned, by what the results record of it."""
    trials = run.trials[run.trials["method"].isin(methods)]
    if len(trials):
        most = int(trials.groupby(["problem", "method", "seed"])["trial"].nunique().max())
        return f"tuned by validation regret, up to {most} trials each"
    if "method.learning_rate" in run.table.columns:
        rates = run.table.loc[run.table["method"].isin(methods), "method.learning_rate"]
        # several rates to choose from are kept as a list
        if rates.astype(str).str.startswith("[").any():
            return "those that learn by steps with the rate chosen by validation regret"
    return "as configured in this run"


def _provenance(run: Loaded) -> Section | None:
    record = run.record
    if not record:
        return None
    versions = record.get("versions") or {}
    facts = {
        "command": " ".join(map(str, record.get("command") or ())),
        "folder": str(run.folder),
        "started": record.get("started"),
        "finished": record.get("finished") or "not yet",
        "commit": record.get("commit"),
        "cells": (record.get("cells") or {}).get("total"),
        "versions": ", ".join(f"{name} {value}" for name, value in versions.items()),
    }
    rows = [[Entry(name), Entry(str(value))] for name, value in facts.items() if value]
    return Section("How it was made", (), [Sheet("", ["", ""], rows)])
