"""Make the public page of ``dfl sweep rerun`` from its folder.

``python experiments/benchmarks/rerun.py runs/rerun-572bc35b`` writes ``docs/_generated/rerun_*.md``
and ``docs/images/rerun_*.png``. Nothing is computed but means, ranks and intervals; all of it comes
from ``results.parquet``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dfl import metrics
from dfl.exceptions import DFLError
from dfl.plotting import CriticalDifferenceDisplay
from dfl_experiments.methods import MINIMUM
from dfl_experiments.report import new_figure, png_bytes
from dfl_experiments.reports.build import build
from dfl_experiments.reports.folder import load
from dfl_experiments.reports.markdown import markdown
from dfl_experiments.reports.page import Entry, Page, Section, Sheet, number
from dfl_experiments.reports.page import estimate as shown
from dfl_experiments.standings import NOTHING
from dfl_experiments.summary import student
from dfl_experiments.sweep.expand import family as split_name

DOCS = Path(__file__).parents[2] / "docs"
BASE = "least squares"
METRIC = "normalized-regret"


@dataclass(frozen=True)
class Field:
    """The means of a sweep: ``means`` by problem, family and class of predictors.

    A two-stage regressor has no class; it is the same in every one.
    """

    means: dict[tuple[str, str, str], float]
    table: Any
    problems: list[str]
    predictors: list[str]
    families: list[str]

    def blocks(self) -> list[tuple[str, str]]:
        """Every problem with every class of predictors."""
        return [(problem, one) for problem in self.problems for one in self.predictors]

    def left(self, problem: str, family: str, predictor: str) -> float | None:
        """Share of the closable regret that is left; None where it is not known."""
        least = self.means.get((problem, MINIMUM, predictor))
        plain = self.means.get((problem, BASE, predictor))
        own = self.means.get((problem, family, predictor))
        if least is None or plain is None or own is None or plain - least <= NOTHING:
            return None
        return float(metrics.closable_regret([own], plain, least)[0])

    def everywhere(self) -> list[str]:
        """Families with all results in every block."""
        return [
            name
            for name in self.families
            if all((problem, name, one) in self.means for problem, one in self.blocks())
        ]


def gather(table: Any) -> Field:
    """Take means over seeds of what has a result on every seed."""
    import pandas as pd

    own = table[table.metric == METRIC].copy()
    n_seeds = own.seed.nunique()
    problems = list(dict.fromkeys(own.problem))
    predictors = list(dict.fromkeys(own.predictor.dropna()))
    means: dict[tuple[str, str, str], float] = {}
    for (problem, family, predictor), part in own.groupby(
        ["problem", "family", "predictor"], dropna=False, sort=False
    ):
        if len(part) == n_seeds:
            for one in predictors if pd.isna(predictor) else [predictor]:
                means[problem, family, one] = float(part.value.mean())
    families = [name for name in dict.fromkeys(own.family) if name != MINIMUM]
    return Field(means, own, problems, predictors, families)


def losses(field: Field) -> tuple[Section, Any]:
    """Make the table of families over all blocks, and the picture of their ranks."""
    ranked, blocks = field.everywhere(), field.blocks()
    found = metrics.compare_ranks(
        [[field.means[problem, name, one] for name in ranked] for problem, one in blocks]
    )
    place = dict(zip(ranked, found.ranks, strict=True))
    spent = field.table.groupby("family")[["seconds", "solves"]].mean()
    rows = []
    for name in field.families:
        there = sum((problem, name, one) in field.means for problem, one in blocks)
        line = [Entry(name), number(place.get(name), 1), number(there, 0)]
        for one in field.predictors:
            shares = [field.left(problem, name, one) for problem in field.problems]
            known = [100 * share for share in shares if share is not None]
            line.append(number(float(np.median(known)) if known else None, 0))
        line.append(number(float(spent.seconds[name])))
        line.append(number(float(spent.solves[name]), 0))
        rows.append(line)
    rows.sort(key=lambda line: line[1].key if line[1].text else 1e9)
    columns = ["loss or regressor", "mean rank", "of"]
    columns += [f"closable left, {one}, %" for one in field.predictors] + ["train, s", "solves"]
    caption = (
        f"Mean ranks of the mean regret over {len(blocks)} blocks, a problem with a class of "
        f"predictors each ({', '.join(field.predictors)}). Ranks further apart than "
        f"{found.critical_difference:.1f} differ at 5 % (Nemenyi); Friedman's p = "
        f"{found.p_value:.1g}. Both take blocks as independent, which those of one problem are "
        "not, so that true uncertainty is larger. Only what has all results in every block is "
        "ranked; “of” says in how many it has them. Closable left: the median over problems of the "
        f"share of the regret between {BASE} (100) and the true expected costs (0) that is left. "
        "Seconds are of one training; solves are calls of the oracle in it."
    )
    figure, panels = new_figure(1, 1, 6.4, 1.2 + 0.24 * len(ranked))
    CriticalDifferenceDisplay(place, found.critical_difference).plot(panels[0, 0])
    return Section("Every loss, over all problems", (), [Sheet("", columns, rows, caption)]), figure


def tables(field: Field) -> Section:
    """Make a table a problem: a line a family, a column a class of predictors."""
    sheets = []
    for problem in field.problems:
        own = field.table[field.table.problem == problem]
        rows = []
        for name in [*field.families, MINIMUM]:
            part = own[own.family == name]
            if not len(part):
                continue
            entries = []
            for one in field.predictors:
                values = part[(part.predictor == one) | part.predictor.isna()].value
                entries.append(_interval(values))
            rows.append([Entry(name), *entries])
        rows.sort(key=lambda line: min((e.key for e in line[1:] if e.text), default=1e9))
        single = not own.draws_data.astype(bool).all()
        caption = "Normalized regret in percent, mean [95 %] over seeds"
        caption += ", which split the same days anew: too narrow." if single else "."
        sheets.append(Sheet(problem, ["loss or regressor", *field.predictors], rows, caption))
    return Section("Each problem", (), sheets)


def _interval(values: Any) -> Entry:
    if not len(values):
        return Entry("", float("nan"))
    found = student([float(value) for value in values])
    return shown(metrics.Interval(*found), percent=True)


def heat(field: Field) -> Any:
    """Draw what is left of the closable regret, by family and problem, a panel a class."""
    order = sorted(field.families, key=lambda name: _typical(field, name))
    known = [p for p in field.problems if field.left(p, BASE, field.predictors[0]) is not None]
    figure, panels = new_figure(1, len(field.predictors), 3.4, 1.9 + 0.21 * len(order))
    for one, ax in zip(field.predictors, panels[0], strict=True):
        grid = [[field.left(problem, name, one) for problem in known] for name in order]
        values = 100 * np.array(grid, dtype=float)
        ax.set_facecolor("0.85")  # what has no result
        image = ax.imshow(values, cmap="RdBu_r", vmin=0, vmax=200, aspect="auto")
        ax.set_xticks(range(len(known)), known, rotation=90)
        ax.set_yticks(range(len(order)), order if ax is panels[0, 0] else [""] * len(order))
        ax.set_title(one)
    bar = figure.colorbar(image, ax=panels[0].tolist(), extend="max", shrink=0.5)
    bar.set_label(f"closable regret left, % ({BASE}: 100)")
    return figure


def _typical(field: Field, name: str) -> float:
    shares = [field.left(problem, name, one) for problem, one in field.blocks()]
    known = [share for share in shares if share is not None]
    return float(np.median(known)) if known else float("inf")


def missing(failures: Sequence[Any]) -> Section:
    """Make the table of what cannot run or did not end: a line a reason and family."""
    by: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for one in failures:
        problem, _, rest = one.cell.partition(", ")
        if ", trial " in rest:  # what only some trials came to
            continue
        name, predictor = split_name(rest)
        part = by.setdefault((name, one.kind, one.reason), {}).setdefault(problem, [])
        if predictor is not None and predictor not in part:
            part.append(predictor)
    rows = [
        [
            Entry(name),
            Entry("; ".join(f"{key} ({', '.join(own)})" for key, own in problems.items())),
            Entry(f"{kind}: {reason}"),
        ]
        for (name, kind, reason), problems in by.items()
    ]
    return Section("What has no result", (), [Sheet("", ["loss", "on", "why"], rows)])


def main() -> None:
    """Write the parts of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    try:
        run = load(folder)
    except DFLError as error:
        parser.error(str(error))
    if run.record.get("finished") is None:
        parser.error(f"{folder} is not finished: run its sweep again, it goes on where it was")
    page = build([folder], metric=METRIC)
    field = gather(run.table)
    overall, ranks = losses(field)
    plain = [section for section in page.sections if section.title == "In plain words"]
    for name, sections in {
        "answer": plain,
        "losses": [overall],
        "problems": [tables(field)],
        "missing": [missing(run.failures)],
    }.items():
        text = markdown(Page("", [], sections), {})
        body = text.split("\n", 1)[1].lstrip()
        (DOCS / "_generated" / f"rerun_{name}.md").write_text(body, encoding="utf-8")
    for name, figure in {"ranks": ranks, "shares": heat(field)}.items():
        (DOCS / "images" / f"rerun_{name}.png").write_bytes(png_bytes(figure))
    record = run.record
    print(f"{len(field.blocks())} blocks; {record.get('commit')}, {record.get('finished')}")


if __name__ == "__main__":
    main()
