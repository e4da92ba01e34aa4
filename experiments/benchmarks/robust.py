"""Write what the exact recipes and that of noise in features showed, as tables in Markdown.

Run ``python experiments/benchmarks/robust.py docs/_generated [RECIPE ...]``; minutes on one thread.
Tables of recipes that are not named stay. Runs go to the folder ``RECIPE`` here, and one that is
there already is not computed again.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from dfl_experiments import cli
from dfl_experiments.config_file import load

# of each recipe, the baseline that differences in the last score are taken from
RECIPES = {
    "robust-toys": ("robust", "arpo"),
    "robust-isa-mdp": ("robust", "arpo"),
    "robust-isa-mdp-dirichlet": ("robust", "arpo"),
    "robust-shortest-path": ("worst", "spo+"),
}


def read(path: Path) -> list[dict[str, str]]:
    """Read a table."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def shown(row: dict[str, str], name: str, sign: str = "") -> str:
    """Write a number with its interval."""
    mean, low, high = (float(row[key]) for key in (name, "low", "high"))
    return f"{mean:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def table(name: str, folder: Path) -> list[str]:
    """Make the table of a recipe: a row a method, a column a score, and one of differences."""
    compared, baseline = RECIPES[name]
    config = load(name)
    summary, differences = read(folder / "summary.csv"), read(folder / "comparisons.csv")
    scores = list(dict.fromkeys(row["score"] for row in summary))
    labels = [config.problem.scores[score].label for score in scores]
    head = ["method", *labels, f"{labels[scores.index(compared)]}, minus {baseline}"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for method in dict.fromkeys(row["method"] for row in summary):
        own = {row["score"]: row for row in summary if row["method"] == method}
        line = [method, *(shown(own[score], "mean") for score in scores)]
        found = [
            shown(row, "difference", "+")
            for row in differences
            if (row["method"], row["baseline"], row["score"]) == (method, baseline, compared)
        ]
        lines.append(f"| {' | '.join([*line, *(found or [''])])} |")
    return lines


def main(target: Path, names: list[str]) -> int:
    """Run the recipes and write their tables; return the first exit code that is not 0."""
    for name in names or list(RECIPES):
        code = cli.main(["run", name, "--out", name, "--quiet"])
        if code:
            return code
        text = "\n".join(table(name, Path(name)))
        path = target / f"{name.replace('-', '_')}.md"
        path.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
