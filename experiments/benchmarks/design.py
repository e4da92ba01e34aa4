"""Run the studies of sequential design and write what they showed as tables in Markdown.

Run ``python experiments/benchmarks/design.py docs/_generated/design.md``; the studies of language
models read or download their data. With ``--keep FOLDER`` finished cells are kept there.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from dfl_experiments import cli

RECIPES = (
    "design-scale-decoys",
    "design-misspecified",
    "design-stopping",
    "design-tabular",
    "design-linear",
    "llm-allocation",
    "llm-routing",
)
# claims of the documentation: recipe, problem, labels, first and second method, bound on the ratio
CLAIMS = (
    ("design-scale-decoys", "scale-decoys", 50, "directional", "l2", 0.85),
    ("design-scale-decoys", "scale-decoys", 200, "directional", "l2", 1.0),
    ("design-scale-decoys", "scale-decoys", 50, "directional", "random", 1.0),
    ("design-scale-decoys", "scale-decoys", 200, "directional", "random", None),
    ("design-scale-decoys", "scale-decoys", 50, "random, squared loss", "directional", None),
    ("design-misspecified", "misspecified", 200, "directional", "directional, squared loss", 0.2),
    ("design-misspecified", "misspecified", 200, "directional", "l2, squared loss", 0.2),
    ("design-misspecified", "misspecified", 200, "l2", "directional, squared loss", 0.2),
    ("design-misspecified", "misspecified", 200, "l2", "l2, squared loss", 0.2),
    ("design-misspecified", "misspecified", 200, "directional", "random", None),
    ("design-tabular", "tabular-ball", 400, "integrated-regret", "uniform", 1.0),
    ("design-tabular", "tabular-ball", 400, "integrated-directional", "uniform", None),
    ("design-tabular", "tabular-ball", 400, "greedy directional", "uniform", None),
    ("design-linear", "linear-costs-spread-0", 60, "integrated-directional", "d-optimal", 1.15),
    ("design-linear", "linear-costs-spread-0.8", 60, "integrated-directional", "d-optimal", None),
    ("design-linear", "linear-costs-spread-0", 20, "greedy directional", "random", None),
)


def ratio(results: Any, problem: str, labels: int, first: str, second: str) -> tuple[float, ...]:
    """Return the ratio of mean regrets with its 95 % bootstrap interval over seeds, paired."""
    own = results[(results.metric == "regret") & (results.labels == labels)]
    wide = own[own.problem == problem].pivot(index="seed", columns="method", values="value")
    a, b = wide[first].to_numpy(), wide[second].to_numpy()
    rows = np.random.default_rng(0).integers(len(a), size=(10_000, len(a)))
    draws = a[rows].mean(1) / b[rows].mean(1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(a.mean() / b.mean()), float(low), float(high)


def claims(folder: Path) -> list[str]:
    """Make the table of ratios."""
    lines = [
        "| study | labels | regret of | over that of | ratio [95 %] | expected |",
        "|---|---|---|---|---|---|",
    ]
    for recipe, problem, labels, first, second, bound in CLAIMS:
        results = pandas.read_parquet(folder / recipe / "results.parquet")
        value, low, high = ratio(results, problem, labels, first, second)
        expected = "" if bound is None else f"at most {bound:g}"
        lines.append(
            f"| {problem} | {labels} | {first} | {second} | {value:.2f} [{low:.2f}, {high:.2f}] | "
            f"{expected} |"
        )
    return lines


def stopping(folder: Path) -> list[str]:
    """Make the table of the stopping rules: medians, and who stops first on the same seed."""
    results = pandas.read_parquet(folder / "design-stopping" / "results.parquet")
    once = results[results.labels.isna()]
    wide = once.pivot(index=["method", "seed"], columns="metric", values="value")
    stopped = once.pivot(index=["method", "seed"], columns="metric", values="stopped")
    methods = list(dict.fromkeys(results.method))
    rules = ("slack", "consensus", "mean-uncertainty")
    lines = [
        "| method | " + " | ".join(f"labels to {rule}" for rule in rules) + " | regret at slack | "
        "best kept | never later than by slack |",
        "|---|" + "---|" * (len(rules) + 3),
    ]
    first = wide.loc[methods[0], "labels-to-slack"]
    for method in methods:
        own = wide.loc[method]
        cells = []
        for rule in rules:
            found = own[f"labels-to-{rule}"]
            never = int((~stopped.loc[method, f"labels-to-{rule}"].astype(bool)).sum())
            text = f"{found.median():.0f}"
            cells.append(f"{text} ({never} of {len(found)} not at all)" if never else text)
        before = int((first <= own["labels-to-slack"]).sum())
        verdict = "" if method == methods[0] else f"{before} of {len(own)} seeds"
        lines.append(
            f"| {method} | {' | '.join(cells)} | {own['regret-at-slack'].mean():.4f} | "
            f"{int(own['best-kept'].sum())} of {len(own)} | {verdict} |"
        )
    return lines


def table(summary: Path) -> list[str]:
    """Turn a ``summary.csv`` into a table: a line a method, a column a number of labels."""
    with open(summary, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "regret"]
    lines = []
    for problem in dict.fromkeys(row["problem"] for row in rows):
        own = [row for row in rows if row["problem"] == problem]
        marks = list(dict.fromkeys(row["labels"] for row in own))
        lines += [
            f"**{problem}**, {own[0]['n_seeds']} seeds: mean regret, and the difference to the "
            "baseline after the last label",
            "",
            "| method | "
            + " | ".join(f"{mark} labels" for mark in marks)
            + " | difference [95 %] |",
            "|---|" + "---|" * (len(marks) + 1),
        ]
        for method in dict.fromkeys(row["method"] for row in own):
            line = {row["labels"]: row for row in own if row["method"] == method}
            means = [f"{float(line[mark]['mean']):.4f}" for mark in marks]
            last, gap = line[marks[-1]], ""
            if last["difference"]:
                keys = ("difference", "difference_low", "difference_high")
                gap = "{:+.4f} [{:+.4f}, {:+.4f}]".format(*(float(last[key]) for key in keys))
            lines.append(f"| {method} | {' | '.join(means)} | {gap} |")
        lines.append("")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every recipe and write the tables; return the first exit code that is not 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--keep", type=Path, help="folder of the runs")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        for name in RECIPES:
            code = cli.main(["run", name, "--out", str(folder / name), "--quiet"])
            if code:
                return code
        pages = ["### Ratios of mean regrets", "", *claims(folder), ""]
        pages += ["### When to stop", "", *stopping(folder), ""]
        for name in RECIPES:
            pages += [f"### {name}", "", *table(folder / name / "summary.csv")]
    given.target.parent.mkdir(parents=True, exist_ok=True)
    given.target.write_text("\n".join(pages).rstrip() + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
