"""Run the recipes and write what they showed as tables in Markdown.

Run ``python experiments/benchmarks/recipes.py docs/_generated/recipes.md [RECIPE ...]``; tables of
recipes that are not named stay. Other recipes than those below may be named: ``terrain`` has a page
of its own, ``docs/_generated/terrain.md``. ``energy`` reads or downloads its data. Pictures go to
``docs/images``.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path

from dfl_experiments import cli

RECIPES = (
    "shortest-path",
    "surrogates",
    "energy",
    "portfolio-sp500",
    "entropy-portfolio",
    "ordinal-classes",
    "ordinal-digits",
)

# whose picture of regret by training time is shown as well
PICTURED = ("surrogates",)
IMAGES = Path(__file__).parents[2] / "docs" / "images"


def table(summary: Path) -> list[str]:
    """Turn a ``summary.csv`` into the lines of a table."""
    lines = [
        "| problem | metric, % | method | mean [95 %] | minus least squares [95 %] "
        "| train, s | solves |",
        "|---|---|---|---|---|---|---|",
    ]
    with open(summary, newline="") as file:
        for row in csv.DictReader(file):
            mean, low, high = (100 * float(row[key]) for key in ("mean", "low", "high"))
            gap = ""
            if row["difference"]:
                keys = ("difference", "difference_low", "difference_high")
                gap = "{:+.2f} [{:+.2f}, {:+.2f}]".format(*(100 * float(row[k]) for k in keys))
            seconds = f"{float(row['seconds']):.2f}" if row["seconds"] else ""
            solves = f"{float(row['solves']):,.0f}" if row["solves"] else ""
            lines.append(
                f"| {row['problem']} | {row['metric']} | {row['method']} | "
                f"{mean:.2f} [{low:.2f}, {high:.2f}] | {gap} | {seconds} | {solves} |"
            )
    return lines


def main(target: Path, names: list[str]) -> int:
    """Run the recipes and write their tables; return the first exit code that is not 0."""
    pages = {}
    if target.exists() and names:
        for page in target.read_text().split("### ")[1:]:
            pages[page.partition("\n")[0]] = page.strip()
    with tempfile.TemporaryDirectory() as folder:
        for name in names or RECIPES:
            out = Path(folder) / name
            code = cli.main(["run", name, "--out", str(out), "--quiet"])
            if code:
                return code
            pages[name] = "\n".join([name, "", *table(out / "summary.csv")])
            if name in PICTURED:
                (IMAGES / f"{name}_time.png").write_bytes((out / "time.png").read_bytes())
    target.parent.mkdir(parents=True, exist_ok=True)
    order = [name for name in dict.fromkeys((*RECIPES, *names)) if name in pages]
    target.write_text("\n\n".join(f"### {pages[name]}" for name in order) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
