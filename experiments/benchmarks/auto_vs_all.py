"""The automatic choice beside single methods on 32 problems, and the published numbers of each.

Runs ``dfl run auto-vs-all`` in the folder ``runs/auto-vs-all``, where a stopped run goes on, and
writes its table. It takes five minutes on sixteen cores and up to a few hours on two busy ones.

Run ``python experiments/benchmarks/auto_vs_all.py [--write docs/_generated/auto_vs_all.md]``.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from _common import report

from dfl.exceptions import DFLError
from dfl.metrics import mean_interval
from dfl_experiments import cli

FOLDER = Path("runs/auto-vs-all")
BASELINE, CHOICE, MINIMUM = "least squares", "auto", "theoretical minimum"
# mean regret in % by kind, rows, noise and degree: least squares, random forest, two-stage models
# chosen by their squared error, SPO+; results files of the authors of PyEPO (arXiv 2206.14234)
PUBLISHED = {
    ("shortest-path", 100, 0.0, 1): (0.00, 0.78, 0.00, 0.38),
    ("shortest-path", 100, 0.0, 2): (0.16, 1.84, 0.00, 0.73),
    ("shortest-path", 100, 0.0, 4): (2.03, 4.94, 0.34, 1.92),
    ("shortest-path", 100, 0.0, 6): (6.57, 10.63, 2.74, 4.71),
    ("shortest-path", 100, 0.5, 1): (16.89, 19.45, 18.36, 18.45),
    ("shortest-path", 100, 0.5, 2): (11.46, 15.65, 12.32, 13.37),
    ("shortest-path", 100, 0.5, 4): (9.85, 15.13, 9.55, 10.55),
    ("shortest-path", 100, 0.5, 6): (14.03, 19.91, 11.22, 12.46),
    ("shortest-path", 1000, 0.0, 1): (0.00, 0.13, 0.01, 0.04),
    ("shortest-path", 1000, 0.0, 2): (0.14, 0.34, 0.00, 0.13),
    ("shortest-path", 1000, 0.0, 4): (1.81, 1.01, 0.09, 0.64),
    ("shortest-path", 1000, 0.0, 6): (6.40, 2.37, 0.26, 1.93),
    ("shortest-path", 1000, 0.5, 1): (15.44, 17.49, 17.03, 16.04),
    ("shortest-path", 1000, 0.5, 2): (10.59, 12.08, 11.50, 10.89),
    ("shortest-path", 1000, 0.5, 4): (8.82, 8.98, 8.76, 7.74),
    ("shortest-path", 1000, 0.5, 6): (12.64, 9.53, 9.18, 8.21),
    ("knapsack", 100, 0.0, 1): (0.28, 1.28, 0.29, 1.17),
    ("knapsack", 100, 0.0, 2): (0.34, 2.98, 0.37, 1.12),
    ("knapsack", 100, 0.0, 4): (3.43, 9.22, 0.86, 1.53),
    ("knapsack", 100, 0.0, 6): (11.12, 16.68, 3.21, 2.80),
    ("knapsack", 100, 0.5, 1): (17.65, 19.89, 16.52, 18.99),
    ("knapsack", 100, 0.5, 2): (13.46, 17.26, 13.85, 14.93),
    ("knapsack", 100, 0.5, 4): (12.71, 18.98, 11.93, 11.80),
    ("knapsack", 100, 0.5, 6): (17.88, 23.96, 12.82, 11.40),
    ("knapsack", 1000, 0.0, 1): (0.25, 0.33, 0.35, 0.62),
    ("knapsack", 1000, 0.0, 2): (0.27, 0.55, 0.49, 0.48),
    ("knapsack", 1000, 0.0, 4): (2.09, 1.37, 0.78, 0.42),
    ("knapsack", 1000, 0.0, 6): (7.21, 3.46, 0.91, 0.75),
    ("knapsack", 1000, 0.5, 1): (16.09, 17.92, 15.95, 16.83),
    ("knapsack", 1000, 0.5, 2): (12.01, 13.70, 13.06, 12.50),
    ("knapsack", 1000, 0.5, 4): (10.43, 11.04, 10.38, 9.22),
    ("knapsack", 1000, 0.5, 6): (13.93, 11.63, 9.98, 8.13),
}  # fmt: skip


def line(key: tuple[str, int, float, int], regrets: pd.DataFrame) -> str:
    """Make the row of a problem from regrets in % by seed (rows) and method (columns)."""
    kind, rows, noise, degree = key
    means = regrets.mean()
    single = means.drop([CHOICE, MINIMUM]).idxmin()
    gap = mean_interval((regrets[CHOICE] - regrets[single]).to_numpy())
    published = " / ".join(f"{value:.2f}" for value in PUBLISHED[key])
    return (
        f"| {kind} | {rows} | {degree} | {noise:g} | {means[BASELINE]:.2f} | {single} | "
        f"{means[single]:.2f} | {means[CHOICE]:.2f} | {means[MINIMUM]:.2f} | "
        f"{gap.mean:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}] | {published} |"
    )


def table() -> str:
    """Run the recipe, and return its result as a table in Markdown."""
    if code := cli.main(["run", "auto-vs-all", "--out", str(FOLDER), "--quiet"]):
        raise DFLError(f"the recipe ended with exit code {code}")
    found = pd.read_parquet(FOLDER / "results.parquet")
    settings = ["problem.kind", "problem.n_train", "problem.noise", "problem.degree"]
    lines = []
    for key, part in found.groupby(settings, sort=False):
        regrets = 100 * part.pivot(index="seed", columns="method", values="value")
        lines.append(line(key, regrets))
    return "\n".join(
        [
            f"{found.seed.nunique()} seeds; published: least squares / random forest / two-stage "
            "models chosen by their squared error in ten minutes / SPO+.",
            "",
            "| problem | rows | degree | noise | least squares | best single method | its regret "
            "| auto | theoretical minimum | auto minus best single [95 %] | published |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
            *lines,
        ]
    )


if __name__ == "__main__":
    report(__doc__, table)
